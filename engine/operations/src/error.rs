//! Failures of operations that are more than a message.

use outcome::{Advice, Failure, FailureKind};

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
            Self::StillAnswers { .. } | Self::RanMeanwhile { .. } => FailureKind::Plugin,
            Self::Disagreement { .. } | Self::AnotherCouchDb { .. } => FailureKind::Node,
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
            Self::AnotherCouchDb { node, url, .. } => Some(format!(
                "Stop that CouchDB or give it another port: {url} belongs to {node}. If it is {node} itself and only its uuid \
                 changes at every start, set `[couchdb] uuid` in a configuration file that is kept."
            )),
            Self::RanMeanwhile { node, .. } => Some(format!(
                "Something else starts CouchDB of {node}, or its service plugin does not stop it. Find out what: a watchdog, a \
                 container's restart policy, a second service. Then restore again."
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

/// A CouchDB that couchcopy had started ended on its own.
#[derive(Debug, thiserror::Error)]
#[error("CouchDB {problem}; its log ends with:\n{log}")]
pub struct CouchDbEnded {
    /// How it ended.
    pub problem: String,
    /// The end of its log.
    pub log: String,
}

impl Advice for CouchDbEnded {
    fn kind(&self) -> FailureKind {
        FailureKind::Node
    }

    fn remedy(&self) -> Option<String> {
        Some("Its configuration, data and log are kept for a look with --keep. Does this CouchDB run otherwise?".into())
    }
}
