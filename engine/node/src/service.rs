//! CouchDB as a service of a node.

use std::sync::Arc;

use plugin_host::{Doubt, ServicePlugin, State};
use tokio::runtime::Runtime;

use crate::error::Result;
use crate::way::Way;

/// Starts and stops CouchDB on a node.
pub trait NodeService: Send + Sync {
    /// Starts CouchDB. Returns when its manager reports that it runs; whether it answers yet is not checked.
    fn start(&self) -> Result<()>;
    /// Stops CouchDB. Returns when it has stopped.
    fn stop(&self) -> Result<()>;
    /// Whether CouchDB runs.
    fn status(&self) -> Result<State>;
    /// Commands that would be needed and cannot be run, found out without running them.
    fn doubts(&self) -> Result<Vec<Doubt>> {
        Ok(Vec::new())
    }
    /// What does it, for messages.
    fn shown(&self) -> &str;
}

/// A service plugin, called from any thread.
pub struct PluginService {
    runtime: Arc<Runtime>,
    plugin: ServicePlugin,
    shown: String,
    /// Receives what becomes known about CouchDB.
    way: Way,
}

impl PluginService {
    /// A plugin for one node; `shown` is what messages call it.
    pub fn new(runtime: Arc<Runtime>, plugin: ServicePlugin, shown: String, way: Way) -> Self {
        Self { runtime, plugin, shown, way }
    }
}

impl NodeService for PluginService {
    fn start(&self) -> Result<()> {
        // Neither here nor there while it is under way.
        self.way.set_state(State::Unknown);
        self.runtime.block_on(self.plugin.start())?;
        self.way.set_state(State::Running);
        Ok(())
    }

    fn stop(&self) -> Result<()> {
        self.way.set_state(State::Unknown);
        self.runtime.block_on(self.plugin.stop())?;
        self.way.set_state(State::Stopped);
        Ok(())
    }

    fn status(&self) -> Result<State> {
        let state = self.runtime.block_on(self.plugin.status())?;
        self.way.set_state(state);
        Ok(state)
    }

    fn doubts(&self) -> Result<Vec<Doubt>> {
        Ok(self.runtime.block_on(self.plugin.doubts())?)
    }

    fn shown(&self) -> &str {
        &self.shown
    }
}
