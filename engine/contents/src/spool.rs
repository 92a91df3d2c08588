//! Temporary files without a name for the content of a backup that can only be read once.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use couchfile::read_at::{FileBytes, ReadAt, check_range};
use outcome::{Failure, Result};

/// A file without a name in a directory for temporary files. It is removed when it is dropped.
#[derive(Debug, Clone)]
pub struct Spool {
    file: Arc<File>,
    /// For messages.
    folder: Arc<Path>,
}

impl Spool {
    /// An empty spool in the system's directory for temporary files (`TMPDIR`).
    pub fn new() -> Result<Self> {
        Self::within(&std::env::temp_dir())
    }

    /// An empty spool in this directory.
    pub fn within(folder: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(|e| Failure::io("create a file in", folder, e))?;
        Ok(Self { file: Arc::new(file), folder: Arc::from(folder) })
    }

    /// Writes bytes at an offset.
    pub fn put(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(|e| Failure::io("write a file in", &*self.folder, e))
    }

    /// The content so far, for reading.
    pub fn content(&self) -> Result<FileBytes> {
        self.file
            .try_clone()
            .and_then(FileBytes::new)
            .map_err(|e| Failure::io("read a file in", &*self.folder, e))
    }

    /// The bytes that were written from `offset` on, for reading.
    pub fn part(&self, offset: u64, len: u64) -> SpoolPart {
        SpoolPart { file: Arc::clone(&self.file), folder: Arc::clone(&self.folder), offset, len }
    }
}

/// A part of a spool.
#[derive(Debug, Clone)]
pub struct SpoolPart {
    file: Arc<File>,
    folder: Arc<Path>,
    offset: u64,
    len: u64,
}

impl SpoolPart {
    /// The directory that the temporary file is in, for messages.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The same without what lies at or beyond an offset in the spool.
    pub(crate) fn up_to(&self, end: u64) -> Self {
        Self { len: self.len.min(end.saturating_sub(self.offset)), ..self.clone() }
    }

    /// All of its bytes.
    pub fn read(&self) -> Result<Vec<u8>> {
        let mut content = vec![0; self.len as usize];
        let read = self.read_exact_at(&mut content, 0);
        read.map_err(|e| Failure::io("read a file in", &*self.folder, e))?;
        Ok(content)
    }
}

impl ReadAt for SpoolPart {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        check_range(self.len, buf.len(), offset)?;
        self.file.read_exact_at(buf, self.offset.saturating_add(offset))
    }
}
