//! What a backup records about itself: its result, what is not in it, what the nodes reported.
//!
//! Written by the backup, read by everything that opens a backup. Lists are complete: a restore relies on them.

mod choice;
mod cluster;
mod left_out;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use choice::{Choice, CopyRecord};
pub use cluster::{
    ClusterRecord, ConfigurationFile, DatabaseLimits, NodeConfiguration, NodeRecord, SecurityChoice,
};
pub use left_out::{LeftOut, LeftOutKind};

use crate::NamePatterns;

/// The record of the backup run in the archive's table of contents. Lists are complete: a restore relies on them.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct BackupSummary {
    /// Names of the nodes saved.
    pub nodes: Vec<String>,
    /// When the backup began, in UTC.
    pub date: String,
    /// Databases saved.
    pub databases: u64,
    /// Which databases were to be saved, if not all of them.
    #[serde(skip_serializing_if = "NamePatterns::is_everything")]
    pub chosen: NamePatterns,
    /// Databases that were not to be saved.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_chosen: u64,
    /// Shards saved.
    pub shards: u64,
    /// View indexes saved.
    pub views: u64,
    /// Documents of the databases; `None` if they have to be counted, because some of the shards in the archive do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents: Option<u64>,
    /// Documents that are deleted, as far as `documents` is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_documents: Option<u64>,
    /// Databases that were deleted after the shard maps were read: their maps are in the archive, some of their shards
    /// are not.
    pub deleted_meanwhile: Vec<String>,
    /// Databases that were made after the shard maps were read, and so are not in the archive.
    pub created_meanwhile: Vec<String>,
    /// View indexes left out because they were ahead of their database or damaged. CouchDB rebuilds them.
    pub views_left_out: Vec<String>,
    /// Shards that could not be saved, and why.
    pub problems: Vec<FileProblem>,
    /// Shards that were saved although they are damaged, because no given node has an intact copy. Filled only by `backup
    /// --check`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<FileProblem>,
    /// Damaged copies of shards of which another, intact copy was saved. Filled only by `backup --check`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged_copies: Vec<FileProblem>,
    /// Shards that were not saved because other shards hold the same documents: their database was being split.
    #[serde(skip_serializing_if = "is_zero")]
    pub surplus_shards: u64,
    /// Databases whose shards were split while the backup ran, and their ranges that were saved. The shard map in the archive
    /// still names the old ranges.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub split_meanwhile: BTreeMap<String, Vec<String>>,
    /// Databases whose shard maps were rebuilt from their shards, because no node had them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rebuilt_maps: Vec<String>,
    /// Data on the nodes that is not in the archive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Ranges whose copies differ in what they purged, or have the same uuid.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copies_differ: Vec<Choice>,
    /// Databases whose shards have different security objects.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub security: BTreeMap<String, SecurityChoice>,
    /// What CouchDB itself reported, if it could be queried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterRecord>,
    /// The nodes' configuration files, if they were requested.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<NodeConfiguration>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands references over
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A file that could not be saved.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileProblem {
    /// Path below the data directory.
    pub path: String,
    /// The problem of every copy that was tried.
    pub problem: String,
}

impl BackupSummary {
    /// Whether everything that belongs to the databases was saved.
    pub fn is_complete(&self) -> bool {
        self.problems.is_empty()
            && self.damaged.is_empty()
            && !self.left_out.iter().any(|left| left.kind.is_loss())
    }

    /// Reads the record in a backup; `None` if another program made the backup.
    pub fn of(value: &serde_json::Value) -> Option<Self> {
        serde_json::from_value(value.clone()).ok()
    }
}
