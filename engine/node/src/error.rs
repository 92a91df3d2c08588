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
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program on the node failed.
    #[error("cannot {doing} on {node}: `{command}` {problem}")]
    Program {
        /// The node.
        node: String,
        /// What was being done, as in "cannot …".
        doing: String,
        /// The program with its arguments, without the way to the node.
        command: String,
        /// How it ended and what it said.
        problem: String,
    },
    /// The node cannot be reached, or the connection broke.
    #[error("cannot {doing} on {node}: the connection failed: {problem}")]
    Connection {
        /// The node.
        node: String,
        /// What was being done, as in "cannot …".
        doing: String,
        /// What is known.
        problem: String,
    },
    /// The way to the node lost some of what a program wrote or was to read, or passed it on twice.
    #[error(
        "cannot {doing} on {node}: what `{command}` wrote, or was sent, did not arrive completely: {problem}"
    )]
    Incomplete {
        /// The node.
        node: String,
        /// What was being done, as in "cannot …".
        doing: String,
        /// The program with its arguments, without the way to the node.
        command: String,
        /// What is missing.
        problem: String,
    },
    /// There is other text in what a program wrote.
    #[error("cannot {doing} on {node}: the output of `{command}` contains other text: {text:?}")]
    Garbled {
        /// The node.
        node: String,
        /// What was being done, as in "cannot …".
        doing: String,
        /// The program with its arguments, without the way to the node.
        command: String,
        /// The beginning of that text.
        text: String,
    },
    /// A program or CouchDB answered something that makes no sense.
    #[error("{node} gave an answer to {asked} that makes no sense: {problem}")]
    Answer {
        /// The node.
        node: String,
        /// What was asked.
        asked: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No answer to an HTTP request.
    #[error("CouchDB of {node} does not answer at {url}: {problem}")]
    NoAnswer {
        /// The node.
        node: String,
        /// Where it was asked, without credentials.
        url: String,
        /// Why.
        problem: String,
    },
    /// CouchDB does not let us in.
    #[error("CouchDB of {node} does not accept the name and password for {request} ({reason})")]
    Unauthorized {
        /// The node.
        node: String,
        /// Method and path.
        request: String,
        /// What CouchDB said.
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
        /// What it said.
        reason: String,
    },
    /// What answers does not speak as was expected, or its certificate is not accepted.
    #[error("cannot speak with CouchDB of {node} at {url}: {problem}")]
    Tls {
        /// The node.
        node: String,
        /// Where it was asked, without credentials.
        url: String,
        /// What is wrong.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// Somebody between us and CouchDB answered in its place.
    #[error(
        "at {url}, where CouchDB of {node} is expected, {} answers {status} to {request}: {}",
        answered.server,
        answered.said
    )]
    NotCouchDb {
        /// The node.
        node: String,
        /// Where it was asked, without credentials.
        url: String,
        /// Method and path.
        request: String,
        /// The status.
        status: u16,
        /// Who answered, and what.
        answered: Box<Foreign>,
    },
    /// No way to the node can make a tunnel.
    #[error("no way to {node} can make a tunnel")]
    NoTunnel {
        /// The node.
        node: String,
    },
    /// A plugin failed.
    #[error(transparent)]
    Plugin(#[from] PluginError),
}

/// What `sudo` and `doas` say where they would ask for a password, or have no rule.
const NO_RULE: [&str; 5] = [
    "sudo: a password is required",
    "sudo: a terminal is required",
    "is not allowed to execute",
    "is not in the sudoers file",
    "may not run sudo",
];

impl NodeError {
    /// Whether the way to the node failed, rather than what was done there: the same may succeed when it is tried again.
    pub fn is_of_the_way(&self) -> bool {
        matches!(self, Self::Connection { .. } | Self::Incomplete { .. })
    }

    fn advice(&self) -> String {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => {
                    "Run couchcopy as the user that owns CouchDB's data (often `couchdb`), or as root with sudo.".into()
                }
                io::ErrorKind::StorageFull => "There is no room left on that node. Make some.".into(),
                _ => "Check the path, and who may read and write it.".into(),
            },
            Self::Program { problem, .. } if NO_RULE.iter().any(|said| problem.contains(said)) => {
                "sudo on that node wants a password. Run `visudo` there and add this line, with the name of the user that \
                 connects (or of the one that --via leads to before sudo) instead of USER: `USER ALL=(ALL) NOPASSWD: ALL`. \
                 Or connect as the user that owns CouchDB's data, and leave out --use-sudo."
                    .into()
            }
            Self::Program { problem, .. } if problem.contains("doas: ") => {
                "doas on that node refuses. Add this line to /etc/doas.conf there, with the name of the user that connects \
                 instead of USER: `permit nopass USER`."
                    .into()
            }
            Self::Program { problem, .. } if problem.contains("is there already") => {
                "couchcopy replaces nothing. Compare both; move away the one that does not belong there, and run the same \
                 command again."
                    .into()
            }
            Self::Program { .. } => {
                "Commands on the node run as the user that --via leads to: it has to own CouchDB's data, or be root \
                 (--use-sudo). The node needs tar, find, stat, tail, xargs, env, readlink, df, mkdir, mv, rm and sync."
                    .into()
            }
            Self::Connection { .. } => {
                "Try the way by hand: `couchcopy plugin run ssh exec HOST -- true`. Nothing is lost: the same command can \
                 be given again."
                    .into()
            }
            Self::Incomplete { node, .. } => format!(
                "Run the same command again. If this happens again, the program that leads to the node (ssh, kubectl, docker, \
                 podman) loses data: update it, or use another way. `couchcopy plugin run ssh exec {node} -- seq 100000 | tail \
                 -n 1` must print 100000 (instead of ssh write the plugin that --via names)."
            ),
            Self::Garbled { node, .. } => format!(
                "Something on the way to the node writes text of its own to standard output: often a login script (.bashrc, \
                 .profile) or a ForceCommand. Print such text only in interactive shells, or to standard error. `couchcopy \
                 plugin run ssh exec {node} -- true` must print nothing (instead of ssh write the plugin that --via names)."
            ),
            Self::Answer { .. } => "Is that a CouchDB 3 node? -v shows what was run.".into(),
            Self::NoAnswer { .. } => {
                "Check host and port of the node argument, and that CouchDB runs. If it listens to its own machine only, \
                 give --tunnel always."
                    .into()
            }
            Self::Unauthorized { reason, .. } if reason.contains("temporarily locked") => {
                "CouchDB has locked that name after too many wrong passwords. Wait five minutes, or restart that node; then give \
                 the right password. `[chttpd_auth_lockout]` in its configuration sets the limits."
                    .into()
            }
            Self::Unauthorized { .. } => {
                "Give name and password of a server admin: as user:password@host, in COUCHCOPY_PASSWORD, or by \
                 --password-file."
                    .into()
            }
            Self::Http { .. } => "Look into CouchDB's log on that node.".into(),
            Self::Tls { remedy, .. } => remedy.clone(),
            Self::NotCouchDb { .. } => {
                "That is a proxy, a load balancer or another server. Give the address of the node's own CouchDB: HOST:PORT, --url, \
                 `url` in the cluster file, or reach it through the node with --tunnel always."
                    .into()
            }
            Self::NoTunnel { .. } => {
                "ssh can: reach the node with --via ssh, or leave out --tunnel always.".into()
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

/// Whether the way to a node failed, rather than what was done there; see [`NodeError::is_of_the_way`].
pub fn is_of_the_way(failure: &Failure) -> bool {
    failure.get::<NodeError>().is_some_and(NodeError::is_of_the_way)
}
