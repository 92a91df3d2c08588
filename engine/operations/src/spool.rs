//! A large file of an archive without table of contents, kept in a file without name while it is looked at.

use std::fs::File;
use std::os::unix::fs::FileExt;

use couchfile::read_at::FileBytes;

use crate::error::{OperationError, Result};

/// A file without name in the system's folder for temporary files (`TMPDIR`). It is gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Spool(File);

impl Spool {
    /// An empty one.
    pub(crate) fn new() -> Result<Self> {
        tempfile::tempfile()
            .map(Self)
            .map_err(|e| OperationError::io("create a file in", std::env::temp_dir(), e))
    }

    /// Puts bytes at an offset.
    pub(crate) fn put(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.0
            .write_all_at(bytes, offset)
            .map_err(|e| OperationError::io("write a file in", std::env::temp_dir(), e))
    }

    /// What was put so far, for reading.
    pub(crate) fn content(&self) -> Result<FileBytes> {
        self.0
            .try_clone()
            .and_then(FileBytes::new)
            .map_err(|e| OperationError::io("read a file in", std::env::temp_dir(), e))
    }
}
