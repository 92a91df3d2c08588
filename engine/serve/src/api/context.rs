//! What is needed to answer a request.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, OnceLock};

use couchfile::error::CouchFileError;
use snapshot::{Flow, Snapshot, SnapshotDatabase, Walk};

use super::local::Locals;
use crate::http::{Call, Failure, HttpError};
use crate::options::Options;

/// All that is served.
pub(crate) struct Site {
    /// The archives, in the order in which they were given.
    pub(crate) archives: Vec<Archive>,
    /// The user that requests must authenticate as, if any.
    pub(crate) user: Option<String>,
    /// Identifies this server, as a CouchDB's uuid does.
    pub(crate) uuid: String,
}

/// An archive that is served.
pub(crate) struct Archive {
    /// The archive.
    pub(crate) snapshot: Arc<Snapshot>,
    /// Local documents that clients left.
    pub(crate) locals: Locals,
    /// The only databases that are shown, where not all are.
    only: Option<Arc<BTreeSet<String>>>,
    /// Number of databases that are shown, once they have been counted.
    count: OnceLock<u64>,
}

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

impl Site {
    /// What these options want served.
    pub(crate) fn new(options: &Options) -> Self {
        let only = options.only.as_ref().map(|only| Arc::new(only.iter().cloned().collect::<BTreeSet<_>>()));
        let archives = options.archives.iter().map(|snapshot| Archive {
            snapshot: Arc::clone(snapshot),
            locals: Locals::default(),
            count: OnceLock::new(),
            only: only.clone(),
        });
        let user = options.authentication.as_ref().map(|user| user.name.clone());
        // The same archives are the same server: replicators find their checkpoints by it.
        let identities: Vec<&str> = options.archives.iter().map(|snapshot| snapshot.identity()).collect();
        let uuid = uuid_of(&identities);
        Self { archives: archives.collect(), user, uuid }
    }
}

impl Archive {
    /// The database of that name, if there is one that is shown.
    pub(crate) fn database(&self, name: &str) -> Result<Option<Db>, Failure> {
        if !self.shows(name) {
            return Ok(None);
        }
        Ok(self.snapshot.database(name)?.map(Db))
    }

    /// Calls `each` with the names of the databases of a walk.
    pub(crate) fn databases(
        &self,
        walk: &Walk,
        mut each: impl FnMut(&str) -> Result<Flow, Failure>,
    ) -> Result<(), Failure> {
        self.snapshot.databases(walk, |name| if self.shows(name) { each(name) } else { Ok(Flow::On) })
    }

    /// Number of databases that are shown. Goes through all of them the first time.
    pub(crate) fn database_count(&self) -> Result<u64, Failure> {
        if let Some(count) = self.count.get() {
            return Ok(*count);
        }
        let mut count = 0;
        self.databases(&Walk::default(), |_| {
            count += 1;
            Ok(Flow::On)
        })?;
        Ok(*self.count.get_or_init(|| count))
    }

    fn shows(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(name))
    }
}

impl Context<'_> {
    /// The database of that name.
    pub(crate) fn database(&self, name: &str) -> Result<Db, Failure> {
        self.archive.database(name)?.ok_or_else(|| HttpError::no_database().into())
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

/// 32 hexadecimal digits that are the same for the same texts.
fn uuid_of(texts: &[&str]) -> String {
    let half = |salt: &str| {
        let mut parts = vec![salt];
        parts.extend(texts);
        crate::http::opaque_etag(&parts).replace('"', "")
    };
    format!("{}{}", half("a"), half("b"))
}
