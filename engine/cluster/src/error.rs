//! Failures of a cluster's nodes to be who they should be.

use outcome::{Advice, Code, FailureKind};

/// A node is not the one that it should be, or not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
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
}

impl Advice for ClusterError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::AnotherCouchDb { .. } => FailureKind::Node,
            Self::RanMeanwhile { .. } => FailureKind::Plugin,
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::AnotherCouchDb { .. } => Code::new("CC-N13"),
            Self::RanMeanwhile { .. } => Code::new("CC-N14"),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::AnotherCouchDb { node, url, .. } => Some(format!(
                "Stop that CouchDB or give it another port: {url} belongs to {node}. If it is {node} itself and only its uuid \
                 changes at every start, set `[couchdb] uuid` in a configuration file that is kept."
            )),
            Self::RanMeanwhile { node, .. } => Some(format!(
                "Something else starts CouchDB of {node}, or its service plugin does not stop it. Find out what: a watchdog, a \
                 container's restart policy, a second service. Then restore again."
            )),
        }
    }
}
