//! Why a copy of a shard was chosen.

use std::fmt;

use couchfile::data_dir::DataFile;
use serde::{Deserialize, Serialize};

/// Copies of one range that differ; the saved copy is the first.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct Choice {
    /// The database.
    pub database: String,
    /// The range.
    pub range: String,
    /// Whether a copy lacks a purge that another copy has.
    pub purges_differ: bool,
    /// Whether two copies have the same uuid: internal replication then treats them as one copy, and writes may be missing in
    /// either.
    pub same_uuid: bool,
    /// The copies, the best one first.
    pub copies: Vec<CopyRecord>,
}

/// What is known about a copy.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct CopyRecord {
    /// Its node.
    pub node: String,
    /// Documents that exist.
    pub documents: u64,
    /// Documents that are deleted.
    pub deleted: u64,
    /// Purges that the copy remembers.
    pub purges: u64,
    /// Changes that another copy has not received from this copy, according to the checkpoints of internal replication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsent: Option<u64>,
    /// Documents of which another copy has revisions that this copy neither has nor has purged, if the copies were compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacks: Option<u64>,
    /// Documents of which this copy has revisions that were purged on another copy, if the copies were compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpurged: Option<u64>,
}

impl Choice {
    /// A choice between copies of the shard with this path.
    pub fn new(path: &str, copies: Vec<CopyRecord>, purges_differ: bool, same_uuid: bool) -> Option<Self> {
        let Some(DataFile::Shard(shard)) = DataFile::parse(path) else { return None };
        (copies.len() > 1).then(|| Self {
            database: shard.db,
            range: shard.range.to_string(),
            purges_differ,
            same_uuid,
            copies,
        })
    }

    /// Whether the difference is more than a copy that is temporarily behind.
    pub fn is_grave(&self) -> bool {
        self.purges_differ || self.same_uuid
    }

    /// Documents that other copies have and the saved copy lacks.
    pub fn lacking(&self) -> u64 {
        self.copies.first().and_then(|saved| saved.lacks).unwrap_or(0)
    }

    /// Documents of the saved copy that were purged on another copy.
    pub fn unpurged(&self) -> u64 {
        self.copies.first().and_then(|saved| saved.unpurged).unwrap_or(0)
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.database, self.range)?;
        for (i, copy) in self.copies.iter().enumerate() {
            let saved = if i == 0 { " (saved)" } else { "; " };
            if i > 0 {
                f.write_str(saved)?;
            }
            write!(
                f,
                "{} has {} documents, {} deleted, {} purges",
                copy.node, copy.documents, copy.deleted, copy.purges
            )?;
            if let Some(unsent) = copy.unsent {
                write!(f, ", {unsent} changes not sent")?;
            }
            if let Some(lacks) = copy.lacks.filter(|lacks| *lacks > 0) {
                write!(f, ", lacks {lacks} documents")?;
            }
            if let Some(unpurged) = copy.unpurged.filter(|unpurged| *unpurged > 0) {
                write!(f, ", missed the purge of {unpurged} documents")?;
            }
            if i == 0 {
                f.write_str(saved)?;
            }
        }
        Ok(())
    }
}
