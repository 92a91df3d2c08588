//! Why a database cannot get other ranges.

use couchfile::data_dir::Range;
use outcome::{Advice, Code, Failure, FailureKind};

/// A database cannot get other ranges or go through a filter, although its files can be read.
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
    /// The filter failed.
    #[error("cannot restore {database} through the filter: {source}")]
    Filter {
        /// The database.
        database: String,
        /// Why.
        source: Box<Failure>,
    },
    /// What the filter gave back in place of a document cannot be this document.
    #[error("cannot restore {database} through the filter: what it gives back for the document {id:?} is not usable: {problem}")]
    Replaced {
        /// The database.
        database: String,
        /// The document.
        id: String,
        /// What is wrong.
        problem: String,
    },
}

impl ReshapeError {
    /// A failure of a filter on documents of this database.
    pub(crate) fn filter(database: &str, source: Failure) -> Self {
        Self::Filter { database: database.to_owned(), source: Box::new(source) }
    }
}

impl Advice for ReshapeError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Misplaced { .. } | Self::Twice { .. } => FailureKind::Data,
            Self::Filter { source, .. } => source.kind(),
            Self::Replaced { .. } => FailureKind::Plugin,
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Misplaced { .. } => Code::new("CC-R95"),
            Self::Twice { .. } => Code::new("CC-R96"),
            Self::Filter { source, .. } => source.code(),
            Self::Replaced { .. } => Code::new("CC-P46"),
        }
    }

    fn remedy(&self) -> Option<String> {
        let database = match self {
            Self::Misplaced { database, .. } | Self::Twice { database, .. } => database,
            Self::Filter { source, .. } => return source.remedy(),
            Self::Replaced { .. } => {
                return Some(
                    "A filter gives back a JSON object with the same `_id`, `_rev` and `_deleted`, and stubs of the attachments that \
                     stay. This is a bug in the plugin: report it to its author."
                        .into(),
                );
            }
        };
        Some(format!(
            "Restore {database} with the ranges that it has: leave it out of --q. `couchcopy restore --db {database} --q N` copies \
             its documents over HTTP into a new database with other ranges."
        ))
    }
}
