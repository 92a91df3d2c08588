//! A backup that is served.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use snapshot::{Flow, Snapshot, SnapshotDatabase, Walk};

use super::local::Locals;
use crate::http::Failure;

/// A backup that is served: an archive, or one of a repository.
pub(crate) struct Archive {
    /// The backup.
    pub(crate) snapshot: Arc<Snapshot>,
    /// Local documents that clients left.
    pub(crate) locals: Locals,
    /// The only databases that are shown, where not all are.
    only: Option<Arc<BTreeSet<String>>>,
    /// Number of databases that are shown, once they have been counted.
    count: OnceLock<u64>,
}

impl Archive {
    /// Serves a backup, or only these databases of it.
    pub(crate) fn new(snapshot: Arc<Snapshot>, only: Option<Arc<BTreeSet<String>>>) -> Self {
        Self { snapshot, locals: Locals::default(), only, count: OnceLock::new() }
    }

    /// The database of that name, if there is one that is shown.
    pub(crate) fn database(&self, name: &str) -> snapshot::Result<Option<Arc<SnapshotDatabase>>> {
        if !self.shows(name) {
            return Ok(None);
        }
        self.snapshot.database(name)
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
