//! What can go wrong with an archive.

use std::io;
use std::path::Path;

use outcome::{Advice, Code, Failure, FailureKind, io_remedy};

/// The result of an operation on an archive.
pub type Result<T, E = ArchiveError> = std::result::Result<T, E>;

/// Why an archive could not be written or read.
///
/// `archive` is the archive's path, or a description of it if it has no path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The operating system refused a read or a write.
    #[error("{archive}: cannot {doing}: {source}")]
    Io {
        /// The archive.
        archive: String,
        /// What was being done, as in "cannot …".
        doing: String,
        /// The error that the system reported.
        source: io::Error,
    },
    /// The file is neither gzip nor tar.
    #[error("{archive}: not a backup archive: it is neither a gzip nor a tar file")]
    NotGzip {
        /// The archive.
        archive: String,
    },
    /// The file ends too early.
    #[error("{archive}: the archive is cut off: it ends {place}")]
    Truncated {
        /// The archive.
        archive: String,
        /// Where it ends, as in "it ends …".
        place: String,
    },
    /// A gzip member does not decompress to the content that its checksum records.
    #[error("{archive}: the gzip data at byte {offset} is damaged: {reason}")]
    DamagedMember {
        /// The archive.
        archive: String,
        /// Offset in the compressed file, in bytes: exact in an indexed archive, near the place otherwise.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// The tar stream inside is damaged.
    #[error("{archive}: the tar data at byte {offset} is damaged ({entry}): {reason}")]
    DamagedTar {
        /// The archive.
        archive: String,
        /// Offset in the decompressed stream, in bytes; in an indexed archive inside the entry's member.
        offset: u64,
        /// The entry, or the entry before the damage.
        entry: String,
        /// What is wrong.
        reason: String,
    },
    /// An entry that cannot be part of a backup: a link, a device, a name that leads out of the archive, …
    #[error("{archive}: refused entry {name:?}: {reason}")]
    RefusedEntry {
        /// The archive.
        archive: String,
        /// The entry's name, as far as it can be shown.
        name: String,
        /// Why it is refused.
        reason: String,
    },
    /// Two entries have the same name.
    #[error("{archive}: entry {name:?} occurs twice")]
    DuplicateEntry {
        /// The archive.
        archive: String,
        /// The entry's name.
        name: String,
    },
    /// The manifest, the table of contents and the file contradict each other.
    #[error("{archive}: the table of contents or manifest is inconsistent: {reason}")]
    Inconsistent {
        /// The archive.
        archive: String,
        /// The contradiction.
        reason: String,
    },
    /// The content of an entry is not what was backed up.
    #[error("{archive}: the content of {entry:?} does not have the BLAKE3 hash that the manifest records")]
    HashMismatch {
        /// The archive.
        archive: String,
        /// The entry's name.
        entry: String,
    },
    /// The archive was made by a newer program.
    #[error(
        "{archive}: archive format version {version} is newer than this program knows (version {known}): \
         use a newer couchcopy",
        known = crate::FORMAT_VERSION
    )]
    NewerVersion {
        /// The archive.
        archive: String,
        /// The version that its footer records.
        version: u8,
    },
    /// An entry is larger than the caller wants to hold in memory.
    #[error("{archive}: {entry:?} has {size} bytes, more than the {limit} bytes that may be read at once")]
    TooLarge {
        /// The archive.
        archive: String,
        /// The entry's name.
        entry: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The content of an entry cannot be read.
    #[error("{archive}: cannot read {entry}")]
    Content {
        /// The archive.
        archive: String,
        /// The entry's name.
        entry: String,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The caller's source, visitor or sink failed.
    #[error(transparent)]
    Visit(Failure),
    /// A writer was used again after it had failed.
    #[error("{archive}: an earlier write failed; the archive is incomplete")]
    Abandoned {
        /// The archive.
        archive: String,
    },
}

impl ArchiveError {
    pub(crate) fn io(archive: &str, doing: impl Into<String>, source: io::Error) -> Self {
        Self::Io { archive: archive.to_owned(), doing: doing.into(), source }
    }

    pub(crate) fn truncated(archive: &str, place: impl Into<String>) -> Self {
        Self::Truncated { archive: archive.to_owned(), place: place.into() }
    }

    pub(crate) fn member(archive: &str, offset: u64, reason: impl Into<String>) -> Self {
        Self::DamagedMember { archive: archive.to_owned(), offset, reason: reason.into() }
    }

    pub(crate) fn tar(archive: &str, offset: u64, entry: &str, reason: impl Into<String>) -> Self {
        Self::DamagedTar {
            archive: archive.to_owned(),
            offset,
            entry: entry.to_owned(),
            reason: reason.into(),
        }
    }

    pub(crate) fn refused(archive: &str, name: &str, reason: impl Into<String>) -> Self {
        Self::RefusedEntry { archive: archive.to_owned(), name: name.to_owned(), reason: reason.into() }
    }

    pub(crate) fn inconsistent(archive: &str, reason: impl Into<String>) -> Self {
        Self::Inconsistent { archive: archive.to_owned(), reason: reason.into() }
    }

    pub(crate) fn hash(archive: &str, entry: &str) -> Self {
        Self::HashMismatch { archive: archive.to_owned(), entry: entry.to_owned() }
    }
}

impl Advice for ArchiveError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Io { source, .. } => carried(source).map_or(FailureKind::System, Failure::kind),
            Self::Visit(failure) => failure.kind(),
            _ => FailureKind::Archive,
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Io { source, .. } => carried(source).map_or(Code::new("CC-A01"), Failure::code),
            Self::NotGzip { .. } => Code::new("CC-A02"),
            Self::Truncated { .. } => Code::new("CC-A03"),
            Self::DamagedMember { .. } => Code::new("CC-A04"),
            Self::DamagedTar { .. } => Code::new("CC-A05"),
            Self::RefusedEntry { .. } => Code::new("CC-A06"),
            Self::DuplicateEntry { .. } => Code::new("CC-A07"),
            Self::Inconsistent { .. } => Code::new("CC-A08"),
            Self::HashMismatch { .. } => Code::new("CC-A09"),
            Self::NewerVersion { .. } => Code::new("CC-A10"),
            Self::TooLarge { .. } => Code::new("CC-A11"),
            Self::Content { .. } => Code::new("CC-A12"),
            Self::Abandoned { .. } => Code::new("CC-A13"),
            Self::Visit(failure) => failure.code(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => match carried(source) {
                Some(failure) => failure.remedy(),
                None => io_remedy(Path::new(""), source),
            },
            Self::Visit(failure) => failure.remedy(),
            Self::NewerVersion { .. } => Some("Use a newer couchcopy for this archive.".into()),
            _ => Some(
                "Use another copy of this archive. `couchcopy verify` checks whether a copy is intact."
                    .into(),
            ),
        }
    }

    fn into_failure(self) -> Failure {
        match self {
            Self::Visit(failure) => failure,
            Self::Io { archive, doing, source } => match source.downcast::<Failure>() {
                // It names the place itself.
                Ok(failure) => failure,
                Err(source) => Failure::new(Self::Io { archive, doing, source }),
            },
            other => Failure::new(other),
        }
    }
}

/// The failure that a source of bytes reports: it knows more than that reading failed.
fn carried(error: &io::Error) -> Option<&Failure> {
    error.get_ref()?.downcast_ref()
}
