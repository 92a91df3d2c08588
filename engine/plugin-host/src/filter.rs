//! A document filter: what becomes of each document in a restore.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::Store;

use crate::bindings::filter::DocumentFilter as Instance;
use crate::bindings::filter::exports::couchcopy::plugin::documents::Verdict;
use crate::bindings::types;
use crate::call::{CallState, Limits, trapped};
use crate::engine::TICK;
use crate::error::{CallFailure, LoadFailure, PluginError, Result};
use crate::grants::Permission;
use crate::kind::Kind;
use crate::plugin::{Plugin, Ready, Settings};
use crate::service::told;
use crate::text;

/// An instance that holds more than this part of the memory that it may have is replaced by a fresh one: plugins whose language
/// frees nothing go on for any number of documents.
const WORN: usize = 2;

/// A plugin that decides about documents, with its settings.
#[derive(Clone, Debug)]
pub struct DocumentFilter {
    plugin: Arc<Plugin>,
    settings: Settings,
}

impl DocumentFilter {
    /// A plugin that is permitted to decide about documents.
    pub fn new(plugin: Arc<Plugin>, _: Permission, settings: Settings) -> Result<Self> {
        if plugin.kind() != Kind::Filter {
            return Err(PluginError::Load {
                plugin: plugin.description.name.clone(),
                failure: LoadFailure::OtherKind { found: plugin.kind(), wanted: Kind::Filter },
            });
        }
        Ok(Self { plugin, settings })
    }

    /// Its name and version.
    pub fn shown(&self) -> String {
        format!("{} {}", self.plugin.description.name, self.plugin.description.version)
    }

    /// What makes it another one than any other: its name and version, and hashes of its file and of its settings.
    pub fn identity(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("couchcopy: settings of a document filter");
        for text in self.settings.iter().flat_map(|(name, value)| [name, value]) {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        let settings = hasher.finalize().to_hex();
        format!("{} {} {}", self.shown(), self.plugin.hash.to_hex(), &settings[..16])
    }

    /// Begins to decide about documents of a database, on one thread.
    ///
    /// Fails if the plugin refuses its settings.
    pub fn instance(&self, database: &str) -> Result<FilterInstance> {
        let mut instance =
            FilterInstance { filter: self.clone(), database: database.to_owned(), running: None };
        instance.running()?;
        Ok(instance)
    }

    fn limits(&self) -> &Limits {
        &self.plugin.limits
    }
}

/// An instance of a document filter, for the documents of one database and one thread.
pub struct FilterInstance {
    filter: DocumentFilter,
    database: String,
    running: Option<Running>,
}

/// What runs in the sandbox.
struct Running {
    store: Store<CallState>,
    instance: Instance,
}

impl FilterInstance {
    /// The plugin's verdict on a document, JSON text.
    pub fn filter(&mut self, id: &str, document: &str) -> Result<Verdict> {
        let limits = &self.filter.plugin.limits;
        let (deadline, data) = (limits.pure_deadline, limits.data.saturating_add(document.len()));
        let worn = limits.memory / WORN;
        let running = self.running()?;
        running.store.set_hostcall_fuel(data);
        let result = running.call(deadline, |instance, store| {
            instance.couchcopy_plugin_documents().call_filter(store, id, document)
        });
        let is_worn = running.store.data().memory() > worn;
        if result.is_err() || is_worn {
            self.running = None;
        }
        let failed = |failure| PluginError::Filter {
            plugin: self.filter.plugin.description.name.clone(),
            version: self.filter.plugin.description.version.clone(),
            id: text::printable(id),
            failure,
        };
        result.map_err(failed)?.map_err(|error| failed(CallFailure::Failed(told(&error))))
    }

    /// The instance, configured.
    fn running(&mut self) -> Result<&mut Running> {
        let running = match self.running.take() {
            Some(running) => running,
            None => self.begin()?,
        };
        Ok(self.running.insert(running))
    }

    fn begin(&self) -> Result<Running> {
        let DocumentFilter { plugin, settings } = &self.filter;
        let failed = |failure| PluginError::Configure {
            plugin: plugin.description.name.clone(),
            version: plugin.description.version.clone(),
            database: text::printable(&self.database),
            failure,
        };
        let Ready::Filter(pre) = &plugin.ready else {
            return Err(failed(CallFailure::Trap("it is not a document filter".into())));
        };
        let limits = self.filter.limits();
        let mut store = CallState::store_of_many(&plugin.engine.engine, &plugin.limits);
        store.set_epoch_deadline(ticks(limits.pure_deadline));
        let instance = pre.instantiate(&mut store);
        let instance = instance.map_err(|error| failed(ended(&mut store, &error, limits.pure_deadline)))?;
        let settings: Vec<types::SettingValue> = settings
            .iter()
            .map(|(name, value)| types::SettingValue { name: name.clone(), value: value.clone() })
            .collect();
        let mut running = Running { store, instance };
        running
            .call(limits.pure_deadline, |instance, store| {
                instance.couchcopy_plugin_documents().call_configure(store, &self.database, &settings)
            })
            .map_err(failed)?
            .map_err(|error| failed(CallFailure::Failed(told(&error))))?;
        Ok(running)
    }
}

impl Running {
    fn call<T>(
        &mut self,
        deadline: Duration,
        call: impl FnOnce(&Instance, &mut Store<CallState>) -> wasmtime::Result<T>,
    ) -> Result<T, CallFailure> {
        self.store.set_epoch_deadline(ticks(deadline));
        call(&self.instance, &mut self.store).map_err(|error| ended(&mut self.store, &error, deadline))
    }
}

/// Why a call gave no result.
fn ended(store: &mut Store<CallState>, error: &wasmtime::Error, deadline: Duration) -> CallFailure {
    if let Some(failure) = store.data_mut().failure.take() {
        return failure;
    }
    match error.downcast_ref::<wasmtime::Trap>() {
        Some(wasmtime::Trap::Interrupt) => CallFailure::Deadline(deadline),
        _ => trapped(error),
    }
}

/// Ticks of the engine's clock that take at least so long.
fn ticks(time: Duration) -> u64 {
    let ticks = time.as_nanos().div_ceil(TICK.as_nanos());
    u64::try_from(ticks).unwrap_or(u64::MAX >> 1).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_not_shorter_in_ticks() {
        assert_eq!(ticks(Duration::ZERO), 1);
        assert_eq!(ticks(TICK), 2);
        assert_eq!(ticks(TICK + Duration::from_nanos(1)), 3);
    }
}
