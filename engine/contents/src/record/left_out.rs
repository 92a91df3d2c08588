//! Data on the nodes that is not in the backup.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Data on the nodes that is not in the archive.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// What kind of data it is.
    pub kind: LeftOutKind,
    /// The database's name; for a file that belongs to no database, its path below the data directory.
    pub name: String,
    /// The suffix in the names of the files, if there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub suffix: String,
    /// Names of the nodes that have the files.
    pub nodes: Vec<String>,
    /// Number of files on all nodes together.
    pub files: u64,
    /// Total size of the files in bytes.
    pub bytes: u64,
    /// Documents in the files, including deleted ones, each range counted once; `None` if not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<u64>,
}

/// The kind of data that is left out.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum LeftOutKind {
    /// Shards of a database that no shard map has ever named.
    UnknownShards,
    /// Shards of a shard map that lost to another shard map of the same database.
    LosingShardMap,
    /// A database that the shard maps of some nodes name, and whose ranges are on none of the given nodes.
    UnreachableDatabase,
    /// Shards of a database that has since been deleted or created again.
    DeletedDatabase,
    /// Shards that the shard map now assigns to other nodes, or that were split.
    FormerShards,
    /// Files that `[couchdb] enable_database_recovery` kept of deleted databases.
    SoftDeleted,
    /// A database of CouchDB 1.x next to the directory `shards`.
    OldDatabase,
    /// A kind that this couchcopy does not know.
    #[serde(other)]
    Other,
}

impl LeftOutKind {
    /// Whether data may be lost with it. The backup then exits with 3.
    pub fn is_loss(self) -> bool {
        matches!(self, Self::UnknownShards | Self::LosingShardMap | Self::UnreachableDatabase)
    }
}

impl fmt::Display for LeftOutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownShards => "shards that no shard map names",
            Self::LosingShardMap => "shard map in conflict",
            Self::UnreachableDatabase => "database on none of the given nodes",
            Self::DeletedDatabase => "shards of a deleted database",
            Self::FormerShards => "former shards",
            Self::SoftDeleted => "deleted database (*.deleted.couch)",
            Self::OldDatabase => "database of CouchDB 1.x",
            Self::Other => "other",
        })
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if self.kind == LeftOutKind::LosingShardMap || self.kind == LeftOutKind::UnknownShards {
            write!(f, "{}", self.suffix)?;
        }
        write!(f, " (")?;
        if let Some(documents) = self.documents {
            write!(f, "{documents} documents, ")?;
        }
        write!(f, "{} files, {} bytes", self.files, self.bytes)?;
        if !self.nodes.is_empty() {
            write!(f, ", on {}", self.nodes.join(", "))?;
        }
        write!(f, ")")
    }
}
