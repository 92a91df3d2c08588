//! The options and the result of a backup.

use std::path::PathBuf;
use std::sync::Arc;

use contents::{BackupSummary, Choice, Destination, NamePatterns};
use node::{Http, NodeFiles};
use serde::Serialize;

use crate::rebuild::RebuildMaps;

/// The options of a backup.
#[derive(Clone)]
pub struct BackupOptions {
    /// Data directories of the nodes of one cluster.
    pub folders: Vec<FolderArgument>,
    /// Which databases are saved.
    pub databases: NamePatterns,
    /// Where the backup goes.
    pub destination: Destination,
    /// Number of threads; 0: the number of cores.
    pub threads: usize,
    /// The most bytes a second that are read from all nodes together.
    pub limit_rate: Option<u64>,
    /// Query CouchDB for the limits of all databases, for any number of databases.
    pub limits: bool,
    /// Save the nodes' configuration files too: those in these directories or, if none are given, in the usual ones.
    pub config: Option<Vec<PathBuf>>,
    /// A directory that mirrors the files of nodes on other machines, so that only new data crosses the network.
    pub mirror: Option<PathBuf>,
    /// Check trees, bodies and attachments of shards while they are saved, and save another node's copy of a damaged shard.
    pub check: bool,
    /// Save shard maps that name no database although there are shards.
    pub accept_empty_maps: bool,
    /// Make shard maps, from the shards alone, of databases that no node's shard maps name.
    pub rebuild_maps: Option<RebuildMaps>,
}

/// A data directory as the user names it.
#[derive(Clone)]
pub struct FolderArgument {
    /// The path of the data directory.
    pub path: PathBuf,
    /// The node's name, if the user gives it; else it is read from `_dbs.couch`.
    pub node: Option<String>,
    /// Access to its files; `None`: they are opened by their paths.
    pub files: Option<Arc<dyn NodeFiles>>,
    /// Its CouchDB, to query what files do not hold; with the name and password of a server admin.
    pub http: Option<Arc<Http>>,
    /// Directories of its configuration, if they differ from those of all nodes.
    pub config: Vec<PathBuf>,
    /// The directory that is recorded as the place of the data, if `path` only shows what is there.
    pub shows: Option<PathBuf>,
}

impl FolderArgument {
    /// A data directory of this machine.
    pub fn local(path: impl Into<PathBuf>, node: Option<String>) -> Self {
        Self { path: path.into(), node, files: None, http: None, config: Vec::new(), shows: None }
    }
}

/// A finished backup.
#[derive(Debug, Clone, Serialize)]
pub struct BackupResult {
    /// The record of the backup, which is also stored in the archive.
    #[serde(flatten)]
    pub summary: BackupSummary,
    /// Ranges whose copies have different numbers of documents or purges, and which copy was saved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// Bytes of the files saved.
    pub content_bytes: u64,
    /// Length of the archive in bytes; in a repository, the bytes of the packs that were added.
    pub archive_bytes: u64,
    /// The backup in the repository, if it went into one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_repository: Option<InRepository>,
    /// Whether nothing was added to the repository because nothing has changed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_unchanged: bool,
}

/// A backup in a repository.
#[derive(Debug, Clone, Serialize)]
pub struct InRepository {
    /// Its id.
    pub id: String,
    /// The id of the backup that it builds on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Files in it.
    pub files: u64,
    /// Files that were read for it, completely or in part.
    pub read_files: u64,
    /// Bytes of content that were new.
    pub new_bytes: u64,
}

impl From<repository::Added> for InRepository {
    fn from(added: repository::Added) -> Self {
        let repository::Snapshot { parent, files, read_files, new_bytes, .. } = added.snapshot;
        Self { id: added.name.to_string(), parent, files, read_files, new_bytes }
    }
}

impl BackupResult {
    /// Whether everything that belongs to the databases was saved.
    pub fn is_complete(&self) -> bool {
        self.summary.is_complete()
    }
}
