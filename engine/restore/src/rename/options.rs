//! What to rename, what will be done, and what came of it.

use std::path::PathBuf;

use cluster::agreement::{Agreement, WaitOptions};
use serde::Serialize;

use super::names::{NewName, NewNames};

/// The options of a renaming.
#[derive(Debug, Clone)]
pub struct RenameOptions {
    /// The new names.
    pub names: NewNames,
    /// Whether CouchDB is stopped on all nodes, and is neither stopped nor started by couchcopy.
    pub offline: bool,
    /// Whether to keep the old files next to the new ones.
    pub keep_old: bool,
    /// What to wait for at the end.
    pub wait: WaitOptions,
    /// Number of threads; 0: the number of cores.
    pub threads: usize,
}

/// What a renaming is going to do, for the user to confirm.
#[derive(Debug, Clone, Serialize)]
pub struct RenameDescription {
    /// Old and new names.
    pub names: Vec<NewName>,
    /// Nodes that are removed from the list of the cluster's nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forget: Vec<String>,
    /// Whether CouchDB is neither stopped nor started.
    pub offline: bool,
    /// Databases of the cluster.
    pub databases: u64,
    /// Shard maps that name a renamed node.
    pub maps: u64,
    /// Documents of `_dbs.couch` and `_nodes.couch` that are not the same on all nodes. The newest revision of each is taken.
    pub differing: u64,
    /// The nodes.
    pub nodes: Vec<RenamedNode>,
}

/// What a renaming does on one node.
#[derive(Debug, Clone, Serialize)]
pub struct RenamedNode {
    /// Its name from now on.
    pub name: String,
    /// Its address.
    pub url: String,
    /// Its data directory.
    pub data: PathBuf,
    /// Its service plugin.
    pub service: String,
    /// The name that CouchDB has there at the moment; `None` if it does not answer.
    pub answers_as: Option<String>,
}

/// A finished renaming.
#[derive(Debug, Clone, Serialize)]
pub struct RenameResult {
    /// Old and new names.
    pub names: Vec<NewName>,
    /// Names of all nodes.
    pub nodes: Vec<String>,
    /// Databases of the cluster.
    pub databases: u64,
    /// The agreement of the nodes; `None` if they were not started.
    pub agreement: Option<Agreement>,
    /// Seconds from the first stop command until all nodes answered again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_down: Option<f64>,
    /// The total duration in seconds, without the removal of the old files.
    pub seconds: f64,
    /// Whether every node has recorded that the new files are good; if not, `--resume` continues.
    pub written_down: bool,
    /// Whether the old files are still there.
    pub old_kept: bool,
}
