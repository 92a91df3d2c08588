//! Why an operation could not be carried out, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use archive::ArchiveError;
use couchfile::error::CouchFileError;
use node::NodeError;
use plugin_host::PluginError;

/// Result of an operation.
pub type Result<T, E = OperationError> = std::result::Result<T, E>;

/// What kind of failure it is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// What was asked for makes no sense or is refused to protect data; nothing was changed.
    Refused,
    /// The archive is damaged, cut short, or no archive.
    Archive,
    /// The data folder is damaged or incomplete.
    Data,
    /// The system did not let us read or write.
    System,
    /// A plugin failed: CouchDB was not started or stopped, or a node was not reached.
    Plugin,
    /// A node did not do what it was asked for, or was not reached.
    Node,
    /// The user ended it.
    Interrupted,
    /// A mistake in couchcopy itself.
    Bug,
}

/// Why an operation ended.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// The system did not let us read or write.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was being done, as in "cannot …".
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The archive cannot be read or written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Something cannot be read out of an archive.
    #[error(transparent)]
    Snapshot(#[from] snapshot::Error),
    /// A database file cannot be used.
    #[error("cannot use {what}")]
    Database {
        /// Which file.
        what: String,
        /// What is wrong with it.
        source: CouchFileError,
    },
    /// What was asked for is refused; nothing was changed.
    #[error("{problem}")]
    Refused {
        /// Why.
        problem: String,
        /// What to do now.
        remedy: String,
    },
    /// The data to be saved or restored is incomplete.
    #[error("{problem}")]
    Incomplete {
        /// What is missing.
        problem: String,
        /// What to do now.
        remedy: String,
    },
    /// A plugin cannot be used, or failed.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// Something could not be done on a node.
    #[error(transparent)]
    Node(Box<NodeError>),
    /// A plugin's crate cannot be built or written.
    #[error(transparent)]
    Build(#[from] plugin_build::BuildError),
    /// A change to nodes failed and was undone.
    #[error("the restore failed, and the old data is back in place: {source}")]
    Undone {
        /// Why it failed.
        source: Box<OperationError>,
    },
    /// A change to nodes failed before any node was stopped or changed.
    #[error("the restore failed before anything was stopped or replaced: {source}")]
    Unchanged {
        /// Why it failed.
        source: Box<OperationError>,
    },
    /// CouchDB of a node was stopped, and somebody still answers at its address.
    #[error("CouchDB of {node} was stopped by {service}, but at {url} {found}")]
    StillAnswers {
        /// The node.
        node: String,
        /// Where it was asked, without credentials.
        url: String,
        /// The plugin that stopped it.
        service: String,
        /// What was found.
        found: String,
    },
    /// Another CouchDB answers at a node's address.
    #[error("at {url}, where CouchDB of {node} is expected, another one answers: {found}")]
    AnotherCouchDb {
        /// The node.
        node: String,
        /// Where it was asked, without credentials.
        url: String,
        /// Who answers.
        found: String,
    },
    /// CouchDB of a node ran while its data changed places.
    #[error(
        "CouchDB of {node} has been running for {uptime} s, since before its data changed places {exchanged} s ago: what it has \
         open may be of both"
    )]
    RanMeanwhile {
        /// The node.
        node: String,
        /// Seconds.
        uptime: u64,
        /// Seconds.
        exchanged: u64,
    },
    /// A change to nodes failed, and so did undoing it.
    #[error("the restore failed ({source}), and undoing it failed too: {undoing}")]
    HalfDone {
        /// Why it failed.
        source: Box<OperationError>,
        /// Why it could not be undone.
        undoing: Box<OperationError>,
    },
    /// The nodes do not agree on what they have.
    #[error("the nodes {}: {}", if *.lasting { "cannot agree" } else { "did not agree in time" }, .differences.join("; "))]
    Disagreement {
        /// How they differ.
        differences: Vec<String>,
        /// Whether waiting any longer would not change that.
        lasting: bool,
    },
    /// A CouchDB that couchcopy had started ended on its own.
    #[error("CouchDB {problem}; its log ends with:\n{log}")]
    CouchDbEnded {
        /// How it ended.
        problem: String,
        /// The end of its log.
        log: String,
    },
    /// The user ended it before it was done.
    #[error("interrupted; nothing is left of it")]
    Interrupted,
    /// Something that cannot be, unless couchcopy is wrong.
    #[error("couchcopy itself is at fault: {0}")]
    Bug(String),
}

impl From<NodeError> for OperationError {
    fn from(error: NodeError) -> Self {
        Self::Node(Box::new(error))
    }
}

impl OperationError {
    /// A failed system call.
    pub fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { doing, path: path.into(), source }
    }

    /// An unusable database file.
    pub fn database(what: impl Into<String>, source: CouchFileError) -> Self {
        Self::Database { what: what.into(), source }
    }

    /// A refusal.
    pub fn refused(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Refused { problem: problem.into(), remedy: remedy.into() }
    }

    /// Incomplete data.
    pub fn incomplete(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Incomplete { problem: problem.into(), remedy: remedy.into() }
    }

    /// The kind of failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } | Self::Archive(ArchiveError::Io { .. }) => ErrorKind::System,
            Self::Node(error) => match &**error {
                NodeError::Plugin(error) => plugin_kind(error),
                NodeError::Io { .. } => ErrorKind::System,
                _ => ErrorKind::Node,
            },
            Self::Archive(ArchiveError::Visit(inner)) => {
                inner.downcast_ref::<Self>().map_or(ErrorKind::Archive, Self::kind)
            }
            Self::Archive(_) => ErrorKind::Archive,
            Self::Snapshot(error) => match error {
                snapshot::Error::Archive(ArchiveError::Io { .. }) | snapshot::Error::Spool { .. } => {
                    ErrorKind::System
                }
                snapshot::Error::Archive(_) => ErrorKind::Archive,
                snapshot::Error::SeveralFolders { .. } => ErrorKind::Refused,
                _ => ErrorKind::Data,
            },
            Self::Refused { .. } | Self::Database { source: CouchFileError::Newer { .. }, .. } => {
                ErrorKind::Refused
            }
            Self::Database { .. } | Self::Incomplete { .. } => ErrorKind::Data,
            Self::Plugin(error) => plugin_kind(error),
            Self::Undone { source } | Self::Unchanged { source } | Self::HalfDone { source, .. } => {
                source.kind()
            }
            Self::Build(_) | Self::StillAnswers { .. } | Self::RanMeanwhile { .. } => ErrorKind::Plugin,
            Self::Disagreement { .. } | Self::CouchDbEnded { .. } | Self::AnotherCouchDb { .. } => {
                ErrorKind::Node
            }
            Self::Interrupted => ErrorKind::Interrupted,
            Self::Bug(_) => ErrorKind::Bug,
        }
    }

    /// What to do now.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Refused { remedy, .. } | Self::Incomplete { remedy, .. } => Some(remedy.clone()),
            Self::Io { path, source, .. } => io_remedy(path, source),
            Self::Archive(ArchiveError::Io { source, .. }) => io_remedy(Path::new(""), source),
            Self::Archive(ArchiveError::Visit(inner)) => inner.downcast_ref::<Self>().and_then(Self::remedy),
            Self::Archive(ArchiveError::NewerVersion { .. }) => {
                Some("Use a newer couchcopy for this archive.".into())
            }
            Self::Archive(_) => Some(
                "Use another copy of this archive. `couchcopy verify` tells whether an archive is whole.".into(),
            ),
            Self::Snapshot(error) => Some(error.remedy().into()),
            Self::Database { source: CouchFileError::Newer { .. }, .. } => Some(
                "The file is not damaged. Use a couchcopy that knows this CouchDB: update couchcopy on this machine and try \
                 again."
                    .into(),
            ),
            Self::Database { .. } => Some(
                "CouchDB would open this file as an empty database or not at all. Take it from another node or an \
                 older backup."
                    .into(),
            ),
            Self::Plugin(error) => Some(error.remedy()),
            Self::Node(error) => Some(error.remedy()),
            Self::Build(error) => error.remedy(),
            Self::Undone { source } | Self::Unchanged { source } => source.remedy(),
            Self::StillAnswers { node, url, .. } => Some(format!(
                "Nothing moves under a CouchDB that answers. Stop it on {node} by hand and see that `curl {url}` reports \
                 \"Connection refused\" and goes on doing so: a watchdog, a container's restart policy or a second service may \
                 start it again. Then name the plugin and settings that really control it (--service), and try again."
            )),
            Self::AnotherCouchDb { node, url, .. } => Some(format!(
                "Stop that CouchDB or give it another port: {url} belongs to {node}. If it is {node} itself and only its uuid \
                 changes at every start, set `[couchdb] uuid` in a configuration file that is kept."
            )),
            Self::RanMeanwhile { node, .. } => Some(format!(
                "Something else starts CouchDB of {node}, or its service plugin does not stop it. Find out what: a watchdog, a \
                 container's restart policy, a second service. Then restore again."
            )),
            Self::HalfDone { undoing, .. } if matches!(**undoing, Self::StillAnswers { .. }) => {
                undoing.remedy().map(|remedy| {
                    format!(
                        "{remedy} The old data is still on every node: with CouchDB stopped, `couchcopy restore --roll-back NODE…` \
                         brings it back. `couchcopy status NODE…` shows where each node stands."
                    )
                })
            }
            Self::HalfDone { .. } => Some(
                "The old data is still on every node. As soon as all nodes can be reached, run `couchcopy restore \
                 --roll-back NODE…` to bring it back, or `couchcopy restore --resume NODE…` to finish the restore. \
                 `couchcopy status NODE…` tells where each node stands."
                    .into(),
            ),
            Self::Disagreement { lasting: true, .. } => Some(
                "Waiting longer does not change that. Remove the cause on the nodes named, then restore again.".into(),
            ),
            Self::Disagreement { .. } => Some(
                "Look into CouchDB's logs on the nodes named. More time is given with --timeout.".into(),
            ),
            Self::CouchDbEnded { .. } => Some(
                "Its configuration, data and log are kept for a look with --keep. Does this CouchDB run otherwise?".into(),
            ),
            Self::Interrupted => None,
            Self::Bug(_) => Some("Please report it with the command that you gave and this message.".into()),
        }
    }

    /// Unwraps an error of ours that came back through the archive's visitor.
    #[must_use]
    pub fn from_visit(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Visit(inner) => match inner.downcast::<Self>() {
                Ok(own) => *own,
                Err(other) => Self::Archive(ArchiveError::Visit(other)),
            },
            other => Self::Archive(other),
        }
    }
}

/// An error with all its causes, on one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let next = inner.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = inner.source();
    }
    text
}

fn plugin_kind(error: &PluginError) -> ErrorKind {
    match error {
        PluginError::NotFound { .. }
        | PluginError::Settings { .. }
        | PluginError::NotGranted(_)
        | PluginError::Configuration { .. } => ErrorKind::Refused,
        PluginError::Io { .. } | PluginError::Engine(_) => ErrorKind::System,
        PluginError::Load { .. } | PluginError::Call { .. } => ErrorKind::Plugin,
    }
}

fn io_remedy(path: &Path, error: &io::Error) -> Option<String> {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Some(
            "Run couchcopy as the user that owns CouchDB's data (often `couchdb`), or as root with sudo."
                .into(),
        ),
        io::ErrorKind::StorageFull => Some(format!(
            "There is no room left. Make some{}; nothing that was there before has been changed.",
            path.parent().map_or_else(String::new, |parent| format!(" in {}", parent.display()))
        )),
        io::ErrorKind::FileTooLarge => Some(
            "No file may become that large here: `ulimit -f` shows the limit of the shell that runs couchcopy, and some file \
             systems have one."
                .into(),
        ),
        io::ErrorKind::NotFound => Some("Check the path for typing mistakes.".into()),
        _ => None,
    }
}
