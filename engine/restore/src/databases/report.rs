//! The options, the plan and the result of a restore of databases.

use std::sync::Arc;

use filter::Filter;
use serde::Serialize;
use snapshot::Moment;
use store::Place;

use super::security::SecurityResult;
use crate::placement::Places;
use crate::ranges::Ranges;
use crate::selection::Rename;

/// The options of a restore of databases.
#[derive(Debug, Clone)]
pub struct DatabasesOptions {
    /// The archive.
    pub archive: Place,
    /// The databases and their new names.
    pub databases: Vec<Rename>,
    /// The moment of which the databases are restored; `None`: as they were saved.
    pub at: Option<Moment>,
    /// Copies of every range of new databases; `None`: as many as zones demand, or else as in the archive, limited by the number of
    /// nodes.
    pub copies: Option<usize>,
    /// The number of ranges of new databases, if it is not that in the archive.
    pub ranges: Ranges,
    /// Which zones get how many copies of new databases, if that is not what CouchDB is configured with.
    pub places: Places,
    /// Whether documents may be added to databases that already have some.
    pub merge: bool,
    /// Whether local documents, such as checkpoints of replications, are restored too.
    pub local: bool,
    /// Which revisions are restored, and with which content; `None`: all as they are.
    pub filter: Option<Arc<dyn Filter>>,
    /// Number of threads that read an archive without a table of contents; 0: the number of cores.
    pub threads: usize,
}

/// What a restore is going to do, for the user to confirm.
#[derive(Debug, Clone, Serialize)]
pub struct DatabasesDescription {
    /// The archive.
    pub archive: Place,
    /// When the archive was made, according to the archive.
    pub made: Option<String>,
    /// The URL of CouchDB.
    pub url: String,
    /// What chooses the documents that are restored; `None`: nothing, all are restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// What that means, for the user.
    #[serde(skip)]
    pub meaning: Option<String>,
    /// The databases.
    pub databases: Vec<DatabaseDescription>,
}

/// What is going to be done with one database.
#[derive(Debug, Clone, Serialize)]
pub struct DatabaseDescription {
    /// Its name in the archive.
    pub from: String,
    /// Its new name.
    pub to: String,
    /// Documents in the archive.
    pub documents: u64,
    /// Documents that are deleted.
    pub deleted: u64,
    /// What exists under the new name.
    pub found: FoundDescription,
    /// Number of ranges of a new database.
    pub q: usize,
    /// Copies of each range of a new database.
    pub n: usize,
    /// Which zones get how many of them, as CouchDB writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zones: Option<String>,
    /// Whether the database is partitioned.
    pub partitioned: bool,
    /// What the user should know before the restore.
    pub warnings: Vec<String>,
}

/// What exists under the new name of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FoundDescription {
    /// Nothing: the database is created.
    Nothing,
    /// An empty database.
    Empty,
    /// The unfinished result of an interrupted restore of the same database, which continues.
    Unfinished,
    /// A database with documents: the documents of the archive are added.
    Documents,
}

/// The result of a restore of databases.
#[derive(Debug, Clone, Serialize)]
pub struct DatabasesResult {
    /// The URL of CouchDB.
    pub url: String,
    /// The databases, in the requested order.
    pub databases: Vec<DatabaseResult>,
    /// The total duration in seconds.
    pub seconds: f64,
}

/// A restored database.
#[derive(Debug, Clone, Serialize)]
pub struct DatabaseResult {
    /// Its name in the archive.
    pub from: String,
    /// Its new name.
    pub to: String,
    /// What existed under the new name before.
    pub found: FoundDescription,
    /// Documents in the archive, including deleted ones.
    pub documents: u64,
    /// Whether the restore of the database is finished; if not, the same command resumes it.
    pub finished: bool,
    /// Revisions that were sent.
    pub revisions: u64,
    /// Revisions that a filter left out, among those that were looked at.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// Bytes that were sent.
    pub bytes: u64,
    /// Local documents that were sent.
    pub local: u64,
    /// The first thousand revisions that CouchDB refused or that are damaged in the archive, and why.
    pub refused: Vec<Refused>,
    /// Number of revisions that were not restored.
    pub refused_revisions: u64,
    /// The result for the security object.
    pub security: SecurityResult,
    /// The duration in seconds.
    pub seconds: f64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands references over
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A revision that was not restored.
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
    /// Whether everything that was requested is restored.
    pub fn is_complete(&self) -> bool {
        self.databases.iter().all(DatabaseResult::is_complete)
    }
}

impl DatabaseResult {
    /// Whether the complete database is restored.
    pub fn is_complete(&self) -> bool {
        self.finished
            && self.refused_revisions == 0
            && !matches!(self.security, SecurityResult::NotSet { .. })
    }
}
