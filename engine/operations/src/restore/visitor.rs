//! Writes the files of an archive into the staging folders as they pass by.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use archive::{BoxError, EntryInfo, LargeSink, Visitor};
use couchfile::data_dir::{DataFile, ShardName};
use couchfile::database::Database;
use couchfile::error::CouchFileError;
use couchfile::read_at::FileBytes;
use couchfile::view::ViewIndex;

use super::RestoreOptions;
use super::plan::Plan;
use super::shard::{self, Copy};
use super::staging::Staging;
use crate::error::{OperationError, Result};
use crate::report::Reporter;
use crate::survey::Survey;

/// What was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct WrittenFiles {
    pub(super) shards: u64,
    pub(super) views: u64,
    pub(super) bytes: u64,
}

/// Writes every planned file for every node that gets it.
pub(super) struct Writer<'r> {
    survey: &'r Survey,
    plan: &'r Plan,
    options: &'r RestoreOptions,
    stagings: &'r [Staging],
    reporter: &'r dyn Reporter,
    /// Shards of the archive that are done, with all their copies.
    done: AtomicU64,
    shards: AtomicU64,
    views: AtomicU64,
    bytes: AtomicU64,
}

/// A planned file and the numbers of its targets.
struct Wanted<'p> {
    file: DataFile,
    path: String,
    targets: &'p [u16],
}

impl<'r> Writer<'r> {
    pub(super) fn new(
        survey: &'r Survey,
        plan: &'r Plan,
        options: &'r RestoreOptions,
        stagings: &'r [Staging],
        reporter: &'r dyn Reporter,
    ) -> Self {
        Self {
            survey,
            plan,
            options,
            stagings,
            reporter,
            done: AtomicU64::new(0),
            shards: AtomicU64::new(0),
            views: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// Whether an entry of the archive is to be written.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.wanted(name).is_some()
    }

    fn wanted(&self, name: &str) -> Option<Wanted<'r>> {
        let path = name.strip_prefix(self.survey.root.as_str())?;
        let file = DataFile::parse(path)?;
        let targets = match &file {
            DataFile::ShardMaps => return None,
            DataFile::Shard(_) => self.plan.shards.get(path)?,
            DataFile::View { shard, signature } => {
                let shard = shard.path();
                if !self.plan.views.get(shard.as_str())?.contains(signature) {
                    return None;
                }
                self.plan.shards.get(shard.as_str())?
            }
        };
        Some(Wanted { file, path: path.to_owned(), targets })
    }

    /// Tells what was written.
    ///
    /// Fails where a planned shard did not come by.
    pub(super) fn finish(self) -> Result<WrittenFiles> {
        let done = self.done.into_inner();
        if done != self.plan.shards.len() as u64 {
            return Err(OperationError::Bug(format!(
                "{done} shards were restored instead of {}",
                self.plan.shards.len()
            )));
        }
        Ok(WrittenFiles {
            shards: self.shards.into_inner(),
            views: self.views.into_inner(),
            bytes: self.bytes.into_inner(),
        })
    }

    fn copy<'a>(&'a self, shard: &ShardName, number: usize, target: u16) -> Copy<'a> {
        Copy {
            node: &self.options.targets[usize::from(target)].node,
            fresh_uuid: number > 0 || self.options.fresh_uuids,
            views: self.plan.views.get(shard.path().as_str()),
        }
    }

    fn count(&self, wanted: &Wanted<'_>, size: u64) {
        let copies = wanted.targets.len() as u64;
        let bytes = self.bytes.fetch_add(size * copies, Ordering::Relaxed) + size * copies;
        if matches!(wanted.file, DataFile::Shard(_)) {
            self.shards.fetch_add(copies, Ordering::Relaxed);
            let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
            self.reporter.advance(done, bytes);
        } else {
            self.views.fetch_add(copies, Ordering::Relaxed);
        }
    }
}

fn unusable(path: &str) -> impl Fn(CouchFileError) -> OperationError + '_ {
    move |e| OperationError::database(format!("{path} of the archive"), e)
}

impl Visitor for Writer<'_> {
    fn small(&self, entry: &EntryInfo<'_>, content: &[u8]) -> Result<(), BoxError> {
        let Some(wanted) = self.wanted(entry.name) else { return Ok(()) };
        let failed = unusable(&wanted.path);
        let put = |target: u16, parts: &[&[u8]]| -> Result<()> {
            let staging = &self.stagings[usize::from(target)];
            let mut file = staging.create_file(&wanted.path)?;
            let bytes = parts.concat();
            file.write_all(&bytes).map_err(|e| OperationError::io("write", staging.path_of(&wanted.path), e))
        };
        if let DataFile::Shard(name) = &wanted.file {
            let database = Database::open(content).map_err(&failed)?;
            for (number, &target) in wanted.targets.iter().enumerate() {
                let tail = shard::tail(&database, self.copy(name, number, target)).map_err(&failed)?;
                put(target, &[&content[..tail.keep as usize], &tail.bytes])?;
            }
        } else {
            let end = ViewIndex::open(content).map_err(&failed)?.header_end;
            for &target in wanted.targets {
                put(target, &[&content[..end as usize]])?;
            }
        }
        self.count(&wanted, entry.size);
        Ok(())
    }

    fn large<'a>(&'a self, entry: &EntryInfo<'_>) -> Result<Option<Box<dyn LargeSink + 'a>>, BoxError> {
        let Some(wanted) = self.wanted(entry.name) else { return Ok(None) };
        let files = wanted
            .targets
            .iter()
            .map(|&target| self.stagings[usize::from(target)].create_file(&wanted.path))
            .collect::<Result<Vec<File>>>()?;
        Ok(Some(Box::new(LargeFile { writer: self, wanted, files, size: entry.size })))
    }
}

/// A large file: written to all targets chunk by chunk, then given its end.
struct LargeFile<'w> {
    writer: &'w Writer<'w>,
    wanted: Wanted<'w>,
    files: Vec<File>,
    size: u64,
}

impl LargeFile<'_> {
    fn io(&self, target: u16) -> impl Fn(std::io::Error) -> OperationError + '_ {
        let path = self.writer.stagings[usize::from(target)].path_of(&self.wanted.path);
        move |e| OperationError::io("write", path.clone(), e)
    }

    fn cut(&self, target: u16, file: &File, keep: u64, tail: &[u8]) -> Result<()> {
        file.set_len(keep).and_then(|()| file.write_all_at(tail, keep)).map_err(self.io(target))
    }
}

impl LargeSink for LargeFile<'_> {
    fn chunk(&self, offset: u64, bytes: &[u8]) -> Result<(), BoxError> {
        for (file, &target) in self.files.iter().zip(self.wanted.targets) {
            file.write_all_at(bytes, offset).map_err(self.io(target))?;
        }
        Ok(())
    }

    fn finish(&self, _: &archive::Hash) -> Result<(), BoxError> {
        let failed = unusable(&self.wanted.path);
        for (number, (file, &target)) in self.files.iter().zip(self.wanted.targets).enumerate() {
            let bytes = file.try_clone().and_then(FileBytes::new).map_err(self.io(target))?;
            if let DataFile::Shard(name) = &self.wanted.file {
                let database = Database::open(bytes).map_err(&failed)?;
                let copy = self.writer.copy(name, number, target);
                let tail = shard::tail(&database, copy).map_err(&failed)?;
                self.cut(target, file, tail.keep, &tail.bytes)?;
            } else {
                let end = ViewIndex::open(bytes).map_err(&failed)?.header_end;
                self.cut(target, file, end, &[])?;
            }
        }
        self.writer.count(&self.wanted, self.size);
        Ok(())
    }
}
