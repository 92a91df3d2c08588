//! Checks every file of an archive as it passes by.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use archive::{Archive, BoxError, Entry, EntryInfo, Facts, LargeSink, Visitor};
use couchfile::check::{self, Placement};
use couchfile::data_dir::DataFile;
use couchfile::database::Database;
use couchfile::error::CouchFileError;
use couchfile::read_at::ReadAt;
use couchfile::view::ViewIndex;

use super::VerifyResult;
use crate::error::OperationError;
use crate::report::Reporter;
use crate::spool::Spool;
use crate::survey::{Survey, locate};

/// Checks files on all threads.
pub(super) struct Checker<'s> {
    survey: &'s Survey,
    partitioned: &'s HashSet<String>,
    result: Mutex<(VerifyResult, u64, u64)>,
    reporter: &'s dyn Reporter,
}

impl<'s> Checker<'s> {
    pub(super) fn new(
        survey: &'s Survey,
        partitioned: &'s HashSet<String>,
        result: VerifyResult,
        reporter: &'s dyn Reporter,
    ) -> Self {
        Self { survey, partitioned, result: Mutex::new((result, 0, 0)), reporter }
    }

    pub(super) fn into_result(self) -> VerifyResult {
        self.result.into_inner().unwrap_or_else(PoisonError::into_inner).0
    }

    fn with(&self, size: u64, work: impl FnOnce(&mut VerifyResult)) {
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut result.0);
        result.1 += 1;
        result.2 += size;
        self.reporter.advance(result.1, result.2);
    }

    /// Checks a file's content. Damage goes into the result, failed reads are errors.
    fn check(
        &self,
        file: &DataFile,
        facts: Option<&Facts>,
        size: u64,
        content: &dyn ReadAt,
    ) -> Result<(), BoxError> {
        let path = file.path();
        match file {
            DataFile::View { signature, .. } => {
                let problem = match ViewIndex::open(content) {
                    Ok(index) if hex::encode(&index.header.signature) != *signature => {
                        Some("its signature is not its name".to_owned())
                    }
                    Ok(_) => None,
                    Err(e) => Some(damage(e)?.to_string()),
                };
                self.with(size, |result| {
                    result.views += 1;
                    if let Some(problem) = problem {
                        result.problem(path, problem);
                    }
                });
            }
            DataFile::ShardMaps | DataFile::Shard(_) => {
                let placement = match file {
                    DataFile::Shard(shard) => Some(Placement {
                        range: shard.range,
                        partitioned: self.partitioned.contains(&shard.db),
                    }),
                    _ => None,
                };
                let checked = Database::open(content).and_then(|database| {
                    let mut report = check::check(&database, placement)?;
                    for problem in disagreements(facts, &database)? {
                        report.problem_count += 1;
                        report.problems.push(problem);
                    }
                    Ok(report)
                });
                match checked {
                    Ok(report) => self.with(size, |result| {
                        if placement.is_some() {
                            result.shards += 1;
                            result.add(&report);
                        }
                        let told = report.problems.len() as u64;
                        for problem in report.problems {
                            result.problem(path.clone(), problem);
                        }
                        if report.problem_count > told {
                            result.problem(path, format!("and {} more", report.problem_count - told));
                        }
                    }),
                    Err(e) => {
                        let problem = damage(e)?.to_string();
                        self.with(size, |result| {
                            result.shards += u64::from(placement.is_some());
                            result.problem(path, problem);
                        });
                    }
                }
            }
        }
        Ok(())
    }
}

/// Damage stays a problem of the file; a failed read ends the verification.
fn damage(error: CouchFileError) -> Result<CouchFileError, BoxError> {
    match error {
        CouchFileError::Io { source, offset, wanted }
            if source.kind() != std::io::ErrorKind::UnexpectedEof =>
        {
            Err(CouchFileError::Io { source, offset, wanted }.into())
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

impl Visitor for Checker<'_> {
    fn small(&self, entry: &EntryInfo<'_>, content: &[u8]) -> Result<(), BoxError> {
        match locate(entry.name) {
            Some((_, file)) => self.check(&file, entry.entry.map(|e| &e.facts), entry.size, &content),
            None => Ok(()),
        }
    }

    fn large<'a>(&'a self, entry: &EntryInfo<'_>) -> Result<Option<Box<dyn LargeSink + 'a>>, BoxError> {
        let Some((_, file)) = locate(entry.name) else { return Ok(None) };
        if let Some(entry) = entry.entry {
            return Ok(Some(Box::new(InPlace { checker: self, file, entry: entry.clone() })));
        }
        Ok(Some(Box::new(Spooled { checker: self, file, spool: Spool::new()? })))
    }
}

/// A large file of an archive with a table of contents: read once for its hash, then at random for its trees.
struct InPlace<'c> {
    checker: &'c Checker<'c>,
    file: DataFile,
    entry: Entry,
}

impl LargeSink for InPlace<'_> {
    fn chunk(&self, _: u64, _: &[u8]) -> Result<(), BoxError> {
        Ok(())
    }

    fn finish(&self, _: &archive::Hash) -> Result<(), BoxError> {
        let Archive::Indexed(archive) = &self.checker.survey.archive else {
            return Err(OperationError::Bug("an entry of a manifest in an archive without one".into()).into());
        };
        let reader = archive.open_entry(&self.entry)?;
        self.checker.check(&self.file, Some(&self.entry.facts), self.entry.size, &reader)
    }
}

/// A large file of an archive without a table of contents: kept in a file without name while it is checked.
struct Spooled<'c> {
    checker: &'c Checker<'c>,
    file: DataFile,
    spool: Spool,
}

impl LargeSink for Spooled<'_> {
    fn chunk(&self, offset: u64, bytes: &[u8]) -> Result<(), BoxError> {
        Ok(self.spool.put(offset, bytes)?)
    }

    fn finish(&self, _: &archive::Hash) -> Result<(), BoxError> {
        let bytes = self.spool.content()?;
        self.checker.check(&self.file, None, bytes.len(), &bytes)
    }
}
