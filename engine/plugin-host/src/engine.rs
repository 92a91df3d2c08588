//! wasmtime, set up for plugins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use wasmtime::{Config, Engine};

use crate::error::{PluginError, Result};

/// How often a plugin that computes is interrupted to see whether its time is over.
pub(crate) const TICK: Duration = Duration::from_millis(5);
/// The stack of WebAssembly code, within the one below.
const WASM_STACK: usize = 512 << 10;
/// The stack of a call, host functions included.
const CALL_STACK: usize = 1 << 20;
/// Address space taken at once for a plugin's memory. All that WebAssembly can address: such a memory never moves, and accesses need
/// no checks.
const ALL: u64 = 4 << 30;
/// The same where address space is limited (`ulimit -v`). A memory moves when it grows beyond.
const LITTLE: u64 = 64 << 20;

/// An engine whose clock ticks as long as it is there.
pub(crate) struct TickingEngine {
    pub(crate) engine: Engine,
    stopped: Arc<AtomicBool>,
    ticker: Option<std::thread::JoinHandle<()>>,
}

impl TickingEngine {
    pub(crate) fn new() -> Result<Self> {
        let mut config = Config::new();
        config
            .epoch_interruption(true)
            .wasm_component_model(true)
            .max_wasm_stack(WASM_STACK)
            .async_stack_size(CALL_STACK)
            .memory_reservation(reservation(getrlimit(Resource::As).current));
        let engine = Engine::new(&config).map_err(|e| PluginError::Engine(format!("{e:#}")))?;
        let stopped = Arc::new(AtomicBool::new(false));
        let ticker = {
            let (engine, stopped) = (engine.clone(), Arc::clone(&stopped));
            std::thread::Builder::new()
                .name("plugin clock".into())
                .spawn(move || {
                    while !stopped.load(Ordering::Relaxed) {
                        std::thread::park_timeout(TICK);
                        engine.increment_epoch();
                    }
                })
                .map_err(|e| PluginError::Engine(e.to_string()))?
        };
        Ok(Self { engine, stopped, ticker: Some(ticker) })
    }
}

/// The address space for a plugin's memory, in bytes, where so many are allowed for this process.
fn reservation(allowed: Option<u64>) -> u64 {
    if allowed.is_some() { LITTLE } else { ALL }
}

impl Drop for TickingEngine {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(ticker) = self.ticker.take() {
            ticker.thread().unpark();
            let _ = ticker.join();
        }
    }
}
