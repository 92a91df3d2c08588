//! Why a database cannot get other ranges.

use couchfile::data_dir::Range;
use outcome::{Advice, Code, FailureKind};

/// A database cannot get other ranges, although its files can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReshapeError {
    /// A document lies in a shard that its id does not belong to, so that CouchDB does not find it either.
    #[error(
        "cannot change the number of ranges of {database}: the document {id:?} is in the range {range}, where its id does not belong"
    )]
    Misplaced {
        /// The database.
        database: String,
        /// The document.
        id: String,
        /// The range of the shard that holds it.
        range: Range,
    },
    /// Two shards hold the same document or purge.
    #[error("cannot change the number of ranges of {database}: two of its shards hold {id:?}")]
    Twice {
        /// The database.
        database: String,
        /// The document's id or the purge's uuid.
        id: String,
    },
}

impl Advice for ReshapeError {
    fn kind(&self) -> FailureKind {
        FailureKind::Data
    }

    fn code(&self) -> Code {
        match self {
            Self::Misplaced { .. } => Code::new("CC-R95"),
            Self::Twice { .. } => Code::new("CC-R96"),
        }
    }

    fn remedy(&self) -> Option<String> {
        let (Self::Misplaced { database, .. } | Self::Twice { database, .. }) = self;
        Some(format!(
            "Restore {database} with the ranges that it has: leave it out of --q. `couchcopy restore --db {database} --q N` copies \
             its documents over HTTP into a new database with other ranges."
        ))
    }
}
