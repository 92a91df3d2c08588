//! The failure for a database file that cannot be used.

use couchfile::error::CouchFileError;
use outcome::{Advice, Code, Failure, FailureKind};

/// A database file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {what}")]
pub struct UnusableFile {
    /// The file, for a message.
    pub what: String,
    /// The problem with the file.
    pub source: CouchFileError,
}

/// The failure for a database file that cannot be used.
pub fn unusable(what: impl Into<String>, source: CouchFileError) -> Failure {
    Failure::new(UnusableFile { what: what.into(), source })
}

impl Advice for UnusableFile {
    fn kind(&self) -> FailureKind {
        match self.source {
            CouchFileError::Newer { .. } => FailureKind::Refused,
            _ => FailureKind::Data,
        }
    }

    fn code(&self) -> Code {
        match self.source {
            CouchFileError::Newer { .. } => Code::new("CC-D02"),
            _ => Code::new("CC-D01"),
        }
    }

    fn remedy(&self) -> Option<String> {
        let remedy = match self.source {
            CouchFileError::Newer { .. } => {
                "The file is not damaged. Update couchcopy on this machine to a version that supports this CouchDB, and try \
                 again."
            }
            _ => {
                "CouchDB would open this file as an empty database or not at all. Use the file of another node or of an older \
                 backup."
            }
        };
        Some(remedy.to_owned())
    }
}
