//! What a change to nodes replaces, and what it is called.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A change to the data of nodes that can be finished or rolled back after an interruption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A restore: shard maps, shards and view indexes are replaced. The list of the cluster's nodes stays.
    Restore,
    /// New names for nodes: the shard maps and the list of the cluster's nodes are replaced.
    Rename,
}

impl Change {
    pub(super) const ALL: [Self; 2] = [Self::Restore, Self::Rename];

    /// Whether the change replaces an entry of a data directory. The leftovers of a file's compaction go with the file.
    pub(crate) fn replaces(self, name: &str) -> bool {
        name.starts_with("_dbs.couch")
            || match self {
                Self::Restore => matches!(name, "shards" | ".shards"),
                Self::Rename => name.starts_with("_nodes.couch"),
            }
    }

    /// The subcommand that makes the change.
    pub fn command(self) -> &'static str {
        match self {
            Self::Restore => "restore",
            Self::Rename => "rename-node",
        }
    }

    /// The state of a node whose change was accepted.
    pub(crate) fn done(self) -> &'static str {
        match self {
            Self::Restore => "restored",
            Self::Rename => "renamed",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restore => "restore",
            Self::Rename => "renaming",
        })
    }
}

/// The decisions of a renaming, in its journal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Renaming {
    /// Old and new names.
    pub names: Vec<(String, String)>,
    /// Nodes that are removed from the list of the cluster's nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forget: Vec<String>,
    /// Whether CouchDB is neither stopped nor started.
    #[serde(default)]
    pub offline: bool,
}
