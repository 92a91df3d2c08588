//! Checks every file of an archive while the archive is read.

use std::sync::{Mutex, PoisonError};

use archive::{ArchiveError, EntryInfo, Facts, LargeSink, Visitor};
use contents::{Contents, Spool, integrity, unusable};
use couchfile::check::Placement;
use couchfile::data_dir::{DataFile, locate};
use couchfile::error::CouchFileError;
use couchfile::read_at::ReadAt;
use outcome::report::{Counter, Reporter};
use outcome::{Failure, Result, parallel};

use super::{Mapped, VerifyResult};

/// Checks files on all threads.
pub(super) struct Checker<'s> {
    contents: &'s Contents,
    mapped: &'s Mapped<'s>,
    integrity: integrity::Checker,
    result: Mutex<VerifyResult>,
    large: Mutex<Vec<LargeFile>>,
    /// Files that are checked, and bytes of all entries, whatever they are.
    progress: Counter<'s>,
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
        Self {
            contents,
            mapped,
            integrity,
            result: Mutex::new(result),
            large: Mutex::default(),
            progress: Counter::new(reporter),
        }
    }

    pub(super) fn into_result(self) -> VerifyResult {
        self.result.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(&self, work: impl FnOnce(&mut VerifyResult)) {
        work(&mut self.result.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Bytes of an entry of the archive have been read.
    fn passed(&self, bytes: u64) {
        self.progress.add(0, bytes);
    }

    /// Checks a file's content. Damage goes into the result; failed reads are errors. `unreported` are the bytes of the file that
    /// have not been reported yet.
    fn check(
        &self,
        file: &DataFile,
        facts: Option<&Facts>,
        unreported: u64,
        content: &dyn ReadAt,
    ) -> Result<()> {
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
                self.with(|result| {
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
                self.with(|result| {
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
        self.progress.add(1, unreported);
        Ok(())
    }
}

impl Visitor for Checker<'_> {
    fn small(&self, entry: &EntryInfo<'_>, content: &[u8]) -> Result<()> {
        let Some((_, file)) = locate(entry.name) else {
            self.passed(entry.size);
            return Ok(());
        };
        self.check(&file, entry.facts, entry.size, &content)
    }

    fn large<'a>(&'a self, entry: &EntryInfo<'_>) -> Result<Option<Box<dyn LargeSink + 'a>>, Failure> {
        if self.contents.source.files().is_some() {
            let facts = entry.facts.cloned().unwrap_or(Facts::Other);
            let file = locate(entry.name).map(|(_, file)| file);
            let large = LargeFile { name: entry.name.to_owned(), size: entry.size, file, facts };
            self.large.lock().unwrap_or_else(PoisonError::into_inner).push(large);
            return Ok(None);
        }
        let Some((_, file)) = locate(entry.name) else {
            self.passed(entry.size);
            return Ok(None);
        };
        Ok(Some(Box::new(Spooled { checker: self, file, spool: Spool::new()? })))
    }
}

/// A large file of an archive with a table of contents. It is checked after all small ones, by reads at any offset that verify its
/// hash on the way.
struct LargeFile {
    name: String,
    size: u64,
    /// `None` if it is not a file that CouchDB opens.
    file: Option<DataFile>,
    facts: Facts,
}

impl Checker<'_> {
    /// Checks the large files that the visit has left out.
    pub(super) fn check_large(&self, threads: usize) -> Result<()> {
        let threads = parallel::threads(threads);
        let large = std::mem::take(&mut *self.large.lock().unwrap_or_else(PoisonError::into_inner));
        // All threads work on one file, or each on one of its own.
        let (one_by_one, side_by_side): (Vec<_>, Vec<_>) =
            large.into_iter().partition(|large| large.size >= integrity::LARGE);
        for large in &one_by_one {
            self.check_large_file(large, threads)?;
        }
        parallel::for_each_large(threads, &side_by_side, |_, large| self.check_large_file(large, 1))
    }

    fn check_large_file(&self, large: &LargeFile, threads: usize) -> Result<()> {
        let files = self.contents.source.files();
        let passed = |bytes| self.passed(bytes);
        let content = files.map_or(Ok(None), |files| files.open_to_verify(&large.name, &passed))?;
        let content = content
            .ok_or_else(|| Failure::bug(format!("{} is listed in the backup but is missing", large.name)))?;
        let checked = match &large.file {
            Some(file) => self.check(file, Some(&large.facts), 0, &content),
            None => Ok(()),
        };
        // What is wrong with the archive itself explains what is wrong with the file.
        content.finish(threads)?;
        checked
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
        self.spool.put(offset, bytes)?;
        self.checker.passed(bytes.len() as u64);
        Ok(())
    }

    fn finish(&self, _: &archive::Hash) -> Result<()> {
        self.checker.check(&self.file, None, 0, &self.spool.content()?)
    }
}
