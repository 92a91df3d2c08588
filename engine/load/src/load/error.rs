//! The error for a loaded CouchDB that has ended.

use outcome::{Advice, Code, FailureKind};

/// A CouchDB that couchcopy had started ended on its own.
#[derive(Debug, thiserror::Error)]
#[error("CouchDB {problem}; its log ends with:\n{log}")]
pub(super) struct CouchDbEnded {
    /// How it ended.
    pub(super) problem: String,
    /// The end of its log.
    pub(super) log: String,
}

impl Advice for CouchDbEnded {
    fn kind(&self) -> FailureKind {
        FailureKind::Node
    }

    fn code(&self) -> Code {
        Code::new("CC-L07")
    }

    fn remedy(&self) -> Option<String> {
        Some("Give --keep to keep its configuration, data and log for inspection. Check whether this CouchDB starts with its \
         own configuration.".into())
    }
}
