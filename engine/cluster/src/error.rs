//! Errors about the identity of a cluster's nodes.

use outcome::{Advice, Code, FailureKind};

/// A node is not the expected one, or is not in the expected state.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Another CouchDB answers at a node's address.
    #[error("another CouchDB answers at {url}, the address of {node}: {found}")]
    AnotherCouchDb {
        /// The node.
        node: String,
        /// The address of the request, without credentials.
        url: String,
        /// Which CouchDB answers.
        found: String,
    },
    /// CouchDB of a node ran during the switch-over of its data.
    #[error(
        "CouchDB of {node} has been running for {uptime} s, but its data was swapped {exchanged} s ago: it may have old and new \
         files open"
    )]
    RanMeanwhile {
        /// The node.
        node: String,
        /// For how many seconds CouchDB has been running.
        uptime: u64,
        /// How many seconds ago the data was swapped.
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
                "Stop the other CouchDB or give it another port: {url} belongs to {node}. If it is {node} itself and only its \
                 uuid changes at every start, set `[couchdb] uuid` in a configuration file that persists."
            )),
            Self::RanMeanwhile { node, .. } => Some(format!(
                "Something else starts CouchDB of {node}, or the service plugin does not stop it. Find the cause (a watchdog, a \
                 container's restart policy, a second service), then restore again."
            )),
        }
    }
}
