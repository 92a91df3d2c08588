//! What can go wrong on a node.

use std::io;
use std::path::PathBuf;

use outcome::{Advice, Code, Failure, FailureKind};
use plugin_host::PluginError;

use crate::http::Foreign;

/// Result of something done on a node.
pub type Result<T, E = NodeError> = std::result::Result<T, E>;

/// Why something could not be done on a node. Every message names the node.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A file of this machine cannot be read or changed.
    #[error("cannot {doing} {path} of {node}")]
    Io {
        /// The node.
        node: String,
        /// What was being done, as in "cannot …".
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error that the system reported.
        source: io::Error,
    },
    /// A program on the node failed.
    #[error("cannot {doing} on {node}: `{command}` {problem}")]
    Program {
        /// The node.
        node: String,
        /// What was being done, as in "cannot …".
        doing: String,
        /// The program with its arguments, without the access chain to the node.
        command: String,
        /// How it ended and what it reported.
        problem: String,
    },
    /// The node cannot be reached, or the connection broke.
    #[error("cannot {doing} on {node}: the connection failed: {problem}")]
    Connection {
        /// The node.
        node: String,
        /// What was being done, as in "cannot …".
        doing: String,
        /// What is known about the failure.
        problem: String,
    },
    /// The connection to the node lost a part of what a program wrote or was to read, or passed it on twice.
    #[error(
        "cannot {doing} on {node}: what `{command}` wrote, or was sent, did not arrive completely: {problem}"
    )]
    Incomplete {
        /// The node.
        node: String,
        /// What was being done, as in "cannot …".
        doing: String,
        /// The program with its arguments, without the access chain to the node.
        command: String,
        /// What is missing.
        problem: String,
    },
    /// The output of a program contains other text.
    #[error("cannot {doing} on {node}: the output of `{command}` contains other text: {text:?}")]
    Garbled {
        /// The node.
        node: String,
        /// What was being done, as in "cannot …".
        doing: String,
        /// The program with its arguments, without the access chain to the node.
        command: String,
        /// The beginning of that text.
        text: String,
    },
    /// The answer of a program or of CouchDB cannot be used.
    #[error("{node} answered {asked} with something that couchcopy cannot use: {problem}")]
    Answer {
        /// The node.
        node: String,
        /// The request or the command.
        asked: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No answer to an HTTP request.
    #[error("CouchDB of {node} does not answer at {url}: {problem}")]
    NoAnswer {
        /// The node.
        node: String,
        /// The URL of the request, without credentials.
        url: String,
        /// Why.
        problem: String,
    },
    /// CouchDB does not accept the credentials.
    #[error("CouchDB of {node} does not accept the name and password for {request} ({reason})")]
    Unauthorized {
        /// The node.
        node: String,
        /// Method and path.
        request: String,
        /// The reason that CouchDB gave.
        reason: String,
    },
    /// CouchDB refused a request.
    #[error("CouchDB of {node} answered {status} to {request}: {reason}")]
    Http {
        /// The node.
        node: String,
        /// Method and path.
        request: String,
        /// The status.
        status: u16,
        /// The reason that it gave.
        reason: String,
    },
    /// The server does not speak the expected protocol, or its certificate is not accepted.
    #[error("cannot speak with CouchDB of {node} at {url}: {problem}")]
    Tls {
        /// The node.
        node: String,
        /// The URL of the request, without credentials.
        url: String,
        /// What is wrong.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// Another server answered in the place of CouchDB.
    #[error(
        "at {url}, where CouchDB of {node} is expected, {} answers {status} to {request}: {}",
        answered.server,
        answered.said
    )]
    NotCouchDb {
        /// The node.
        node: String,
        /// The URL of the request, without credentials.
        url: String,
        /// Method and path.
        request: String,
        /// The status.
        status: u16,
        /// The server that answered, and its answer.
        answered: Box<Foreign>,
    },
    /// No plugin of the access chain can open a tunnel.
    #[error("no plugin of the access chain to {node} can open a tunnel")]
    NoTunnel {
        /// The node.
        node: String,
    },
    /// A plugin failed.
    #[error(transparent)]
    Plugin(#[from] PluginError),
}

/// What `sudo` and `doas` print if they would prompt for a password, or have no rule.
const NO_RULE: [&str; 5] = [
    "sudo: a password is required",
    "sudo: a terminal is required",
    "is not allowed to execute",
    "is not in the sudoers file",
    "may not run sudo",
];

impl NodeError {
    /// Whether the connection to the node failed, rather than what was done there: it may succeed when it is tried again.
    pub fn is_of_the_way(&self) -> bool {
        matches!(self, Self::Connection { .. } | Self::Incomplete { .. })
    }

    fn advice(&self) -> String {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => {
                    "Run couchcopy as the user that owns CouchDB's data (often `couchdb`), or as root with sudo.".into()
                }
                io::ErrorKind::StorageFull => "The file system on that node is full. Free some space.".into(),
                _ => "Check the path and its permissions.".into(),
            },
            Self::Program { problem, .. } if NO_RULE.iter().any(|said| problem.contains(said)) => {
                "sudo on that node requires a password. Run `visudo` there and add this line, with USER replaced by the user \
                 that connects (or by the user that --via leads to before sudo): `USER ALL=(ALL) NOPASSWD: ALL`. Or connect \
                 as the user that owns CouchDB's data, without --use-sudo."
                    .into()
            }
            Self::Program { problem, .. } if problem.contains("doas: ") => {
                "doas on that node refuses the command. Add this line to /etc/doas.conf there, with USER replaced by the user \
                 that connects: `permit nopass USER`."
                    .into()
            }
            Self::Program { problem, .. } if problem.contains("is there already") => {
                "couchcopy does not replace existing files. Compare the two, move away the file that does not belong there, \
                 and run the same command again."
                    .into()
            }
            Self::Program { .. } => {
                "Commands on the node run as the user that --via leads to: that user must own CouchDB's data, or be root \
                 (--use-sudo). The node needs tar, find, stat, tail, xargs, env, readlink, df, mkdir, mv, rm and sync."
                    .into()
            }
            Self::Connection { .. } => {
                "Test the connection with `couchcopy plugin run ssh exec HOST -- true` (replace ssh with the plugin that --via \
                 names). Nothing is lost: run the same command again."
                    .into()
            }
            Self::Incomplete { node, .. } => format!(
                "Run the same command again. If this happens again, the program that leads to the node (ssh, kubectl, docker, \
                 podman) loses data: update it, or use another program. `couchcopy plugin run ssh exec {node} -- seq 100000 | \
                 tail -n 1` must print 100000 (replace ssh with the plugin that --via names)."
            ),
            Self::Garbled { node, .. } => format!(
                "A program between this machine and the node writes its own text to standard output: often a login script \
                 (.bashrc, .profile) or a ForceCommand. Print such text only in interactive shells, or to standard error. \
                 `couchcopy plugin run ssh exec {node} -- true` must print nothing (replace ssh with the plugin that --via \
                 names)."
            ),
            Self::Answer { .. } => "Check that it is a CouchDB 3 node. -v shows what was run.".into(),
            Self::NoAnswer { .. } => {
                "Check host and port of the node argument, and that CouchDB runs. If CouchDB listens on its own machine \
                 only, add --tunnel always."
                    .into()
            }
            Self::Unauthorized { reason, .. } if reason.contains("temporarily locked") => {
                "CouchDB has locked that name after too many wrong passwords. Wait five minutes, or restart that node; then use \
                 the right password. `[chttpd_auth_lockout]` in its configuration sets the limits."
                    .into()
            }
            Self::Unauthorized { .. } => {
                "Supply the name and password of a server admin: as user:password@host, in COUCHCOPY_PASSWORD, or with \
                 --password-file."
                    .into()
            }
            Self::Http { .. } => "Check CouchDB's log on that node.".into(),
            Self::Tls { remedy, .. } => remedy.clone(),
            Self::NotCouchDb { .. } => {
                "That is a proxy, a load balancer or another server. Name the address of the node's own CouchDB: HOST:PORT, \
                 --url, or `url` in the cluster file; or reach it through the node with --tunnel always."
                    .into()
            }
            Self::NoTunnel { .. } => {
                "ssh can open a tunnel: reach the node with --via ssh, or omit --tunnel always.".into()
            }
            Self::Plugin(error) => error.remedy().unwrap_or_default(),
        }
    }
}

impl Advice for NodeError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Plugin(error) => error.kind(),
            Self::Io { .. } => FailureKind::System,
            _ => FailureKind::Node,
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Io { .. } => Code::new("CC-N01"),
            Self::Program { .. } => Code::new("CC-N02"),
            Self::Connection { .. } => Code::new("CC-N03"),
            Self::Incomplete { .. } => Code::new("CC-N04"),
            Self::Garbled { .. } => Code::new("CC-N05"),
            Self::Answer { .. } => Code::new("CC-N06"),
            Self::NoAnswer { .. } => Code::new("CC-N07"),
            Self::Unauthorized { .. } => Code::new("CC-N08"),
            Self::Http { .. } => Code::new("CC-N09"),
            Self::Tls { .. } => Code::new("CC-N10"),
            Self::NotCouchDb { .. } => Code::new("CC-N11"),
            Self::NoTunnel { .. } => Code::new("CC-N12"),
            Self::Plugin(error) => error.code(),
        }
    }

    fn remedy(&self) -> Option<String> {
        Some(self.advice())
    }
}

/// Whether the connection to a node failed, rather than what was done there; see [`NodeError::is_of_the_way`].
pub fn is_of_the_way(failure: &Failure) -> bool {
    failure.get::<NodeError>().is_some_and(NodeError::is_of_the_way)
}
