//! Ways to a node, one behind the other.

use std::sync::Arc;

use crate::bindings::types::{Command, State};
use crate::call::{CallState, within};
use crate::error::{CallFailure, LoadFailure, PluginError, Result};
use crate::find::Origin;
use crate::grants::Permission;
use crate::kind::Kind;
use crate::plugin::{Plugin, Ready, Settings};
use crate::service::{NodeId, told};
use crate::text;

/// A node-access plugin with its settings.
#[derive(Clone, Debug)]
pub struct ChainLink {
    plugin: Arc<Plugin>,
    settings: Settings,
}

/// The access chain to a node: the first link leads away from this machine, each further link from where the link before it
/// leads. Without links commands run on this machine.
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

    /// Whether its plugin can connect to ports as seen from the node.
    pub fn can_tunnel(&self) -> bool {
        self.plugin.contract.tunnel
    }

    async fn wrap(&self, command: &Command, node: &NodeId, service: State) -> Result<Command> {
        let Self { plugin, settings } = self;
        let failed = |failure| self.failed("wrap", node, failure);
        let Ready::Access { access, .. } = &plugin.ready else {
            return Err(failed(CallFailure::Trap("it is not a node-access plugin".into())));
        };
        let mut store = CallState::store(&plugin.engine.engine, &plugin.limits, None);
        let told_node = node.with_settings(settings);
        let wrapped = within(plugin.limits.pure_deadline, &mut store, async |store| {
            let instance = access.instantiate_async(&mut *store).await?;
            instance.couchcopy_plugin_access().call_wrap(store, &told_node, command, service).await
        })
        .await
        .map_err(failed)?
        .map_err(|error| failed(CallFailure::Failed(told(&error))))?;
        self.allowed(wrapped, node, Some(command)).map_err(failed)
    }

    /// The command that connects its input and output to a port as seen from the node.
    async fn connect(&self, node: &NodeId, host: &str, port: u16) -> Result<Command> {
        let Self { plugin, settings } = self;
        let failed = |failure| self.failed("connect", node, failure);
        let Ready::Access { tunnel: Some(tunnel), .. } = &plugin.ready else {
            return Err(failed(CallFailure::Trap("it exports no tunnel".into())));
        };
        let mut store = CallState::store(&plugin.engine.engine, &plugin.limits, None);
        let told_node = node.with_settings(settings);
        let connected = within(plugin.limits.pure_deadline, &mut store, async |store| {
            let instance = tunnel.instantiate_async(&mut *store).await?;
            instance.couchcopy_plugin_tunnel().call_connect(store, &told_node, host, port).await
        })
        .await
        .map_err(failed)?
        .map_err(|error| failed(CallFailure::Failed(told(&error))))?;
        self.allowed(connected, node, None).map_err(failed)
    }

    fn failed(&self, function: &'static str, node: &NodeId, failure: CallFailure) -> PluginError {
        let description = &self.plugin.description;
        PluginError::Call {
            plugin: description.name.clone(),
            version: description.version.clone(),
            function,
            node: node.shown(),
            failure,
        }
    }

    /// What the plugin gave back, if one of its patterns allows it. `wrapped` is the command that was to be in it.
    fn allowed(
        &self,
        given: Command,
        node: &NodeId,
        wrapped: Option<&Command>,
    ) -> Result<Command, CallFailure> {
        let wrapped = wrapped.map(words);
        if self.plugin.allows(&words(&given), &node.values(&self.settings, wrapped.as_deref())) {
            return Ok(given);
        }
        Err(CallFailure::NotPermitted { command: text::shown(&given.program, &given.arguments) })
    }
}

/// A command's words, program first.
fn words(command: &Command) -> Vec<&str> {
    std::iter::once(command.program.as_str()).chain(command.arguments.iter().map(String::as_str)).collect()
}

/// The command that runs `command` behind these links when it is run here.
async fn through<'l>(
    links: impl DoubleEndedIterator<Item = &'l ChainLink>,
    command: Command,
    node: &NodeId,
    service: State,
) -> Result<Command> {
    let mut wrapped = command;
    for link in links.rev() {
        wrapped = link.wrap(&wrapped, node, service).await?;
    }
    Ok(wrapped)
}

/// Whom sudo makes of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SudoUser<'a> {
    /// Root, as no other user is named.
    Root,
    /// The user of this name.
    Named(&'a str),
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
        through(self.links.iter(), command.clone(), node, service).await
    }

    /// The command that connects its standard input and output to TCP port `port` of `host`, as seen from the node's machine,
    /// when it is run here. `None` if no link can do that.
    ///
    /// The last link that can is the one that does: those behind it are taken to stay on the machine that it leads to, as sudo
    /// does, and are left out; those before it lead there.
    pub async fn tunnel(
        &self,
        node: &NodeId,
        host: &str,
        port: u16,
        service: State,
    ) -> Result<Option<Command>> {
        let Some((at, link)) = self.links.iter().enumerate().rfind(|(_, link)| link.can_tunnel()) else {
            return Ok(None);
        };
        let connected = link.connect(node, host, port).await?;
        through(self.links.iter().take(at), connected, node, service).await.map(Some)
    }

    /// The chain without its last link; empty if it has no links.
    #[must_use]
    pub fn without_last(&self) -> Self {
        let before = self.links.len().saturating_sub(1);
        Self { links: self.links.iter().take(before).cloned().collect() }
    }

    /// The user as whom its last link, sudo, runs programs; `None` if that link is another plugin or runs another program.
    pub(crate) fn last_sudo(&self) -> Option<SudoUser<'_>> {
        let ChainLink { plugin, settings } = self.links.last()?;
        let setting =
            |name: &str| settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let is_sudo = plugin.origin == Origin::BuiltIn
            && plugin.description.name == "sudo"
            && setting("program") == Some("sudo");
        is_sudo.then(|| setting("user").map_or(SudoUser::Root, SudoUser::Named))
    }

    /// What the plugin of its last link is called.
    pub fn last_name(&self) -> Option<&str> {
        self.links.last().map(|link| link.plugin.description.name.as_str())
    }
}
