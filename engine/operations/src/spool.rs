//! Files without name that hold for a while what passes by: of an archive without table of contents, nothing can be read
//! twice.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use couchfile::read_at::{FileBytes, ReadAt, check_range};

use outcome::{Failure, Result};

/// A file without name in a folder for temporary files. It is gone when it is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    file: Arc<File>,
    /// For messages.
    folder: PathBuf,
}

impl Spool {
    /// An empty one in the system's folder (`TMPDIR`).
    pub(crate) fn new() -> Result<Self> {
        Self::within(&std::env::temp_dir())
    }

    /// An empty one in this folder.
    pub(crate) fn within(folder: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(|e| Failure::io("create a file in", folder, e))?;
        Ok(Self { file: Arc::new(file), folder: folder.to_owned() })
    }

    /// Puts bytes at an offset.
    pub(crate) fn put(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(|e| Failure::io("write a file in", &self.folder, e))
    }

    /// What was put so far, for reading.
    pub(crate) fn content(&self) -> Result<FileBytes> {
        self.file
            .try_clone()
            .and_then(FileBytes::new)
            .map_err(|e| Failure::io("read a file in", &self.folder, e))
    }

    /// The bytes from `offset` on that were put there, for reading.
    pub(crate) fn part(&self, offset: u64, len: u64) -> SpoolPart {
        SpoolPart { file: Arc::clone(&self.file), offset, len }
    }
}

/// A part of a spool.
#[derive(Debug, Clone)]
pub(crate) struct SpoolPart {
    file: Arc<File>,
    offset: u64,
    len: u64,
}

impl ReadAt for SpoolPart {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        check_range(self.len, buf.len(), offset)?;
        self.file.read_exact_at(buf, self.offset + offset)
    }
}
