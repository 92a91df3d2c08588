//! Checks every file of an archive while the archive is read.

use std::sync::{Mutex, PoisonError};

use archive::{ArchiveError, Entry, EntryInfo, Facts, LargeSink, Visitor};
use contents::{Contents, OpenFile, Spool, integrity, unusable};
use couchfile::check::Placement;
use couchfile::data_dir::{DataFile, locate};
use couchfile::error::CouchFileError;
use couchfile::read_at::ReadAt;
use outcome::report::Reporter;
use outcome::{Failure, Result, parallel};

use super::{Mapped, VerifyResult};

/// Checks files on all threads.
pub(super) struct Checker<'s> {
    contents: &'s Contents,
    mapped: &'s Mapped<'s>,
    integrity: integrity::Checker,
    result: Mutex<(VerifyResult, u64, u64)>,
    reporter: &'s dyn Reporter,
}

impl<'s> Checker<'s> {
    pub(super) fn new(
        contents: &'s Contents,
        mapped: &'s Mapped<'s>,
        result: VerifyResult,
        threads: usize,
        reporter: &'s dyn Reporter,
    ) -> Self {
        let integrity = integrity::Checker::new(parallel::threads(threads));
        Self { contents, mapped, integrity, result: Mutex::new((result, 0, 0)), reporter }
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

    /// Checks a file's content. Damage goes into the result; failed reads are errors.
    fn check(&self, file: &DataFile, facts: Option<&Facts>, size: u64, content: &dyn ReadAt) -> Result<()> {
        let path = file.path();
        let failed = |e: CouchFileError| -> Failure {
            match e {
                CouchFileError::Newer { .. } => unusable(format!("{path} of the archive"), e),
                e => ArchiveError::Content {
                    archive: self.contents.name().to_owned(),
                    entry: path.clone(),
                    source: Box::new(e),
                }
                .into(),
            }
        };
        match file {
            DataFile::View { signature, .. } => {
                let problem = integrity::view_problem(signature, content).map_err(failed)?;
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
                        partitioned: self.mapped.partitioned.contains(&shard.db),
                    }),
                    _ => None,
                };
                let report = self.integrity.database(content, placement, facts).map_err(failed)?;
                self.with(size, |result| {
                    if placement.is_some() {
                        result.shards += 1;
                        if self.mapped.counted.contains(path.as_str()) {
                            result.add(&report);
                        }
                    }
                    for problem in report.told() {
                        result.problem(path.clone(), problem);
                    }
                });
            }
        }
        Ok(())
    }
}

impl Visitor for Checker<'_> {
    fn small(&self, entry: &EntryInfo<'_>, content: &[u8]) -> Result<()> {
        match locate(entry.name) {
            Some((_, file)) => self.check(&file, entry.entry.map(|e| &e.facts), entry.size, &content),
            None => Ok(()),
        }
    }

    fn large<'a>(&'a self, entry: &EntryInfo<'_>) -> Result<Option<Box<dyn LargeSink + 'a>>, Failure> {
        let Some((_, file)) = locate(entry.name) else { return Ok(None) };
        if let Some(entry) = entry.entry {
            return Ok(Some(Box::new(InPlace { checker: self, file, entry: entry.clone() })));
        }
        Ok(Some(Box::new(Spooled { checker: self, file, spool: Spool::new()? })))
    }
}

/// A large file of an archive with a table of contents: read once for its hash, then with random access for its trees.
struct InPlace<'c> {
    checker: &'c Checker<'c>,
    file: DataFile,
    entry: Entry,
}

impl LargeSink for InPlace<'_> {
    fn chunk(&self, _: u64, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn finish(&self, _: &archive::Hash) -> Result<()> {
        let files = self.checker.contents.source.files();
        let opened = files.map_or(Ok(None), |files| files.open(&self.entry.name))?;
        let Some(OpenFile { content, .. }) = opened else {
            return Err(Failure::bug(format!("{} is listed in the backup but is missing", self.entry.name)));
        };
        self.checker.check(&self.file, Some(&self.entry.facts), self.entry.size, &content)
    }
}

/// A large file of an archive without a table of contents: kept in a temporary file while it is checked.
struct Spooled<'c> {
    checker: &'c Checker<'c>,
    file: DataFile,
    spool: Spool,
}

impl LargeSink for Spooled<'_> {
    fn chunk(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.spool.put(offset, bytes)
    }

    fn finish(&self, _: &archive::Hash) -> Result<()> {
        let bytes = self.spool.content()?;
        self.checker.check(&self.file, None, bytes.len(), &bytes)
    }
}
