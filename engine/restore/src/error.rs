//! Failures of operations that are more than a message.

use outcome::{Advice, Code, Failure, FailureKind};

/// A change to nodes failed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// A change to nodes failed and was undone.
    #[error("the restore failed, and the old data is back in place: {source}")]
    Undone {
        /// Why it failed.
        source: Box<Failure>,
    },
    /// A change to nodes failed before any node was stopped or changed.
    #[error("the restore failed before anything was stopped or replaced: {source}")]
    Unchanged {
        /// Why it failed.
        source: Box<Failure>,
    },
    /// A change to nodes failed, and so did undoing it.
    #[error("the restore failed ({source}), and undoing it failed too: {undoing}")]
    HalfDone {
        /// Why it failed.
        source: Box<Failure>,
        /// Why it could not be undone.
        undoing: Box<Failure>,
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
    /// The nodes do not agree on what they have.
    #[error("the nodes {}: {}", if *.lasting { "cannot agree" } else { "did not agree in time" }, .differences.join("; "))]
    Disagreement {
        /// How they differ.
        differences: Vec<String>,
        /// Whether waiting any longer would not change that.
        lasting: bool,
    },
}

impl Advice for ChangeError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Undone { source } | Self::Unchanged { source } | Self::HalfDone { source, .. } => {
                source.kind()
            }
            Self::StillAnswers { .. } => FailureKind::Plugin,
            Self::Disagreement { .. } => FailureKind::Node,
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Undone { source } | Self::Unchanged { source } => source.code(),
            Self::HalfDone { .. } => Code::new("CC-R54"),
            Self::StillAnswers { .. } => Code::new("CC-R55"),
            Self::Disagreement { lasting: true, .. } => Code::new("CC-R56"),
            Self::Disagreement { .. } => Code::new("CC-R57"),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Undone { source } | Self::Unchanged { source } => source.remedy(),
            Self::StillAnswers { node, url, .. } => Some(format!(
                "Nothing moves under a CouchDB that answers. Stop it on {node} by hand and see that `curl {url}` reports \
                 \"Connection refused\" and goes on doing so: a watchdog, a container's restart policy or a second service may \
                 start it again. Then name the plugin and settings that really control it (--service), and try again."
            )),
            Self::HalfDone { undoing, .. }
                if matches!(undoing.get::<Self>(), Some(Self::StillAnswers { .. })) =>
            {
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
        }
    }
}
