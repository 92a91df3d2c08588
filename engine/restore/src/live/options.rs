//! What to restore and how, what will be done, and what came of it.

use std::path::PathBuf;

use cluster::agreement::{Agreement, WaitOptions};
use contents::NamePatterns;
use serde::Serialize;
use store::Place;

use crate::RestoreChoices;
use crate::folders::{NodeShare, RestoreResult};
use crate::outside::LeftBehind;
use crate::selection::Selection;

/// How shard maps are written to the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MapsBy {
    /// As files, before the nodes start.
    #[default]
    File,
    /// Through the HTTP interface of the first node, which replicates them to the others.
    Http,
}

/// The options of a restore of running nodes.
#[derive(Debug, Clone)]
pub struct LiveOptions {
    /// The archive.
    pub archive: Place,
    /// What the user chose. A new uuid for every copy is implied if the name of one of the nodes is in the archive, or if the
    /// nodes hold a database with the same name and suffix.
    pub choices: RestoreChoices,
    /// Whether files below `shards` that belong to no database may be removed with the old data.
    pub remove_orphans: bool,
    /// Number of threads; 0: the number of cores.
    pub threads: usize,
    /// How shard maps are written to the nodes.
    pub maps: MapsBy,
    /// Whether to keep the old data next to the new data.
    pub keep_old: bool,
    /// What to wait for at the end.
    pub wait: WaitOptions,
}

/// A finished restore.
#[derive(Debug, Clone, Serialize)]
pub struct LiveResult {
    /// What was written.
    #[serde(flatten)]
    pub restored: RestoreResult,
    /// The agreement of the nodes.
    pub agreement: Agreement,
    /// Whether every copy got a new uuid, so that consumers of changes feeds read from the start.
    pub fresh_uuids: bool,
    /// Seconds from the first stop command until all nodes answered again.
    pub service_down: f64,
    /// Seconds from the beginning until all nodes served every database: they answered, saw each other and had the same shard maps.
    /// After that, couchcopy only looks whether they do. `None` if the wait was interrupted.
    pub serving: Option<f64>,
    /// The total duration in seconds, without the removal of the old data.
    pub seconds: f64,
    /// Whether every node has recorded that the new data is good; if not, `--resume` continues.
    pub written_down: bool,
    /// Whether the old data is still there.
    pub old_kept: bool,
    /// Indexes of the replaced databases that are outside the data directories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_behind: Vec<LeftBehind>,
}

/// What a restore is going to do, for the user to confirm.
#[derive(Debug, Clone, Serialize)]
pub struct PlanDescription {
    /// The archive.
    pub archive: Place,
    /// When the archive was made, according to the archive.
    pub made: Option<String>,
    /// Databases of the archive that will be restored.
    pub databases: u64,
    /// Databases that are left out.
    pub left_out: u64,
    /// Which databases were selected, and what that means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<SelectionDescription>,
    /// Databases that get another number of ranges.
    pub reshaped: u64,
    /// The name and version of the plugin that all documents pass through, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transformed_by: Option<String>,
    /// Whether every copy gets a new uuid.
    pub fresh_uuids: bool,
    /// The oldest CouchDB of the nodes, if it reads only MD5: files with other checksums get MD5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub md5_for: Option<String>,
    /// The new suffix that all databases get in the names of their files, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_suffix: Option<String>,
    /// Indexes of the replaced databases that are outside the data directories and stay there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_behind: Vec<LeftBehind>,
    /// What decides which nodes get copies.
    pub placement: PlacementDescription,
    /// What the restore does on each node.
    pub nodes: Vec<NodeDescription>,
}

/// What decides which nodes get copies, and what it changes.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PlacementDescription {
    /// `[cluster] placement`, if databases follow it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// What was asked for, as it is written after `--place`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub place: Vec<String>,
    /// Databases that stay on the nodes that they have in the archive.
    pub kept: u64,
    /// Databases that get another number of copies than they have in the archive.
    pub other_copies: u64,
    /// Nodes that get no copies because they are marked so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decommissioned: Vec<String>,
}

/// What a selection of an archive's databases means for a cluster.
#[derive(Debug, Clone, Serialize)]
pub struct SelectionDescription {
    /// The selection.
    #[serde(flatten)]
    pub selection: Selection,
    /// Which databases of the nodes the backup was to hold, if not all of them.
    #[serde(skip_serializing_if = "NamePatterns::is_everything")]
    pub backed_up: NamePatterns,
    /// Databases of the archive that are not restored.
    pub not_chosen: u64,
    /// Names of databases that the cluster has now and will lose; CouchDB's own databases come first.
    pub gone: Vec<String>,
}

/// What a restore is going to do on a node.
#[derive(Debug, Clone, Serialize)]
pub struct NodeDescription {
    /// Its name.
    pub name: String,
    /// The URL of its CouchDB.
    pub url: String,
    /// Its data directory.
    pub data: PathBuf,
    /// The service plugin that stops and starts it.
    pub service: String,
    /// Databases on the node that will be replaced.
    pub databases_now: Option<u64>,
    /// Its zone, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Databases of which it gets copies.
    pub databases: u64,
    /// Copies of ranges that it gets.
    pub shards: u64,
    /// Bytes that will be written.
    pub bytes: u64,
    /// Files of deleted databases that CouchDB has kept. They stay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// Files that belong to no database and will be removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<String>,
}

impl NodeDescription {
    /// What the node gets.
    pub fn share(&self) -> NodeShare {
        NodeShare {
            node: self.name.clone(),
            zone: self.zone.clone(),
            databases: self.databases,
            shards: self.shards,
            bytes: self.bytes,
        }
    }
}
