//! `couchcopy service`.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use outcome::Result;
use plugin_host::State;
use serde::Serialize;
use site::plugins::ServiceAction;

use crate::exit::Outcome;
use crate::flags::access::AccessFlags;
use crate::session::Session;

/// Start or stop CouchDB on nodes, or show whether it runs.
#[derive(Debug, Args)]
#[command(
    after_long_help = "A node is written as HOST[,DATA_DIR[,NODENAME]], or as the name of a node in the --cluster file. Nodes are taken \
    one after the other; the first failure ends the command.\n\n\
    To show whether a restore is unfinished, use `couchcopy status`.\n\n\
    Examples:\n  \
    couchcopy service status localhost\n  \
    couchcopy service stop db1.example.com --via ssh:user=admin --via sudo\n  \
    couchcopy service start --cluster prod.toml"
)]
pub(crate) struct Service {
    /// What to do.
    #[arg(value_enum, value_name = "start|stop|status")]
    action: ServiceVerb,

    /// The nodes.
    ///
    /// Defaults to all nodes of the cluster in the --cluster file or in the configuration file.
    #[arg(value_name = "NODE")]
    nodes: Vec<String>,

    #[command(flatten)]
    access: AccessFlags,
}

/// What to do with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ServiceVerb {
    /// Start CouchDB, and return when its service manager reports that it runs.
    Start,
    /// Stop CouchDB, and return when it has stopped.
    Stop,
    /// Show whether CouchDB runs.
    Status,
}

/// Whether CouchDB runs on a node, as `--json` prints it.
#[derive(Serialize)]
pub(crate) struct NodeState {
    node: String,
    plugin: String,
    state: &'static str,
}

impl NodeState {
    pub(crate) fn new(node: String, plugin: String, state: State) -> Self {
        let state = match state {
            State::Running => "running",
            State::Stopped => "stopped",
            State::Unknown => "unknown",
        };
        Self { node, plugin, state }
    }

    /// The state as a word.
    pub(crate) fn word(&self) -> &'static str {
        self.state
    }
}

impl Service {
    /// Whether the command line names nodes or a cluster.
    pub(super) fn has_nodes(&self) -> bool {
        !self.nodes.is_empty() || self.access.cluster.is_some()
    }

    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let nodes = self.access.nodes(&self.nodes, session)?;
        let plugins = self.access.grants.plugins(session)?;
        let action = match self.action {
            ServiceVerb::Start => ServiceAction::Start,
            ServiceVerb::Stop => ServiceAction::Stop,
            ServiceVerb::Status => ServiceAction::Status,
        };
        let mut states = Vec::new();
        for node in &nodes {
            let (state, plugin) = plugins.service(node, action)?;
            states.push(NodeState::new(node.shown(), plugin, state));
        }
        match action {
            ServiceAction::Status => session.answer(&states, |states| text(states)),
            ServiceAction::Start | ServiceAction::Stop => session.summary(&states, |states| text(states)),
        }
        Ok(Outcome::Done)
    }
}

fn text(states: &[NodeState]) -> String {
    states.iter().fold(String::new(), |mut text, state| {
        let _ = writeln!(text, "{:<8} {}  ({})", state.state, state.node, state.plugin);
        text
    })
}
