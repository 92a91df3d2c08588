//! The arguments about plugins.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use site::PluginReference;

/// Which plugins nodes take; the same for every command that touches a node.
#[derive(Debug, Args)]
pub(crate) struct PluginFlags {
    /// Starts and stops CouchDB: a plugin and its settings [default: systemd].
    #[arg(long, value_name = "NAME[:KEY=VALUE,…]")]
    pub(crate) service: Option<PluginReference>,

    /// How commands reach the node: a plugin and its settings; repeat it for a chain, the way that leads away from this
    /// machine first. Default: ssh for other machines, nothing for this one.
    #[arg(long, value_name = "NAME[:KEY=VALUE,…]")]
    pub(crate) via: Vec<PluginReference>,

    /// Command that starts CouchDB: short for --service command:start=…,stop=….
    #[arg(long, value_name = "COMMAND", requires = "couchdb_stop")]
    pub(crate) couchdb_start: Option<String>,

    /// Command that stops CouchDB.
    #[arg(long, value_name = "COMMAND", requires = "couchdb_start")]
    pub(crate) couchdb_stop: Option<String>,

    /// Run commands on the node with sudo: short for one more --via sudo at the end.
    #[arg(long)]
    pub(crate) use_sudo: bool,

    /// A TOML file that names the nodes of the cluster with their plugins. What a node argument says of one of them counts
    /// instead.
    #[arg(long, value_name = "FILE")]
    pub(crate) cluster: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) grants: GrantFlags,
}

/// How CouchDB itself is asked.
#[derive(Debug, Args)]
pub(crate) struct HttpFlags {
    /// Name of a server admin, where the node argument has none [default: admin]. The password comes from the node argument,
    /// --password-file, COUCHCOPY_PASSWORD, netrc, or is asked for.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,

    /// A file with the admin's password in its first line.
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,

    /// Where the node's CouchDB answers, if that is not http on port 5984 of its host: http://HOST[:PORT] or https://HOST[:PORT].
    /// For one node; of several, each has its own in the --cluster file.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,

    /// A PEM file with the certificate of your own certificate authority, or with CouchDB's self-signed certificate: trusted for
    /// https beside what this machine trusts. Each node can have its own as `ca` in the --cluster file.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// Speak with CouchDB through the way to the node: auto does where it does not answer directly.
    #[arg(long, value_enum, default_value_t = Tunnel::Auto, value_name = "WHEN")]
    pub(crate) tunnel: Tunnel,
}

/// When to reach CouchDB through a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tunnel {
    /// Where it does not answer directly.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What plugins may do.
#[derive(Debug, Args)]
pub(crate) struct GrantFlags {
    /// Grant a plugin that is not built in the commands that it describes, for this once: its name, path or hash.
    #[arg(long, value_name = "PLUGIN")]
    pub(crate) grant: Vec<String>,

    /// How long one start, stop or question for the status may take, in seconds [default: 300].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) deadline: Option<u64>,
}

/// What to do to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServiceVerb {
    /// Start CouchDB; returns when its manager says that it runs.
    Start,
    /// Stop CouchDB; returns when it has stopped.
    Stop,
    /// Tell whether it runs.
    Status,
}

/// Start or stop CouchDB on nodes, or tell whether it runs.
#[derive(Debug, Args)]
#[command(
    after_help = "A node is HOST[,DATA_DIR[,NODENAME]], or the name of a node in the --cluster file; without nodes it is all \
    of that file. Nodes are taken one after the other; the first failure ends it.\n\nExamples:\n  couchcopy service status \
    localhost\n  couchcopy service stop db1.example.com --via ssh:user=admin --via sudo\n  couchcopy service start --cluster \
    prod.toml"
)]
pub(crate) struct Service {
    /// What to do.
    #[arg(value_enum, value_name = "start|stop|status")]
    pub(crate) action: ServiceVerb,

    /// The nodes.
    #[arg(value_name = "NODE", required_unless_present = "cluster")]
    pub(crate) nodes: Vec<String>,

    #[command(flatten)]
    pub(crate) flags: PluginFlags,
}

/// See, try, write and grant plugins: how CouchDB is started and stopped, and how a node is reached.
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(crate) struct PluginCommand {
    /// What to do.
    #[command(subcommand)]
    pub(crate) action: PluginAction,
}

/// What to do with plugins.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginAction {
    /// List the plugins that come with couchcopy and those that are installed.
    List,
    /// Tell all about a plugin: settings, and the commands that it may run.
    Show {
        /// Its name, or the path of a file.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Load a file in the sandbox and tell what couchcopy sees; nothing of it is run but `describe`.
    Check {
        /// The plugin: a WebAssembly component.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Try a plugin by hand.
    Run(PluginRun),
    /// Write a new plugin: a Rust crate that works, with a test.
    New {
        /// Its name; also that of the new folder.
        #[arg(value_name = "NAME")]
        name: String,
        /// What it is for.
        #[arg(long, value_enum, default_value_t = NewKind::Service)]
        kind: NewKind,
    },
    /// Build a plugin's crate into a component.
    Build {
        /// The crate's folder.
        #[arg(value_name = "DIR", default_value = ".")]
        folder: PathBuf,
        /// Where to write the component [default: NAME.wasm in the crate's folder].
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// List, add and revoke what plugins that are not built in have been granted.
    Grants {
        /// Remember a grant for this plugin, as its file is now.
        #[arg(long, value_name = "NAME|FILE", conflicts_with = "revoke")]
        add: Option<String>,
        /// Forget the grants of a plugin.
        #[arg(long, value_name = "NAME|FILE|HASH")]
        revoke: Option<String>,
    },
}

/// What a new plugin is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NewKind {
    /// It starts and stops CouchDB.
    Service,
    /// It says how a command reaches a node.
    Access,
}

/// What to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunVerb {
    /// A service plugin: start CouchDB.
    Start,
    /// A service plugin: stop CouchDB.
    Stop,
    /// A service plugin: tell whether CouchDB runs.
    Status,
    /// A node-access plugin: run the command after `--` on the node.
    Exec,
    /// A node-access plugin that can tunnel: connect standard input and output to the HOST:PORT after `--`, as seen from the
    /// node.
    Connect,
}

/// Try a plugin by hand.
#[derive(Debug, Args)]
#[command(
    after_help = "-v shows every command that is run, with its exit code.\n\nExamples:\n  couchcopy plugin run systemd \
    status\n  couchcopy plugin run ./mine.wasm:place=/srv/couch stop db1 --via ssh --via sudo --grant mine\n  couchcopy \
    plugin run docker:container=couch exec -- ls /opt/couchdb/data\n  couchcopy plugin run ssh connect db1 -- \
    localhost:5984"
)]
pub(crate) struct PluginRun {
    /// The plugin with its settings; a name, or a path with a / or ending in .wasm.
    #[arg(value_name = "NAME[:KEY=VALUE,…]")]
    pub(crate) plugin: PluginReference,

    /// What to do.
    #[arg(value_enum, value_name = "start|stop|status|exec|connect")]
    pub(crate) action: RunVerb,

    /// The node, as HOST[,DATA_DIR[,NODENAME]].
    #[arg(value_name = "NODE", default_value = "localhost")]
    pub(crate) node: String,

    /// The command to run on the node, for `exec`; the port to reach from there, for `connect`.
    #[arg(last = true, value_name = "PROGRAM [ARGUMENT…]|HOST:PORT")]
    pub(crate) command: Vec<String>,

    /// How the node is reached, before the plugin itself where that is a node-access plugin; repeat it for a chain, the way
    /// that leads away from this machine first.
    #[arg(long, value_name = "NAME[:KEY=VALUE,…]")]
    pub(crate) via: Vec<PluginReference>,

    #[command(flatten)]
    pub(crate) grants: GrantFlags,
}
