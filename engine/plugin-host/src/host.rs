//! Where everything about plugins begins.

use std::sync::Arc;

use crate::builtin;
use crate::cache::Cache;
use crate::call::Limits;
use crate::engine::TickingEngine;
use crate::error::{LoadFailure, PluginError, Result};
use crate::find::{self, Folders, Found};
use crate::grants::{Grants, Permission};
use crate::kind::Kind;
use crate::plugin::Plugin;

/// How plugins are run.
#[derive(Debug, Clone, Default)]
pub struct HostOptions {
    /// Folders for plugins, cache and configuration.
    pub folders: Folders,
    /// What a call may take.
    pub limits: Limits,
    /// Names, paths or hashes of plugins that are granted their commands for the life of this host.
    pub granted_once: Vec<String>,
}

/// Finds, loads and permits plugins. It makes an engine, so it is for those who need a plugin.
pub struct PluginHost {
    engine: Arc<TickingEngine>,
    cache: Cache,
    limits: Arc<Limits>,
    folders: Folders,
    granted_once: Vec<String>,
}

impl PluginHost {
    /// Sets up the engine and the cache of compiled plugins.
    pub fn new(options: HostOptions) -> Result<Self> {
        Ok(Self {
            engine: Arc::new(TickingEngine::new()?),
            cache: Cache::new(options.folders.cache.clone()),
            limits: Arc::new(options.limits),
            folders: options.folders,
            granted_once: options.granted_once,
        })
    }

    /// Loads a plugin by its name or path. It is compiled, or taken from the cache, and its description is read.
    pub async fn load(&self, name: &str, kind: Kind) -> Result<Arc<Plugin>> {
        let plugin = self.loaded(find::find(name, kind, &self.folders)?).await?;
        if plugin.kind() != kind {
            return Err(PluginError::Load {
                plugin: crate::text::printable(name),
                failure: LoadFailure::OtherKind { found: plugin.kind(), wanted: kind },
            });
        }
        Ok(Arc::new(plugin))
    }

    /// Loads all plugins of a name, whichever kind they are of; or the one in a file.
    pub async fn load_any(&self, name: &str) -> Result<Vec<Arc<Plugin>>> {
        if find::is_path(name) {
            return Ok(vec![Arc::new(self.loaded(find::open(name.as_ref())?).await?)]);
        }
        let mut plugins = Vec::new();
        let mut failure = None;
        for kind in Kind::ALL {
            match self.load(name, kind).await {
                Ok(plugin) => plugins.push(plugin),
                Err(e) => {
                    failure.get_or_insert(e);
                }
            }
        }
        match failure {
            Some(e) if plugins.is_empty() => Err(e),
            _ => Ok(plugins),
        }
    }

    /// Loads the built-in plugins and all that are installed. A plugin that cannot be loaded is listed with its error.
    pub async fn load_all(&self) -> Vec<Result<Arc<Plugin>>> {
        let mut all = Vec::new();
        for built_in in builtin::ALL {
            all.push(self.loaded(Found::built_in(built_in)).await.map(Arc::new));
        }
        for path in find::installed(&self.folders) {
            all.push(match find::open(&path) {
                Ok(found) => self.loaded(found).await.map(Arc::new),
                Err(e) => Err(e),
            });
        }
        all
    }

    async fn loaded(&self, found: Found) -> Result<Plugin> {
        Plugin::load(&self.engine, &self.cache, &self.limits, found).await
    }

    /// Permission for a plugin to have its commands run; an error that lists these commands if the user has not granted them.
    pub fn permit(&self, plugin: &Plugin, grants: &Grants) -> Result<Permission> {
        grants.permit(plugin.kind(), &plugin.description, &plugin.origin, &plugin.hash, &self.granted_once)
    }
}
