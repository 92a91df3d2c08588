//! What is asked of a restore of databases, and what it says before and after.

use std::path::PathBuf;

use serde::Serialize;

use super::security::SecurityResult;
use crate::selection::Rename;

/// What to bring back, and how.
#[derive(Debug, Clone)]
pub struct DatabasesOptions {
    /// The archive.
    pub archive: PathBuf,
    /// The databases, and the names that they get.
    pub databases: Vec<Rename>,
    /// Copies of every range of new databases; `None`: as many as in the archive, as far as there are nodes.
    pub copies: Option<usize>,
    /// Whether documents may be added to databases that have some already.
    pub merge: bool,
    /// Whether local documents, such as checkpoints of replications, are brought back too.
    pub local: bool,
    /// Number of threads that read an archive without table of contents; 0: as many as there are cores.
    pub threads: usize,
}

/// What is going to be done, for the user to agree to.
#[derive(Debug, Clone, Serialize)]
pub struct DatabasesDescription {
    /// The archive.
    pub archive: PathBuf,
    /// When it was made, as it says.
    pub made: Option<String>,
    /// Where CouchDB answers.
    pub url: String,
    /// The databases.
    pub databases: Vec<DatabaseDescription>,
}

/// What is going to be done with a database.
#[derive(Debug, Clone, Serialize)]
pub struct DatabaseDescription {
    /// Its name in the archive.
    pub from: String,
    /// The name that it gets.
    pub to: String,
    /// Documents in the archive.
    pub documents: u64,
    /// Documents that are deleted.
    pub deleted: u64,
    /// What is there now.
    pub found: FoundDescription,
    /// Number of ranges of a new database.
    pub q: usize,
    /// Copies of each range that a new database is made with.
    pub n: usize,
    /// Whether documents are placed by the first part of their ids.
    pub partitioned: bool,
    /// What the user should know before.
    pub warnings: Vec<String>,
}

/// What there is under the name that a database gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FoundDescription {
    /// Nothing: it is made.
    Nothing,
    /// An empty database.
    Empty,
    /// What an interrupted restore of the same database has left: it goes on.
    Unfinished,
    /// A database with documents: those of the archive are added.
    Documents,
}

/// What was brought back.
#[derive(Debug, Clone, Serialize)]
pub struct DatabasesResult {
    /// Where CouchDB answers.
    pub url: String,
    /// The databases, in the order in which they were asked for.
    pub databases: Vec<DatabaseResult>,
    /// Seconds in all.
    pub seconds: f64,
}

/// A database that was brought back.
#[derive(Debug, Clone, Serialize)]
pub struct DatabaseResult {
    /// Its name in the archive.
    pub from: String,
    /// The name that it got.
    pub to: String,
    /// What was there before.
    pub found: FoundDescription,
    /// Documents in the archive, deleted ones among them.
    pub documents: u64,
    /// Whether it was brought to its end; else the same command goes on.
    pub finished: bool,
    /// Revisions that were sent.
    pub revisions: u64,
    /// Bytes that were sent.
    pub bytes: u64,
    /// Local documents that were sent.
    pub local: u64,
    /// Revisions that CouchDB does not take or that are damaged in the archive, and why; the first thousand of them.
    pub refused: Vec<Refused>,
    /// Number of these.
    pub refused_revisions: u64,
    /// What became of the security object.
    pub security: SecurityResult,
    /// Seconds.
    pub seconds: f64,
}

/// A revision that was not brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The document.
    pub id: String,
    /// The revision.
    pub rev: String,
    /// Why.
    pub reason: String,
}

impl DatabasesResult {
    /// Whether everything asked for is there.
    pub fn is_complete(&self) -> bool {
        self.databases.iter().all(DatabaseResult::is_complete)
    }
}

impl DatabaseResult {
    /// Whether everything of it is there.
    pub fn is_complete(&self) -> bool {
        self.finished
            && self.refused_revisions == 0
            && !matches!(self.security, SecurityResult::NotSet { .. })
    }
}
