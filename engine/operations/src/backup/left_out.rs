//! What lies on the nodes and is not saved.

use std::fmt;

use serde::{Deserialize, Serialize};

use outcome::report::{Notice, Reporter, Severity};

/// So many of a kind are named in a notice.
const NAMED: usize = 5;

/// Something on the nodes that is not in the archive.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// What it is.
    pub kind: LeftOutKind,
    /// The database's name; of a file that belongs to none, its path below the data folder.
    pub name: String,
    /// The suffix in the names of the files, where there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub suffix: String,
    /// Names of the nodes that it is on.
    pub nodes: Vec<String>,
    /// Number of files, all nodes together.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Documents in them, deleted ones counted, every range once; where that was found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<u64>,
}

/// What something is that is left out.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum LeftOutKind {
    /// Shards of a database that no shard map has ever named.
    UnknownShards,
    /// Shards whose shard map lost against another one of the same database.
    LosingShardMap,
    /// A database that the shard maps of some nodes know, and whose ranges lie on none of the given nodes.
    UnreachableDatabase,
    /// Shards of a database that was deleted, or made again, since.
    DeletedDatabase,
    /// Shards that the shard map now gives to other nodes, or that were split.
    FormerShards,
    /// Files that `[couchdb] enable_database_recovery` kept of deleted databases.
    SoftDeleted,
    /// A database of CouchDB 1.x beside the folder `shards`.
    OldDatabase,
    /// A kind that a newer couchcopy wrote.
    #[serde(other)]
    Other,
}

impl LeftOutKind {
    /// Whether data may be lost with it: then a backup ends with exit code 3.
    pub fn is_loss(self) -> bool {
        matches!(self, Self::UnknownShards | Self::LosingShardMap | Self::UnreachableDatabase)
    }

    /// What to say of things of this kind, and what to do about it.
    fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::UnknownShards => (
                "shards that no shard map names are on the nodes and are NOT in the archive",
                "If _dbs.couch was lost or truncated, restore the shard maps from an older backup before these files are \
                 removed",
            ),
            Self::LosingShardMap => (
                "databases have two shard maps; the files of the map that CouchDB does not use are NOT in the archive",
                "Look at GET /_node/_local/_dbs/NAME?conflicts=true, save what the files with the other suffix hold, \
                 then delete the losing revision",
            ),
            Self::UnreachableDatabase => (
                "databases that the shard maps of some nodes know lie on none of the given nodes and are NOT in the \
                 archive",
                "Give the data folders of the other nodes, too",
            ),
            Self::DeletedDatabase => {
                ("databases that were deleted have left shards behind, which are not in the archive", "")
            }
            Self::FormerShards => (
                "databases have files of ranges that their shard map does not give to that node; they are out of date \
                 and not in the archive",
                "",
            ),
            Self::SoftDeleted => (
                "deleted databases are kept as files *.deleted.couch on the nodes, which are not in the archive",
                "Save them by hand if they may be needed: a restore removes them with the old data",
            ),
            Self::OldDatabase => (
                "databases of CouchDB 1.x lie beside the folder shards and are not in the archive",
                "Replicate them into the cluster, or copy the files by hand",
            ),
            Self::Other => ("things are not in the archive", ""),
        }
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

/// Reports all of it, kind by kind.
pub(super) fn tell(left_out: &[LeftOut], reporter: &dyn Reporter) {
    for of_kind in left_out.chunk_by(|one, next| one.kind == next.kind) {
        let Some(first) = of_kind.first() else { continue };
        let (what, now) = first.kind.told();
        let named: Vec<String> = of_kind.iter().take(NAMED).map(ToString::to_string).collect();
        let more = if of_kind.len() > NAMED { "; … (--json lists all)" } else { "" };
        let severity = if first.kind.is_loss() { Severity::Problem } else { Severity::Warning };
        let now = if now.is_empty() { String::new() } else { format!(". {now}.") };
        let text = format!("{what}: {}{more}{now}", named.join("; "));
        reporter.notice(&Notice { severity, text });
    }
}
