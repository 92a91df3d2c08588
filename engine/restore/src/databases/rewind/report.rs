//! The plan and the result of a rewind, for the user.

use serde::{Deserialize, Serialize};
use store::Place;

use super::super::report::Refused;

/// Documents that are listed one by one.
pub(super) const LISTED: usize = 1000;

/// What happened to a document since the moment to which it is brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Was {
    /// It was changed.
    Changed,
    /// It was deleted.
    Deleted,
    /// It was purged, or never was in this cluster.
    Gone,
    /// It did not exist then.
    New,
    /// It has the same content, but more conflicts.
    Conflicted,
}

/// A document of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// What happened to it.
    pub was: Was,
}

/// What a rewind is going to do.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RewindDescription {
    /// The backup.
    pub backup: Place,
    /// When it was made, according to itself.
    pub made: Option<String>,
    /// The database in the backup.
    pub from: String,
    /// The database in the cluster.
    pub database: String,
    /// The URL of CouchDB.
    pub url: String,
    /// Documents that are what they were. Not counted are documents that were deleted, and still are.
    pub equal: u64,
    /// Documents that get the content back that was changed since.
    pub changed: u64,
    /// Documents that were deleted since and are written again.
    pub deleted: u64,
    /// Documents that are not in the cluster any more and are written again.
    pub gone: u64,
    /// Documents made since then.
    pub new: u64,
    /// Whether they are deleted.
    pub deletes_new: bool,
    /// Conflicting revisions made since then that are deleted.
    pub conflicts: u64,
    /// Documents that are left as they are because they changed after the second moment.
    pub changed_later: Vec<String>,
    /// Number of documents that are left as they are for that reason.
    pub changed_later_count: u64,
    /// Chosen documents that did not exist then.
    pub not_then: Vec<String>,
    /// Documents that cannot be read in the backup.
    pub unreadable: u64,
    /// The first thousand documents that differ.
    pub listed: Vec<Listed>,
    /// Whether an interrupted rewind goes on.
    pub resumes: bool,
}

impl RewindDescription {
    /// Documents that are going to be written or deleted.
    pub fn edits(&self) -> u64 {
        self.changed + self.deleted + self.gone + if self.deletes_new { self.new } else { 0 }
    }
}

/// What a rewind has done.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RewindResult {
    /// The database in the cluster.
    pub database: String,
    /// The URL of CouchDB.
    pub url: String,
    /// Whether everything was tried; if not, the same command goes on.
    pub finished: bool,
    /// Documents that were written.
    pub written: u64,
    /// Documents made since then that were deleted.
    pub deleted: u64,
    /// Conflicting revisions that were deleted.
    pub resolved: u64,
    /// The first thousand documents that somebody has edited in the meantime, and that stay as they are.
    pub edited_meanwhile: Vec<String>,
    /// Number of these documents.
    pub edited_meanwhile_count: u64,
    /// The first thousand documents that CouchDB refused or that are damaged in the backup, and why.
    pub refused: Vec<Refused>,
    /// Number of these documents.
    pub refused_count: u64,
    /// The duration in seconds.
    pub seconds: f64,
}

impl RewindResult {
    /// Whether every document of the plan is what it was.
    pub fn is_complete(&self) -> bool {
        self.finished && self.edited_meanwhile_count == 0 && self.refused_count == 0
    }
}
