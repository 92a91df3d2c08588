//! `couchcopy plugin run`: one call of a plugin.

mod documents;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use outcome::{Code, Failure, Result};
use plugin_host::{Command, Inherited, State};
use site::plugins::ServiceAction;
use site::{PluginChoice, PluginReference, SiteNode, with_settings_of_file};

use crate::commands::service::NodeState;
use crate::exit::Outcome;
use crate::flags::grants::GrantFlags;
use crate::node_argument;
use crate::session::Session;

/// Run a plugin by hand.
#[derive(Debug, Args)]
#[command(
    after_long_help = "-v shows every command that the plugin runs, with its exit code. `exec` and `connect` exit with the code of the \
    program that they run.\n\n\
    Examples:\n  \
    couchcopy plugin run systemd status\n  \
    couchcopy plugin run ./mine.wasm:place=/srv/couch stop db1 \\\n    --via ssh --via sudo --grant mine\n  \
    couchcopy plugin run docker:container=couch exec -- \\\n    ls /opt/couchdb/data\n  \
    couchcopy plugin run ssh connect db1 -- localhost:5984\n  \
    couchcopy dump backup.tar.gz shop |\n    couchcopy plugin run anonymise filter --settings anonymise.toml"
)]
pub(crate) struct Run {
    /// The plugin and its settings, as NAME[:KEY=VALUE,…].
    ///
    /// NAME is the plugin's name, or a path that contains a / or ends in .wasm.
    #[arg(value_name = "PLUGIN")]
    plugin: PluginReference,

    /// What to do.
    #[arg(value_enum, value_name = "start|stop|status|exec|connect|filter")]
    action: Verb,

    /// The node, as HOST[,DATA_DIR[,NODENAME]].
    #[arg(value_name = "NODE", default_value = "localhost")]
    node: String,

    /// The command to run on the node (`exec`), or the port to connect to (`connect`).
    ///
    /// HOST is a name or address that the node's machine can resolve.
    #[arg(last = true, value_name = "PROGRAM [ARGUMENT…]|HOST:PORT")]
    command: Vec<String>,

    /// Node-access plugin that carries commands to the node. Can be repeated.
    ///
    /// PLUGIN is NAME[:KEY=VALUE,…]. Repeat the option to build an access chain, outermost hop first. If the plugin that is run is
    /// a node-access plugin, it is the last hop.
    #[arg(long, value_name = "PLUGIN", help_heading = "Nodes and access")]
    via: Vec<PluginReference>,

    /// TOML file with settings of the plugin, such as a key, which others could see on a command line.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,

    /// With `filter`: the name of the database that the documents are from.
    #[arg(long, value_name = "NAME", default_value = "test")]
    database: String,

    #[command(flatten)]
    grants: GrantFlags,
}

/// What to do with a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Verb {
    /// Service plugin: start CouchDB.
    Start,
    /// Service plugin: stop CouchDB.
    Stop,
    /// Service plugin: show whether CouchDB runs.
    Status,
    /// Node-access plugin: run the command after `--` on the node.
    Exec,
    /// Node-access plugin that can tunnel: connect standard input and output to the HOST:PORT after `--`.
    Connect,
    /// Document filter: read documents from standard input, one per line, and write what becomes of them.
    Filter,
}

impl Run {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let plugin = match &self.settings {
            Some(file) => with_settings_of_file(self.plugin.clone(), file)?,
            None => self.plugin.clone(),
        };
        if self.action == Verb::Filter {
            return self.filter(&plugin, session);
        }
        let choice =
            PluginChoice { service: Some(plugin.clone()), via: self.via.clone(), ..PluginChoice::default() };
        let mut node = choice.node(node_argument::node(&self.node)?)?;
        let action = match self.action {
            Verb::Start => ServiceAction::Start,
            Verb::Stop => ServiceAction::Stop,
            Verb::Status => ServiceAction::Status,
            Verb::Exec | Verb::Connect | Verb::Filter => {
                node.via.clone_from(&self.via);
                node.via.push(plugin);
                return if self.action == Verb::Exec {
                    self.execute(&node, session)
                } else {
                    self.connect(&node, session)
                };
            }
        };
        if !self.command.is_empty() {
            return Err(Failure::refused(
                Code::new("CC-X13"),
                "only `exec` and `connect` take words after --",
                "Remove these words, or write `exec` or `connect` instead of start, stop or status.",
            ));
        }
        let (state, plugin) = self.grants.plugins(session)?.service(&node, action)?;
        let state = NodeState::new(node.shown(), plugin, state);
        match action {
            ServiceAction::Status => session.answer(&state, |state| state.word().to_owned()),
            ServiceAction::Start | ServiceAction::Stop => {
                session.summary(&state, |state| state.word().to_owned());
            }
        }
        Ok(Outcome::Done)
    }

    fn execute(&self, node: &SiteNode, session: &Session) -> Result<Outcome> {
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(Failure::refused(
                Code::new("CC-X14"),
                "there is no command to run",
                "Write it after --, e.g. `couchcopy plugin run ssh exec db1 -- uname -n`.",
            ));
        };
        let command = Command { program: program.clone(), arguments: arguments.to_vec() };
        let plugins = self.grants.plugins(session)?;
        Ok(ended(plugins.execute(node, &command, State::Unknown)?))
    }

    fn connect(&self, node: &SiteNode, session: &Session) -> Result<Outcome> {
        let [port] = self.command.as_slice() else {
            return Err(Failure::refused(
                Code::new("CC-X15"),
                "there is no port to connect to, or more than one",
                "Write it after --, e.g. `couchcopy plugin run ssh connect db1 -- localhost:5984`.",
            ));
        };
        let (host, port) = node_argument::host_and_port(port)?;
        let plugins = self.grants.plugins(session)?;
        Ok(ended(plugins.connect_to_port(node, host, port, State::Unknown)?))
    }
}

fn ended(program: Inherited) -> Outcome {
    match program {
        Inherited::Code(0) => Outcome::Done,
        Inherited::Code(code) => Outcome::Ended(u8::try_from(code).unwrap_or(u8::MAX)),
        Inherited::Signal(signal) => {
            Outcome::Ended(128u8.saturating_add(u8::try_from(signal).unwrap_or(127)))
        }
    }
}
