//! Large files, which come chunk by chunk.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use archive::LargeSink;
use couchfile::data_dir::DataFile;
use couchfile::database::Database;
use couchfile::read_at::{FileBytes, ReadAt};
use couchfile::view::ViewIndex;
use outcome::{Failure, Result};

use super::{Wanted, Writer, unusable_in_archive};
use crate::folders::{checksums, shard};

/// A large file: written to all directories chunk by chunk, followed by its end.
pub(super) struct LargeFile<'w, 'r> {
    pub(super) writer: &'w Writer<'r>,
    pub(super) wanted: Wanted<'r>,
    /// Numbers of the copies that go to directories, with their files and their paths for messages.
    pub(super) files: Vec<(usize, File, PathBuf)>,
    /// Numbers of the copies that are sent through streams.
    pub(super) streams: Vec<usize>,
    /// Keeps the file for the streams.
    pub(super) spool: Option<File>,
    /// What to count at the end; `None` if another place counts it.
    pub(super) size: Option<u64>,
}

impl LargeSink for LargeFile<'_, '_> {
    fn chunk(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.writer.go_on()?;
        for (_, file, path) in &self.files {
            file.write_all_at(bytes, offset).map_err(|e| Failure::io("write", path, e))?;
            self.writer.passed(bytes.len() as u64);
        }
        if let Some(spool) = &self.spool {
            spool
                .write_all_at(bytes, offset)
                .map_err(|e| Failure::io("write a file in", std::env::temp_dir(), e))?;
        }
        Ok(())
    }

    fn finish(&self, _: &archive::Hash) -> Result<()> {
        if !self.is_proven()? {
            if let Some(size) = self.size {
                self.writer.count(&self.wanted, size, 0);
            }
            return Ok(());
        }
        for (number, file, path) in &self.files {
            let io = |e| Failure::io("write", path, e);
            self.writer.put_md5(&self.wanted, file, path)?;
            let bytes = file.try_clone().and_then(FileBytes::new).map_err(io)?;
            let end = self.writer.end_of(&self.wanted, *number, &bytes)?;
            file.set_len(end.keep).and_then(|()| file.write_all_at(&end.bytes, end.keep)).map_err(io)?;
        }
        if let Some(spool) = &self.spool {
            let bytes = spool.try_clone().and_then(FileBytes::new);
            let bytes = bytes.map_err(|e| Failure::io("read a file in", std::env::temp_dir(), e))?;
            for &number in &self.streams {
                self.writer.send(&self.wanted, number, &bytes)?;
            }
        }
        if let Some(size) = self.size {
            self.writer.count(&self.wanted, size, 0);
        }
        Ok(())
    }
}

impl LargeFile<'_, '_> {
    /// Checks the written data, which all copies have in common.
    fn is_proven(&self) -> Result<bool> {
        let (file, path) = match (self.files.first(), &self.spool) {
            (Some((_, file, path)), _) => (file, path.clone()),
            (None, Some(spool)) => (spool, std::env::temp_dir()),
            (None, None) => return Ok(true),
        };
        let bytes = file.try_clone().and_then(FileBytes::new);
        let bytes = bytes.map_err(|e| Failure::io("read", path, e))?;
        self.writer.proves(&self.wanted, &bytes)
    }
}

/// How a copy differs from the archived file.
struct End {
    keep: u64,
    bytes: Vec<u8>,
}

impl Writer<'_> {
    /// The end of a copy of a large file.
    fn end_of(&self, wanted: &Wanted<'_>, number: usize, bytes: &dyn ReadAt) -> Result<End> {
        let failed = unusable_in_archive(&wanted.path);
        if let DataFile::Shard(name) = &wanted.file {
            let database = Database::open(bytes).map_err(&failed)?;
            let tail = shard::tail(&database, self.copy(name, wanted, number)).map_err(&failed)?;
            return Ok(End { keep: tail.keep, bytes: tail.bytes });
        }
        let keep = ViewIndex::open(bytes).map_err(&failed)?.header_end;
        Ok(End { keep, bytes: Vec::new() })
    }

    /// Replaces checksums in a file if the CouchDB that opens it cannot read them.
    fn put_md5(&self, wanted: &Wanted<'_>, file: &File, at: &Path) -> Result<()> {
        if self.only_md5 && checksums::put_md5(&wanted.file, &wanted.path, file, at)? {
            self.rewritten.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(super) fn send(&self, wanted: &Wanted<'_>, number: usize, bytes: &dyn ReadAt) -> Result<()> {
        let destination = &self.destinations[usize::from(wanted.targets[number])];
        let size = bytes.len();
        let copy = |bytes: &dyn ReadAt| {
            let end = self.end_of(wanted, number, bytes)?;
            destination.copy(wanted.new_path(), bytes, end.keep, &end.bytes, &|bytes| self.passed(bytes))?;
            self.passed(size.saturating_sub(end.keep));
            Ok(())
        };
        if !self.only_md5 {
            return copy(bytes);
        }
        let bytes = checksums::with_md5(&wanted.file, &wanted.path, bytes)?;
        copy(&bytes)?;
        self.rewritten.fetch_add(u64::from(bytes.replaced() > 0), Ordering::Relaxed);
        Ok(())
    }
}
