//! What to save and how, and what came of it.

use std::path::PathBuf;
use std::sync::Arc;

use contents::{BackupSummary, Choice};
use node::{Http, NodeFiles};
use serde::Serialize;

/// What to save and how.
#[derive(Clone)]
pub struct BackupOptions {
    /// Data folders of the nodes of one cluster.
    pub folders: Vec<FolderArgument>,
    /// The archive to be made.
    pub archive: PathBuf,
    /// Whether an archive that is there already is replaced (only when the new one is whole).
    pub overwrite: bool,
    /// Level of compression, 0 (fastest) to 12 (smallest).
    pub level: i32,
    /// Number of threads; 0: as many as there are cores.
    pub threads: usize,
    /// Ask CouchDB for the limits of however many databases.
    pub limits: bool,
    /// Save the nodes' configuration files, too: those in these folders or, where none are named, in the usual ones.
    pub config: Option<Vec<PathBuf>>,
    /// A folder that mirrors the files of nodes on other machines: only what is new comes over the network.
    pub mirror: Option<PathBuf>,
    /// Check trees, bodies and attachments of shards while they are saved, and save another node's copy where one is damaged.
    pub check: bool,
    /// Save shard maps that name no database though there are shards.
    pub accept_empty_maps: bool,
}

/// A data folder as the user names it.
#[derive(Clone)]
pub struct FolderArgument {
    /// The folder.
    pub path: PathBuf,
    /// The node's name, where the user gives it; else it is read from `_dbs.couch`.
    pub node: Option<String>,
    /// How its files are reached; `None`: they are opened by their paths.
    pub files: Option<Arc<dyn NodeFiles>>,
    /// Its CouchDB, to be asked for what files do not hold; with name and password of a server admin.
    pub http: Option<Arc<Http>>,
    /// Folders of its configuration, where they are others than those of all nodes.
    pub config: Vec<PathBuf>,
}

impl FolderArgument {
    /// A folder of this machine.
    pub fn local(path: impl Into<PathBuf>, node: Option<String>) -> Self {
        Self { path: path.into(), node, files: None, http: None, config: Vec::new() }
    }
}

/// A finished backup.
#[derive(Debug, Clone, Serialize)]
pub struct BackupResult {
    /// Also stored in the archive.
    #[serde(flatten)]
    pub summary: BackupSummary,
    /// Ranges whose copies have different numbers of documents or purges, and which copy was saved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// Bytes of the files saved.
    pub content_bytes: u64,
    /// Length of the archive in bytes.
    pub archive_bytes: u64,
}

impl BackupResult {
    /// Whether everything that belongs to the databases was saved.
    pub fn is_complete(&self) -> bool {
        self.summary.problems.is_empty()
            && self.summary.damaged.is_empty()
            && !self.summary.left_out.iter().any(|left| left.kind.is_loss())
    }
}
