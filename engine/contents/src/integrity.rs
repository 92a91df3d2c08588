//! Whether a file of a backup is intact. `verify`, restores and `backup --check` all use this check.

use std::sync::atomic::{AtomicUsize, Ordering};

use archive::Facts;
use couchfile::check::{self, Placement, Report};
use couchfile::database::Database;
use couchfile::error::CouchFileError;
use couchfile::read_at::ReadAt;
use couchfile::view::ViewIndex;

/// Files of at least this size, in bytes, are checked by several threads.
pub const LARGE: u64 = 8 << 20;

/// Checks files, large files on several threads.
#[derive(Debug)]
pub struct Checker {
    /// Number of threads that may still be started in addition to the callers.
    spare: AtomicUsize,
}

impl Checker {
    /// A checker for this number of threads in total.
    pub fn new(threads: usize) -> Self {
        Self { spare: AtomicUsize::new(threads.saturating_sub(1)) }
    }

    /// Checks a database's trees, bodies and attachments, and compares it with the manifest.
    ///
    /// Fails if the file cannot be read or was written by a newer CouchDB. Damage is in the report.
    pub fn database(
        &self,
        content: &dyn ReadAt,
        placement: Option<Placement>,
        facts: Option<&Facts>,
    ) -> Result<Report, CouchFileError> {
        let checked = Database::open(content).and_then(|database| {
            let spare = if content.len() >= LARGE { self.take() } else { 0 };
            let report = check::check_with(&database, placement, spare + 1);
            self.spare.fetch_add(spare, Ordering::Relaxed);
            let mut report = report?;
            for problem in disagreements(facts, &database)? {
                report.problem_count += 1;
                report.problems.push(problem);
            }
            Ok(report)
        });
        match checked {
            Ok(report) => Ok(report),
            Err(error) => {
                let problems = vec![damage(error)?.to_string()];
                Ok(Report { problem_count: 1, problems, ..Report::default() })
            }
        }
    }

    /// Takes all unused threads.
    fn take(&self) -> usize {
        self.spare.swap(0, Ordering::Relaxed)
    }
}

/// The damage of a view index with this signature; `None` if it is intact.
///
/// Fails if the file cannot be read.
pub fn view_problem(signature: &str, content: &dyn ReadAt) -> Result<Option<String>, CouchFileError> {
    match ViewIndex::open(content) {
        Ok(index) if hex::encode(&index.header.signature) != *signature => {
            Ok(Some("its signature does not match its name".to_owned()))
        }
        Ok(_) => Ok(None),
        Err(e) => damage(e).map(|damage| Some(damage.to_string())),
    }
}

/// Separates damage, which is a result, from a failed read or a file of a newer CouchDB, which is an error.
fn damage(error: CouchFileError) -> Result<CouchFileError, CouchFileError> {
    match error {
        CouchFileError::Newer { .. } => Err(error),
        CouchFileError::Io { ref source, .. } if source.kind() != std::io::ErrorKind::UnexpectedEof => {
            Err(error)
        }
        other => Ok(other),
    }
}

/// Differences between the manifest and the file's header.
fn disagreements<R: ReadAt>(
    facts: Option<&Facts>,
    database: &Database<R>,
) -> Result<Vec<String>, CouchFileError> {
    let header = database.header();
    let counts = database.counts()?;
    let mut found = Vec::new();
    let mut compare = |what: &str, manifest: u64, file: u64| {
        if manifest != file {
            found.push(format!("the manifest records {what} {manifest}, the file has {file}"));
        }
    };
    match facts {
        Some(Facts::Shard { seq, docs, deleted, header: offset, uuid, .. }) => {
            compare("update sequence", *seq, header.update_seq);
            compare("documents", *docs, counts.0);
            compare("deleted documents", *deleted, counts.1);
            compare("header at", *offset, database.header_offset());
            if *uuid != header.uuid {
                found.push("the manifest records a different uuid than the file has".into());
            }
        }
        Some(Facts::ShardMaps { maps, seq, header: offset, .. }) => {
            compare("shard maps", *maps, counts.0);
            compare("update sequence", *seq, header.update_seq);
            compare("header at", *offset, database.header_offset());
        }
        _ => {}
    }
    Ok(found)
}
