//! wasmtime, set up for plugins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wasmtime::{Config, Engine};

use crate::error::{PluginError, Result};

/// How often a plugin that computes is interrupted to see whether its time is over.
pub(crate) const TICK: Duration = Duration::from_millis(5);
/// The stack of WebAssembly code, within the one below.
const WASM_STACK: usize = 512 << 10;
/// The stack of a call, host functions included.
const CALL_STACK: usize = 1 << 20;
/// Address space taken at once for a plugin's memory; it moves when it grows beyond. The default of 4 GiB fails under a
/// limit on address space (`ulimit -v`).
const RESERVED: u64 = 64 << 20;

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
            .memory_reservation(RESERVED);
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

impl Drop for TickingEngine {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(ticker) = self.ticker.take() {
            ticker.thread().unpark();
            let _ = ticker.join();
        }
    }
}
