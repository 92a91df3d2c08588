//! Why something cannot be read out of an archive.

use couchfile::error::CouchFileError;
use outcome::{Advice, Code, Failure, FailureKind};

/// Result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something cannot be read out of an archive.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The backup cannot be read.
    #[error(transparent)]
    Source(#[from] Failure),
    /// A database file in it cannot be used.
    #[error("cannot read {what} in {archive}")]
    Database {
        /// The archive's path.
        archive: String,
        /// The file, document or attachment.
        what: String,
        /// The problem.
        source: CouchFileError,
    },
    /// A part of a database file is damaged. Its content cannot be read; the rest of the file can.
    #[error("cannot read {entries} {what} {keys} of {path} in {archive}")]
    Lost {
        /// The archive's path.
        archive: String,
        /// The shard's path below the data directory.
        path: String,
        /// "documents", "changes" or "local documents".
        what: &'static str,
        /// The number of unreadable entries, as far as it is known.
        entries: u64,
        /// The range of the unreadable entries: the key before the first one and the key of the last one.
        keys: String,
        /// The damage.
        source: Box<CouchFileError>,
    },
    /// The document of a database's shard map does not hold a valid shard map.
    #[error("the shard map of {db} in {archive} cannot be read: {problem}")]
    Map {
        /// The archive's path.
        archive: String,
        /// The database.
        db: String,
        /// The problem.
        problem: String,
    },
    /// A shard that the shard map names is not in the archive.
    #[error("{archive} does not hold {path}, a shard of {db}")]
    MissingShard {
        /// The archive's path.
        archive: String,
        /// The database.
        db: String,
        /// The shard's path below the data directory.
        path: String,
    },
}

impl Error {
    /// Whether the error is damage to a part of the archive, so that the rest can still be read.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Database { source, .. } => {
                !source.is_io() && !matches!(source, CouchFileError::Newer { .. })
            }
            Self::Lost { .. } | Self::MissingShard { .. } => true,
            _ => false,
        }
    }
}

impl Advice for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Source(failure) => failure.kind(),
            _ => FailureKind::Data,
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Source(failure) => failure.code(),
            Self::Database { source: CouchFileError::Newer { .. }, .. } => Code::new("CC-C05"),
            Self::Database { .. } => Code::new("CC-C04"),
            Self::Lost { .. } => Code::new("CC-C06"),
            Self::Map { .. } => Code::new("CC-C01"),
            Self::MissingShard { .. } => Code::new("CC-C07"),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Source(failure) => failure.remedy(),
            Self::Database { source: CouchFileError::Newer { .. }, .. } => Some(
                "The file is not damaged. Update couchcopy on this machine to a version that supports this CouchDB, and try \
                 again."
                    .into(),
            ),
            Self::Database { .. } | Self::Lost { .. } | Self::Map { .. } | Self::MissingShard { .. } => {
                Some("Use another backup. `couchcopy verify` lists what is damaged in this one.".into())
            }
        }
    }

    fn into_failure(self) -> Failure {
        match self {
            Self::Source(failure) => failure,
            other => Failure::new(other),
        }
    }
}
