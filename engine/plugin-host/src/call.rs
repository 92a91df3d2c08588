//! One call into a plugin: what it may take, and what the host does for it in the meantime.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::{ResourceLimiter, Store};

use crate::bindings::types::{Command, Output, RunError};
use crate::bindings::{host, types};
use crate::error::CallFailure;
use crate::service::Running;
use crate::text;

/// What a call may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long `start`, `stop` and `status` may take, with all the programs that they run.
    pub service_deadline: Duration,
    /// How long `describe`, `wrap`, `connect` and `configure` may take, and `filter` for a document.
    pub pure_deadline: Duration,
    /// Bytes of memory.
    pub memory: usize,
    /// Bytes of each output stream of a program that are kept.
    pub output: usize,
    /// Bytes of log that are kept.
    pub log: usize,
    /// Bytes of log that end the call.
    pub log_flood: usize,
    /// Bytes that a plugin may hand over at a time; of a document, those that it has more than before.
    pub data: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            service_deadline: Duration::from_secs(300),
            pure_deadline: Duration::from_secs(10),
            memory: 256 << 20,
            output: 64 << 10,
            log: 64 << 10,
            log_flood: 16 << 20,
            data: 16 << 20,
        }
    }
}

/// Receives what plugins do, while they do it.
pub trait Events: Send + Sync {
    /// A plugin says something.
    fn log(&self, plugin: &str, node: &str, text: &str);
    /// A program was run for a plugin; `command` is what was really run, including the access chain to the node.
    fn ran(&self, plugin: &str, node: &str, command: &str, result: &Result<Output, RunError>) {
        let _ = (plugin, node, command, result);
    }
}

/// Ignores all events.
#[derive(Debug, Clone, Copy)]
pub struct NoEvents;

impl Events for NoEvents {
    fn log(&self, _: &str, _: &str, _: &str) {}
}

/// What belongs to one call.
pub(crate) struct CallState {
    limits: Arc<Limits>,
    memory: usize,
    /// For a call that may run programs.
    running: Option<Running>,
    logged: usize,
    /// Why the host ended the call, if it did.
    pub(crate) failure: Option<CallFailure>,
}

impl CallState {
    pub(crate) fn store(
        engine: &wasmtime::Engine,
        limits: &Arc<Limits>,
        running: Option<Running>,
    ) -> Store<Self> {
        let mut store = Self::store_of_many(engine, limits);
        store.data_mut().running = running;
        store.set_epoch_deadline(1);
        // Each tick the call lets others run, the timer of its deadline among them.
        store.epoch_deadline_async_yield_and_update(1);
        store
    }

    /// A store for many calls that nobody else waits for: they end at the deadline that is set before each.
    pub(crate) fn store_of_many(engine: &wasmtime::Engine, limits: &Arc<Limits>) -> Store<Self> {
        let state = Self { limits: Arc::clone(limits), memory: 0, running: None, logged: 0, failure: None };
        let mut store = Store::new(engine, state);
        store.limiter(|state| state);
        store.set_hostcall_fuel(limits.data);
        store
    }

    /// Bytes of memory of what lives in the store.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    fn fail<T>(&mut self, failure: CallFailure) -> wasmtime::Result<T> {
        let error = wasmtime::Error::msg(failure.to_string());
        self.failure.get_or_insert(failure);
        Err(error)
    }
}

impl ResourceLimiter for CallState {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.memory = self.memory.saturating_add(desired.saturating_sub(current));
        if self.memory > self.limits.memory {
            return self.fail(CallFailure::Memory(self.limits.memory >> 20));
        }
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= 1_000_000)
    }

    fn instances(&self) -> usize {
        100
    }

    fn tables(&self) -> usize {
        100
    }

    fn memories(&self) -> usize {
        20
    }
}

impl types::Host for CallState {}

impl host::Host for CallState {
    async fn run(&mut self, command: Command) -> wasmtime::Result<Result<Output, RunError>> {
        let Some(running) = &self.running else {
            return Ok(Err(RunError::NotPermitted("describe may run nothing".into())));
        };
        Ok(running.run(&command, self.limits.output).await)
    }

    async fn sleep(&mut self, milliseconds: u32) -> wasmtime::Result<()> {
        tokio::time::sleep(Duration::from_millis(milliseconds.into())).await;
        Ok(())
    }

    async fn log(&mut self, text: String) -> wasmtime::Result<()> {
        let before = self.logged;
        self.logged = before.saturating_add(text.len()).saturating_add(1);
        if self.logged > self.limits.log_flood {
            return self.fail(CallFailure::Log(self.limits.log_flood >> 20));
        }
        if before < self.limits.log
            && let Some(running) = &self.running
        {
            running.log(&text::printable(&text));
        }
        // A loop that does nothing but log would else never let the timer of its deadline run.
        tokio::task::yield_now().await;
        Ok(())
    }
}

/// Has a call end within its time, and says why if it gave no result.
pub(crate) async fn within<T>(
    deadline: Duration,
    store: &mut Store<CallState>,
    call: impl AsyncFnOnce(&mut Store<CallState>) -> wasmtime::Result<T>,
) -> Result<T, CallFailure> {
    match tokio::time::timeout(deadline, call(store)).await {
        Err(_) => Err(CallFailure::Deadline(deadline)),
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(store.data_mut().failure.take().unwrap_or_else(|| trapped(&error))),
    }
}

/// Why a call ended without a result.
pub(crate) fn trapped(error: &wasmtime::Error) -> CallFailure {
    if let Some(trap) = error.downcast_ref::<wasmtime::Trap>() {
        return CallFailure::Trap(trap.to_string());
    }
    let told = text::printable(&format!("{error:#}"));
    if told.contains("fuel") { CallFailure::TooMuchData(told) } else { CallFailure::Trap(told) }
}
