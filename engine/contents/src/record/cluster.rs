//! What nodes report about themselves and their cluster.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What CouchDB reported about the cluster when the backup began.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct ClusterRecord {
    /// The nodes that were queried.
    pub nodes: Vec<NodeRecord>,
    /// Names of all nodes of the cluster, also of those that were not saved.
    pub members: BTreeSet<String>,
    /// The number of ranges of a new database, `[cluster] q`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// Copies of each range of a new database, `[cluster] n`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// Whether the databases' limits were queried. If so, databases that are not in `limits` have CouchDB's defaults.
    pub limits_asked: bool,
    /// Limits other than CouchDB's defaults, by database. A compaction may have lost them in the files.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, DatabaseLimits>,
}

/// A node that was queried.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct NodeRecord {
    /// Its name.
    pub name: String,
    /// Its CouchDB's version.
    pub version: String,
}

/// Limits of a database.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
pub struct DatabaseLimits {
    /// Revisions kept of a document.
    pub revs_limit: u64,
    /// Purges remembered.
    pub purged_infos_limit: u64,
}

/// The configuration files of a node in an archive.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct NodeConfiguration {
    /// The node.
    pub node: String,
    /// The files, by their paths.
    pub files: Vec<ConfigurationFile>,
    /// Files and directories that do not exist.
    pub not_found: Vec<String>,
}

/// A configuration file in an archive.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct ConfigurationFile {
    /// Its path on the node.
    pub path: String,
    /// Its name in the archive.
    pub entry: String,
    /// Names of the secret settings in the file.
    pub secrets: Vec<String>,
}

/// A database whose shards had different security objects.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct SecurityChoice {
    /// The object that a restore gives to all shards. `null` is CouchDB's default, for admins only.
    pub object: Value,
    /// Whether a simple majority of the shards had this object; if not, it is the most restrictive one.
    pub majority: bool,
    /// The objects and the number of shards that have each.
    pub found: Vec<(Value, u64)>,
}
