//! Ways to a node, one behind the other.

use std::sync::Arc;

use crate::bindings::types::{Command, State};
use crate::call::{CallState, within};
use crate::contract::Kind;
use crate::error::{CallFailure, LoadFailure, PluginError, Result};
use crate::grants::Permission;
use crate::plugin::{Plugin, Ready, Settings};
use crate::service::{NodeId, told};
use crate::text;

/// A node-access plugin with its settings.
#[derive(Clone, Debug)]
pub struct ChainLink {
    plugin: Arc<Plugin>,
    settings: Settings,
}

/// How a command reaches a node: the first link leads away from this machine, the next one from where that led to. Without
/// links commands run on this machine.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    links: Vec<ChainLink>,
}

impl ChainLink {
    /// A plugin that is permitted to give commands back.
    pub fn new(plugin: Arc<Plugin>, _: Permission, settings: Settings) -> Result<Self> {
        if plugin.kind() != Kind::Access {
            return Err(PluginError::Load {
                plugin: plugin.description.name.clone(),
                failure: LoadFailure::OtherKind { found: plugin.kind(), wanted: Kind::Access },
            });
        }
        Ok(Self { plugin, settings })
    }

    async fn wrap(&self, command: &Command, node: &NodeId, service: State) -> Result<Command> {
        let Self { plugin, settings } = self;
        let failed = |failure| PluginError::Call {
            plugin: plugin.description.name.clone(),
            version: plugin.description.version.clone(),
            function: "wrap",
            node: node.shown(),
            failure,
        };
        let Ready::Access(pre) = &plugin.ready else {
            return Err(failed(CallFailure::Trap("it is no node-access plugin".into())));
        };
        let mut store = CallState::store(&plugin.engine.engine, &plugin.limits, None);
        let told_node = node.with_settings(settings);
        let wrapped = within(plugin.limits.pure_deadline, &mut store, async |store| {
            let instance = pre.instantiate_async(&mut *store).await?;
            instance.couchcopy_plugin_access().call_wrap(store, &told_node, command, service).await
        })
        .await
        .map_err(failed)?
        .map_err(|error| failed(CallFailure::Failed(told(&error))))?;
        let words = |command: &Command| -> Vec<String> {
            std::iter::once(&command.program).chain(&command.arguments).cloned().collect()
        };
        let (inner, outer) = (words(command), words(&wrapped));
        let inner: Vec<&str> = inner.iter().map(String::as_str).collect();
        let outer: Vec<&str> = outer.iter().map(String::as_str).collect();
        if !plugin.allows(&outer, &node.values(settings, Some(&inner))) {
            let command = text::shown(&wrapped.program, &wrapped.arguments);
            return Err(failed(CallFailure::NotPermitted { command }));
        }
        Ok(wrapped)
    }
}

impl Chain {
    /// Links, the one nearest to this machine first.
    pub fn new(links: Vec<ChainLink>) -> Self {
        Self { links }
    }

    /// Whether commands run on this machine as they are.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// The command that runs `command` on the node when it is run here. `service` is what is known of CouchDB there.
    pub async fn wrap(&self, command: &Command, node: &NodeId, service: State) -> Result<Command> {
        let mut wrapped = command.clone();
        for link in self.links.iter().rev() {
            wrapped = link.wrap(&wrapped, node, service).await?;
        }
        Ok(wrapped)
    }
}
