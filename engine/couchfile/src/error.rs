//! What can be wrong with a `.couch` file.

use std::io;

/// Why a `.couch` file or a part of it cannot be used.
///
/// Offsets are absolute byte offsets in the file.
#[derive(Debug, thiserror::Error)]
pub enum CouchFileError {
    /// The bytes could not be read.
    #[error("cannot read {wanted} bytes at offset {offset}")]
    Io {
        /// Where the read began.
        offset: u64,
        /// How many bytes were to be read.
        wanted: u64,
        /// The error that the system reported.
        source: io::Error,
    },
    /// No block of the file holds a header whose checksum is right. CouchDB would open such a file as an empty database.
    #[error("no valid header in {len} bytes (CouchDB would make an empty database of this file)")]
    NoHeader {
        /// Length of the file in bytes.
        len: u64,
    },
    /// The newest header belongs to a compaction that was not finished.
    #[error("the newest header (offset {offset}) is one of an unfinished compaction: the file was cut short")]
    UnfinishedCompaction {
        /// Offset of that header.
        offset: u64,
    },
    /// The newest header is a valid one of an empty database, but a lot of data follows it. Reported for files of CouchDB 1
    /// only: files of later versions show whether they are new or were cut short during a compaction.
    #[error(
        "the newest header (offset {offset}) is that of an empty database, but {tail} bytes follow it: the file was cut short"
    )]
    EmptyHeaderBeforeData {
        /// Offset of that header.
        offset: u64,
        /// How many bytes come after it.
        tail: u64,
    },
    /// The newest header is a valid one, but of another kind of file.
    #[error("the newest header (offset {offset}) is not one of a {expected}")]
    WrongKind {
        /// Offset of that header.
        offset: u64,
        /// "database" or "view index".
        expected: &'static str,
    },
    /// The header was written by a CouchDB older than 0.10.
    #[error("the header (offset {offset}) has {what}, which CouchDB 3.5 does not open either")]
    Unsupported {
        /// Offset of the header.
        offset: u64,
        /// Disk version found.
        what: String,
    },
    /// The header was written by a CouchDB that this version does not know yet. The file is not damaged.
    #[error("written by a newer CouchDB: its header (offset {offset}) has {what}")]
    Newer {
        /// Offset of the header.
        offset: u64,
        /// Disk version or tuple size found.
        what: String,
    },
    /// Bytes that should hold a structure do not.
    #[error("damaged {what} at offset {offset}: {why}")]
    Damaged {
        /// What should be there.
        what: &'static str,
        /// Offset at which it should be.
        offset: u64,
        /// What is wrong with it.
        why: String,
    },
    /// What the caller wanted to write does not make a valid file.
    #[error("cannot write this: {0}")]
    Invalid(String),
    /// The bytes could not be written.
    #[error("cannot write")]
    Write(#[source] io::Error),
}

impl CouchFileError {
    /// A damaged structure.
    #[allow(clippy::needless_pass_by_value)] // Callers hand over errors and new strings.
    pub fn damaged(what: &'static str, offset: u64, why: impl std::fmt::Display) -> Self {
        Self::Damaged { what, offset, why: why.to_string() }
    }

    /// Whether the bytes could not be read or written at all, as opposed to being wrong.
    pub fn is_io(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Write(_))
    }
}

/// Result of this crate's operations.
pub type Result<T, E = CouchFileError> = std::result::Result<T, E>;

/// Why bytes are not the Erlang term that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at} of the term")]
pub struct TermError {
    /// Offset from the start of the decoded bytes.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}
