//! Whether a file of a backup is intact: what `verify`, restores and `backup --check` all go by.

use std::sync::atomic::{AtomicUsize, Ordering};

use archive::Facts;
use couchfile::check::{self, Placement, Report};
use couchfile::database::Database;
use couchfile::error::CouchFileError;
use couchfile::read_at::ReadAt;
use couchfile::view::ViewIndex;

/// From this size on a file is worth several threads, in bytes.
const LARGE: u64 = 8 << 20;

/// Checks files, large ones with the help of more threads.
#[derive(Debug)]
pub struct Checker {
    /// Threads that may still be added to those that call.
    spare: AtomicUsize,
}

impl Checker {
    /// One for that many threads in all.
    pub fn new(threads: usize) -> Self {
        Self { spare: AtomicUsize::new(threads.saturating_sub(1)) }
    }

    /// Checks a database's trees, bodies and attachments, and holds it against what the manifest says of it.
    ///
    /// Fails where its bytes cannot be read, and where a newer CouchDB wrote it; damage is in the report.
    pub fn database(
        &self,
        content: &dyn ReadAt,
        placement: Option<Placement>,
        facts: Option<&Facts>,
    ) -> Result<Report, CouchFileError> {
        let checked = Database::open(content).and_then(|database| {
            let helpers = if content.len() >= LARGE { self.take() } else { 0 };
            let report = check::check_with(&database, placement, helpers);
            self.spare.fetch_add(helpers, Ordering::Relaxed);
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

    /// All threads that nobody uses.
    fn take(&self) -> usize {
        self.spare.swap(0, Ordering::Relaxed)
    }
}

/// What is wrong with a view index of that signature; `None` where nothing is.
///
/// Fails where its bytes cannot be read.
pub fn view_problem(signature: &str, content: &dyn ReadAt) -> Result<Option<String>, CouchFileError> {
    match ViewIndex::open(content) {
        Ok(index) if hex::encode(&index.header.signature) != *signature => {
            Ok(Some("its signature is not its name".to_owned()))
        }
        Ok(_) => Ok(None),
        Err(e) => damage(e).map(|damage| Some(damage.to_string())),
    }
}

/// Damage is a finding; a failed read, or a file of a newer CouchDB, is an error.
fn damage(error: CouchFileError) -> Result<CouchFileError, CouchFileError> {
    match error {
        CouchFileError::Newer { .. } => Err(error),
        CouchFileError::Io { ref source, .. } if source.kind() != std::io::ErrorKind::UnexpectedEof => {
            Err(error)
        }
        other => Ok(other),
    }
}

/// Where the manifest says something else than the file's header.
fn disagreements<R: ReadAt>(
    facts: Option<&Facts>,
    database: &Database<R>,
) -> Result<Vec<String>, CouchFileError> {
    let header = database.header();
    let counts = database.counts()?;
    let mut found = Vec::new();
    let mut compare = |what: &str, manifest: u64, file: u64| {
        if manifest != file {
            found.push(format!("the manifest says {what} {manifest}, the file {file}"));
        }
    };
    match facts {
        Some(Facts::Shard { seq, docs, deleted, header: offset, uuid, .. }) => {
            compare("update sequence", *seq, header.update_seq);
            compare("documents", *docs, counts.0);
            compare("deleted documents", *deleted, counts.1);
            compare("header at", *offset, database.header_offset());
            if *uuid != header.uuid {
                found.push("the manifest says another uuid than the file".into());
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
