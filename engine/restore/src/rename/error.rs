//! Errors of renamings.

use outcome::{Advice, Code, FailureKind};

/// The nodes were started, and do not have their new names.
#[derive(Debug, thiserror::Error)]
pub enum RenameError {
    /// CouchDB of a node has its old name after the start.
    #[error("CouchDB of {new} was started, and its name is still {old}")]
    OldName {
        /// Its old name.
        old: String,
        /// Its new name.
        new: String,
    },
    /// The configuration of a node adds an old name to the cluster at every start.
    #[error("`[cluster] seedlist` of {node} names {old}, which adds that name to the cluster at every start")]
    Seedlist {
        /// The node.
        node: String,
        /// The old name.
        old: String,
    },
}

impl Advice for RenameError {
    fn kind(&self) -> FailureKind {
        FailureKind::Node
    }

    fn code(&self) -> Code {
        match self {
            Self::OldName { .. } => Code::new("CC-R79"),
            Self::Seedlist { .. } => Code::new("CC-R78"),
        }
    }

    fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::OldName { new, .. } => format!(
                "couchcopy renames nodes in CouchDB's data, not in its configuration. Set `-name {new}` in the node's vm.args (in \
                 CouchDB's container image: the variable NODENAME), and run the same command again."
            ),
            Self::Seedlist { .. } => {
                "Correct `[cluster] seedlist` in the configuration of every node, and run the same command again.".into()
            }
        })
    }
}
