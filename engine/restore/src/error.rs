//! Errors of changes to nodes.

use outcome::{Advice, Code, Failure, FailureKind};

use crate::swap::Change;

/// A change to nodes failed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// A change to nodes failed and was rolled back.
    #[error("the {change} failed, and the old data is back in place: {source}")]
    Undone {
        /// What failed.
        change: Change,
        /// Why the change failed.
        source: Box<Failure>,
    },
    /// A change to nodes failed before any node was stopped or changed.
    #[error("the {change} failed before anything was stopped or replaced: {source}")]
    Unchanged {
        /// What failed.
        change: Change,
        /// Why the change failed.
        source: Box<Failure>,
    },
    /// A change to nodes failed, and rolling it back failed too.
    #[error("the {change} failed ({source}), and rolling back failed too: {undoing}")]
    HalfDone {
        /// What failed.
        change: Change,
        /// Why the change failed.
        source: Box<Failure>,
        /// Why rolling back failed.
        undoing: Box<Failure>,
    },
    /// CouchDB of a node was stopped, and something still answers at its address.
    #[error("CouchDB of {node} was stopped by {service}, but at {url} {found}")]
    StillAnswers {
        /// The node.
        node: String,
        /// The address of the request, without credentials.
        url: String,
        /// The plugin that stopped it.
        service: String,
        /// What was found.
        found: String,
    },
    /// CouchDB of a node ran while its data was swapped, and it has not been stopped since. The old data is in place everywhere, and
    /// the other nodes are not started.
    #[error(
        "the old data is back in place on every node, but CouchDB of {node}, which ran while its data was swapped, {found}: it may have \
         files of the new data open, so the other nodes were not started"
    )]
    NeverStopped {
        /// The node.
        node: String,
        /// What shows that it has not been stopped.
        found: String,
    },
    /// The nodes do not agree.
    #[error("the nodes {}: {}", if *.lasting { "cannot agree" } else { "did not agree in time" }, .differences.join("; "))]
    Disagreement {
        /// How the nodes differ.
        differences: Vec<String>,
        /// Whether waiting longer would not change that.
        lasting: bool,
    },
}

impl Advice for ChangeError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Undone { source, .. } | Self::Unchanged { source, .. } | Self::HalfDone { source, .. } => {
                source.kind()
            }
            Self::StillAnswers { .. } | Self::NeverStopped { .. } => FailureKind::Plugin,
            Self::Disagreement { .. } => FailureKind::Node,
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Undone { source, .. } | Self::Unchanged { source, .. } => source.code(),
            Self::HalfDone { .. } => Code::new("CC-R54"),
            Self::StillAnswers { .. } => Code::new("CC-R55"),
            Self::NeverStopped { .. } => Code::new("CC-R58"),
            Self::Disagreement { lasting: true, .. } => Code::new("CC-R56"),
            Self::Disagreement { .. } => Code::new("CC-R57"),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Undone { source, .. } | Self::Unchanged { source, .. } => source.remedy(),
            Self::StillAnswers { node, url, .. } => Some(format!(
                "couchcopy does not move data while CouchDB answers. Stop it on {node} by hand and check that `curl {url}` \
                 reports \"Connection refused\" and continues to do so: a watchdog, a container's restart policy or a second \
                 service may start it again. Then give the plugin and settings that control it (--service), and try again."
            )),
            Self::NeverStopped { node, .. } => Some(format!(
                "End the process of CouchDB on {node} by hand and start it again. Then run `couchcopy restore --roll-back NODE…`, which \
                 starts the other nodes. Afterwards find out why the service plugin did not stop it: a watchdog, a container's \
                 restart policy or a second service."
            )),
            Self::HalfDone { undoing, .. } if matches!(undoing.get::<Self>(), Some(Self::NeverStopped { .. })) => {
                undoing.remedy()
            }
            Self::HalfDone { undoing, change, .. }
                if matches!(undoing.get::<Self>(), Some(Self::StillAnswers { .. })) =>
            {
                undoing.remedy().map(|remedy| {
                    format!(
                        "{remedy} The old data is still on every node: with CouchDB stopped, run `couchcopy {} --roll-back \
                         NODE…` to restore it. `couchcopy status NODE…` shows the state of each node.",
                        change.command()
                    )
                })
            }
            Self::HalfDone { change, .. } => Some(format!(
                "The old data is still on every node. As soon as all nodes can be reached, run `couchcopy {command} --roll-back \
                 NODE…` to restore it, or `couchcopy {command} --resume NODE…` to finish the {change}. `couchcopy status \
                 NODE…` shows the state of each node.",
                command = change.command()
            )),
            Self::Disagreement { lasting: true, .. } => Some(
                "Waiting longer does not help. Remove the cause on these nodes, then restore again.".into(),
            ),
            Self::Disagreement { .. } => Some(
                "Check CouchDB's logs on these nodes. Give more time with --timeout.".into(),
            ),
        }
    }
}
