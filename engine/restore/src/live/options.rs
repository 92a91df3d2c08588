//! What to restore and how, what will be done, and what came of it.

use std::path::PathBuf;

use cluster::agreement::{Agreement, WaitOptions};
use serde::Serialize;

use crate::folders::{RestoreResult, Suffixes};
use crate::outside::LeftBehind;
use crate::selection::Selection;

/// How shard maps come to the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MapsBy {
    /// As files, before the nodes start.
    #[default]
    File,
    /// Through the HTTP interface of the first node, which tells the others.
    Http,
}

/// What to restore, and how.
#[derive(Debug, Clone)]
pub struct LiveOptions {
    /// The archive.
    pub archive: PathBuf,
    /// Copies of every range; `None`: as many as each database had, as far as there are nodes.
    pub copies: Option<usize>,
    /// Whether every copy gets a new uuid. It does anyway where one of the nodes has a name that the archive knows.
    pub fresh_uuids: bool,
    /// Which suffix databases get. By itself a new one is chosen where every copy gets a new uuid, where the nodes hold a
    /// database of the same name and suffix, and where their view indexes lie outside the data folder.
    pub suffixes: Suffixes,
    /// Whether files below `shards` that belong to no database may be removed with the old data.
    pub remove_orphans: bool,
    /// Whether an archive without databases may replace everything.
    pub allow_empty: bool,
    /// Whether databases with damaged or missing shards are left out.
    pub skip_damaged: bool,
    /// Which databases, and under which names. The cluster loses all others.
    pub selection: Selection,
    /// Number of threads; 0: as many as there are cores.
    pub threads: usize,
    /// How shard maps come to the nodes.
    pub maps: MapsBy,
    /// Whether the old data stays beside the new one.
    pub keep_old: bool,
    /// What to wait for in the end.
    pub wait: WaitOptions,
}

/// A finished restore.
#[derive(Debug, Clone, Serialize)]
pub struct LiveResult {
    /// What was written.
    #[serde(flatten)]
    pub restored: RestoreResult,
    /// How the nodes agree.
    pub agreement: Agreement,
    /// Whether every copy got a new uuid, so that consumers of changes feeds read from the start.
    pub fresh_uuids: bool,
    /// Seconds from when the first node was told to stop until all answered again.
    pub service_down: f64,
    /// Seconds in all, without removing the old data.
    pub seconds: f64,
    /// Whether every node has it written down that the new data is good; else resuming goes on.
    pub written_down: bool,
    /// Whether the old data is still there.
    pub old_kept: bool,
    /// Indexes of the replaced databases that lie outside the data folders.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_behind: Vec<LeftBehind>,
}

/// What a restore is going to do, for the user to agree to.
#[derive(Debug, Clone, Serialize)]
pub struct PlanDescription {
    /// The archive.
    pub archive: PathBuf,
    /// When it was made, as it says.
    pub made: Option<String>,
    /// Databases in it that will be restored.
    pub databases: u64,
    /// Databases that are left out.
    pub left_out: u64,
    /// Which databases were asked for, and what that means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<SelectionDescription>,
    /// Whether every copy gets a new uuid.
    pub fresh_uuids: bool,
    /// The oldest CouchDB of the nodes, where it reads no checksum but MD5: files that carry others get MD5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub md5_for: Option<String>,
    /// The suffix that all databases get in the names of their files, where that is a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_suffix: Option<String>,
    /// Indexes of the replaced databases that lie outside the data folders and stay there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_behind: Vec<LeftBehind>,
    /// What happens on each node.
    pub nodes: Vec<NodeDescription>,
}

/// What a choice among an archive's databases means for a cluster.
#[derive(Debug, Clone, Serialize)]
pub struct SelectionDescription {
    /// What was asked for.
    #[serde(flatten)]
    pub selection: Selection,
    /// Databases of the archive that are not restored.
    pub not_chosen: u64,
    /// Names of databases that the cluster has now and will have no more; CouchDB's own come first.
    pub gone: Vec<String>,
}

/// What a restore is going to do on a node.
#[derive(Debug, Clone, Serialize)]
pub struct NodeDescription {
    /// Its name.
    pub name: String,
    /// Where CouchDB answers.
    pub url: String,
    /// Its data folder.
    pub data: PathBuf,
    /// What stops and starts it.
    pub service: String,
    /// Databases that it has now and that will be replaced.
    pub databases_now: Option<u64>,
    /// Bytes that will be written.
    pub bytes: u64,
    /// Files of deleted databases that CouchDB has kept, and that stay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// Files that belong to no database and will be removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<String>,
}
