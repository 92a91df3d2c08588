//! What is needed to answer a request.

use std::io;
use std::sync::Arc;

use couchfile::error::CouchFileError;
use snapshot::SnapshotDatabase;

use super::archive::Archive;
use super::site::Site;
use crate::http::{Call, Failure, HttpError};

/// A request, and where it goes.
#[derive(Clone, Copy)]
pub(crate) struct Context<'c> {
    /// All that is served.
    pub(crate) site: &'c Site,
    /// The archive that the request is for.
    pub(crate) archive: &'c Archive,
    /// The request.
    pub(crate) call: &'c Call,
}

/// A database that a request is for.
#[derive(Clone)]
pub(crate) struct Db(pub(crate) Arc<SnapshotDatabase>);

impl Context<'_> {
    /// The database of that name.
    pub(crate) fn database(&self, name: &str) -> Result<Db, Failure> {
        self.archive.database(name)?.map(Db).ok_or_else(|| HttpError::no_database().into())
    }
}

impl Db {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.0.name()
    }

    /// What a failure at something in this database means.
    pub(crate) fn failed(&self, what: &str, error: CouchFileError) -> Failure {
        match error {
            // Nothing else is written here than answers.
            CouchFileError::Write(_) => Failure::Gone,
            source => Failure::Archive(snapshot::Error::Database {
                archive: self.0.snapshot().name().to_owned(),
                what: format!("{what} of {}", self.name()),
                source,
            }),
        }
    }
}

/// An error of writing an answer, for those who only know errors of database files.
pub(crate) fn writing(error: io::Error) -> CouchFileError {
    CouchFileError::Write(error)
}
