//! Which node to bring back and how, what will be done, and what came of it.

use std::path::PathBuf;

use cluster::agreement::{Agreement, WaitOptions};
use contents::FileProblem;
use serde::Serialize;
use store::Place;

/// The options of a restore of one node.
#[derive(Debug, Clone)]
pub struct OneNodeOptions {
    /// The name of the node, for example `couchdb@db2`.
    pub name: String,
    /// The archive.
    pub archive: Place,
    /// Whether files below `shards` of the node that belong to no database may be removed with its old data.
    pub remove_orphans: bool,
    /// Whether to keep the old data next to the new data.
    pub keep_old: bool,
    /// What to wait for at the end.
    pub wait: WaitOptions,
    /// Number of threads; 0: the number of cores.
    pub threads: usize,
}

/// What a restore of one node is going to do, for the user to confirm.
#[derive(Debug, Clone, Serialize)]
pub struct OneNodeDescription {
    /// The archive.
    pub archive: Place,
    /// When the archive was made, according to the archive.
    pub made: Option<String>,
    /// The name of the node.
    pub node: String,
    /// Its address.
    pub url: String,
    /// Its data directory.
    pub data: PathBuf,
    /// Its service plugin.
    pub service: String,
    /// Whether its CouchDB answers at the moment.
    pub answers: bool,
    /// The other nodes, which run on.
    pub others: Vec<String>,
    /// Databases of which the node holds shards.
    pub databases: u64,
    /// Shards of the node that the archive has.
    pub shards: u64,
    /// Shards of the node that the archive does not have; they come from the other nodes.
    pub from_others: u64,
    /// Databases that have ranges on no other node. They get the state of the archive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only_here: Vec<String>,
    /// Bytes of new data, about.
    pub bytes: u64,
    /// Files of deleted databases that stay in place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// Files that belong to no database and are removed with the old data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<String>,
}

/// A finished restore of one node.
#[derive(Debug, Clone, Serialize)]
pub struct OneNodeResult {
    /// The name of the node.
    pub node: String,
    /// The other nodes.
    pub others: Vec<String>,
    /// Databases of which the node holds shards.
    pub databases: u64,
    /// Shards that came from the archive.
    pub shard_files: u64,
    /// View indexes that came from the archive.
    pub view_files: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Shards that come from the other nodes, because the archive does not have them or only damaged.
    pub from_others: u64,
    /// Damaged shards of the archive that the node holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<FileProblem>,
    /// The agreement of the nodes.
    pub agreement: Agreement,
    /// Seconds from the stop of the node until it answered again.
    pub service_down: f64,
    /// The total duration in seconds, without the removal of the old data.
    pub seconds: f64,
    /// Whether the node has recorded that the new data is good; if not, `--resume` continues.
    pub written_down: bool,
    /// Whether the old data is still there.
    pub old_kept: bool,
}
