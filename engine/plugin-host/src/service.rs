//! A service plugin, for one node.

use std::sync::{Arc, Mutex};

use outcome::Lock;
use patterns::Values;

use crate::bindings::types::{self, Command, Output, RunError, State};
use crate::call::{CallState, Events, within};
use crate::chain::Chain;
use crate::error::{CallFailure, LoadFailure, PluginError, Result};
use crate::grants::Permission;
use crate::kind::Kind;
use crate::plugin::{Plugin, Ready, Settings};
use crate::process;
use crate::text;

/// A node as plugins see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeId {
    /// Its Erlang name, if it is known.
    pub name: Option<String>,
    /// The machine that it is on; `None` for this one.
    pub host: Option<String>,
}

impl NodeId {
    /// For messages.
    pub fn shown(&self) -> String {
        match (&self.name, &self.host) {
            (Some(name), _) => text::printable(name),
            (None, Some(host)) => text::printable(host),
            (None, None) => "this machine".into(),
        }
    }

    pub(crate) fn with_settings(&self, settings: &Settings) -> types::Node {
        types::Node {
            name: self.name.clone(),
            host: self.host.clone(),
            settings: settings
                .iter()
                .map(|(name, value)| types::SettingValue { name: name.clone(), value: value.clone() })
                .collect(),
        }
    }

    pub(crate) fn values<'v>(&'v self, settings: &'v Settings, command: Option<&'v [&'v str]>) -> Values<'v> {
        Values { host: self.host.as_deref(), node: self.name.as_deref(), settings, command }
    }
}

/// A service plugin with its settings for one node, and the access chain to that node.
#[derive(Clone)]
pub struct ServicePlugin {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) settings: Settings,
    pub(crate) node: NodeId,
    pub(crate) chain: Chain,
    events: Arc<dyn Events>,
    /// What is known of the service: a container that has been stopped cannot be entered.
    state: Mutex<State>,
}

/// What a running call of a service plugin has to do with.
#[derive(Clone)]
pub(crate) struct Running {
    shared: Arc<Shared>,
    /// The first command that was refused in this call.
    refused: Arc<Mutex<Option<String>>>,
}

impl Running {
    /// Runs a program on the node, if a pattern allows it.
    pub(crate) async fn run(&self, command: &Command, keep: usize) -> Result<Output, RunError> {
        let Shared { plugin, settings, node, chain, events, state } = &*self.shared;
        let words: Vec<&str> = std::iter::once(command.program.as_str())
            .chain(command.arguments.iter().map(String::as_str))
            .collect();
        if !plugin.allows(&words, &node.values(settings, None)) {
            let shown = text::shown(&command.program, &command.arguments);
            self.refused.locked().get_or_insert_with(|| shown.clone());
            return Err(RunError::NotPermitted(format!("no pattern of the description allows `{shown}`")));
        }
        let state = *state.locked();
        let wrapped = chain.wrap(command, node, state).await.map_err(|e| RunError::Failed(e.to_string()))?;
        let result = process::run(&wrapped, keep).await;
        events.ran(
            &plugin.description.name,
            &node.shown(),
            &text::shown(&wrapped.program, &wrapped.arguments),
            &result,
        );
        result
    }

    pub(crate) fn log(&self, text: &str) {
        self.shared.events.log(&self.shared.plugin.description.name, &self.shared.node.shown(), text);
    }
}

#[derive(Debug, Clone, Copy)]
enum Function {
    Start,
    Stop,
    Status,
}

impl Function {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Status => "status",
        }
    }
}

impl ServicePlugin {
    /// A plugin that is permitted to run its commands, for one node.
    pub fn new(
        plugin: Arc<Plugin>,
        _: Permission,
        settings: Settings,
        node: NodeId,
        chain: Chain,
        events: Arc<dyn Events>,
    ) -> Result<Self> {
        if plugin.kind() != Kind::Service {
            return Err(PluginError::Load {
                plugin: plugin.description.name.clone(),
                failure: LoadFailure::OtherKind { found: plugin.kind(), wanted: Kind::Service },
            });
        }
        let state = Mutex::new(State::Unknown);
        Ok(Self { shared: Arc::new(Shared { plugin, settings, node, chain, events, state }) })
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What is known of the service.
    pub(crate) fn known_state(&self) -> State {
        *self.shared.state.locked()
    }

    /// Starts CouchDB. Returns when its manager says that it runs.
    pub async fn start(&self) -> Result<()> {
        self.call(Function::Start).await?;
        *self.shared.state.locked() = State::Running;
        Ok(())
    }

    /// Stops CouchDB. Returns when it has stopped.
    pub async fn stop(&self) -> Result<()> {
        self.call(Function::Stop).await?;
        *self.shared.state.locked() = State::Stopped;
        Ok(())
    }

    /// Tells whether CouchDB runs.
    pub async fn status(&self) -> Result<State> {
        let state = self.call(Function::Status).await?;
        *self.shared.state.locked() = state;
        Ok(state)
    }

    async fn call(&self, function: Function) -> Result<State> {
        let Shared { plugin, settings, node, .. } = &*self.shared;
        let failed = |failure| PluginError::Call {
            plugin: plugin.description.name.clone(),
            version: plugin.description.version.clone(),
            function: function.name(),
            node: node.shown(),
            failure,
        };
        let Ready::Service(pre) = &plugin.ready else {
            return Err(failed(CallFailure::Trap("it is not a service plugin".into())));
        };
        let running = Running { shared: Arc::clone(&self.shared), refused: Arc::default() };
        let refused = Arc::clone(&running.refused);
        let mut store = CallState::store(&plugin.engine.engine, &plugin.limits, Some(running));
        let node = node.with_settings(settings);
        let result = within(plugin.limits.service_deadline, &mut store, async |store| {
            let instance = pre.instantiate_async(&mut *store).await?;
            let service = instance.couchcopy_plugin_service();
            Ok(match function {
                Function::Start => service.call_start(store, &node).await?.map(|()| State::Running),
                Function::Stop => service.call_stop(store, &node).await?.map(|()| State::Stopped),
                Function::Status => service.call_status(store, &node).await?,
            })
        })
        .await
        .map_err(failed)?;
        // Whatever the plugin makes of a refusal, the user has to hear of it: what was to be done was not done.
        let refused = refused.locked().take();
        if let Some(command) = refused {
            return Err(failed(CallFailure::NotPermitted { command }));
        }
        result.map_err(|error| failed(CallFailure::Failed(told(&error))))
    }
}

/// What a plugin's error says.
pub(crate) fn told(error: &types::Error) -> String {
    use types::Error;
    match error {
        Error::InvalidSetting(invalid) => {
            format!("the setting {}: {}", text::printable(&invalid.name), text::printable(&invalid.problem))
        }
        Error::CommandFailed(failed) => {
            let ended = match failed.output.exit_code {
                Some(code) => format!("ended with exit code {code}"),
                None => "was ended by a signal".into(),
            };
            let said = [&failed.output.stderr, &failed.output.stdout]
                .into_iter()
                .map(|text| text::printable(text))
                .find(|text| !text.is_empty());
            let command = text::shown(&failed.command.program, &failed.command.arguments);
            format!("`{command}` {ended}{}", said.map_or_else(String::new, |said| format!(": {said}")))
        }
        Error::NotRun(RunError::NotPermitted(why) | RunError::NotFound(why) | RunError::Failed(why))
        | Error::TimedOut(why)
        | Error::Unsupported(why)
        | Error::Other(why) => text::printable(why),
    }
}
