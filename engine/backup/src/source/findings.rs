//! What the threads of a backup find out.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use contents::{BackupSummary, FileProblem};
use couchfile::data_dir::ShardName;
use outcome::Failure;

use crate::security::Securities;

/// What the threads find.
#[derive(Default, Clone)]
pub(crate) struct Findings {
    found: Arc<Mutex<Found>>,
    /// The security objects of all shards that were read.
    pub(crate) securities: Securities,
}

#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) deleted: BTreeSet<String>,
    pub(super) split: BTreeSet<ShardName>,
    pub(super) views_left_out: Vec<String>,
    pub(super) problems: Vec<FileProblem>,
    pub(super) damaged: Vec<FileProblem>,
    pub(super) damaged_copies: Vec<FileProblem>,
    /// A file that was found to be of a newer CouchDB only after its transfer.
    pub(super) newer: Option<Failure>,
    pub(super) views: u64,
    pub(super) shards: u64,
}

impl Findings {
    pub(super) fn note(&self, what: impl FnOnce(&mut Found)) {
        what(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Shards that were split before they were read; each is reported once.
    pub(crate) fn take_split(&self) -> BTreeSet<ShardName> {
        std::mem::take(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner).split)
    }

    /// A shard that cannot be saved.
    pub(crate) fn problem(&self, path: String, problem: String) {
        self.note(|found| found.problems.push(FileProblem { path, problem }));
    }

    /// Fails if a file of a newer CouchDB was transferred.
    pub(crate) fn refuse_newer(&self) -> Result<(), Failure> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.newer.take().map_or(Ok(()), Err)
    }

    /// View indexes that cannot be saved, each with the reason.
    pub(crate) fn leave_out(&self, views: Vec<String>) {
        self.note(|found| found.views_left_out.extend(views));
    }

    pub(crate) fn into_summary(self) -> BackupSummary {
        let mut found = std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner));
        found.views_left_out.sort();
        BackupSummary {
            shards: found.shards,
            views: found.views,
            deleted_meanwhile: found.deleted.into_iter().collect(),
            views_left_out: found.views_left_out,
            problems: found.problems,
            damaged: found.damaged,
            damaged_copies: found.damaged_copies,
            ..BackupSummary::default()
        }
    }
}
