//! Inspects an archive without a CouchDB: one document, all documents of a database, a list of documents.

mod dump;
mod get;
mod list;

use std::io::Write;
use std::sync::Arc;

use contents::Source;
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Code, Failure, Result};
use snapshot::{Moment, OpenOptions, Snapshot, SnapshotDatabase};
use store::Place;

pub use dump::{DumpFormat, DumpOptions, DumpResult, dump};
pub use get::{GetOptions, get};
pub use list::{ListOptions, ListStyle, list};

/// Opens an archive to read databases from it: all of them, or the named ones, as they were saved or at an earlier moment.
///
/// An archive without a table of contents is read once from beginning to end, and the reporter shows that.
pub fn open(
    place: &Place,
    only: Option<Vec<String>>,
    at: Option<Moment>,
    threads: usize,
    reporter: &dyn Reporter,
) -> Result<Arc<Snapshot>> {
    open_source(contents::open(place)?, only, at, threads, reporter)
}

/// As [`open`], for a backup that has been found.
pub fn open_source(
    source: Box<dyn Source>,
    only: Option<Vec<String>>,
    at: Option<Moment>,
    threads: usize,
    reporter: &dyn Reporter,
) -> Result<Arc<Snapshot>> {
    let options = OpenOptions { threads, only, at };
    let name = source.name().to_owned();
    let report = |what: &str| {
        reporter.notice(&Notice { severity: Severity::Info, text: format!("{name}: {what}") });
    };
    Ok(Snapshot::of_source(source, &options, &report)?)
}

/// Opens one database of an archive.
fn open_database(
    place: &Place,
    db: &str,
    at: Option<&Moment>,
    threads: usize,
    reporter: &dyn Reporter,
) -> Result<Arc<SnapshotDatabase>> {
    let snapshot = open(place, Some(vec![db.to_owned()]), at.cloned(), threads, reporter)?;
    snapshot.database(db)?.ok_or_else(|| {
        Failure::refused(
            Code::new("CC-C08"),
            format!("{place} holds no database {db}"),
            "`couchcopy ls ARCHIVE` lists the databases.",
        )
    })
}

pub(crate) fn write(out: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    out.write_all(bytes).map_err(|e| Failure::io("write to", "standard output", e))
}

/// The name of a document in messages.
fn document_name(database: &SnapshotDatabase, id: &str) -> String {
    format!("{id} of {} in {}", database.name(), database.snapshot().name())
}
