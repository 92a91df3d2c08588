//! What the writers have sent, and what was acknowledged.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use couchcopy_tests::Result;

/// Documents of the database whose documents change all the time.
pub(super) const CHURNING: usize = 60;

/// A number that only grows: first something is sent, then it is acknowledged.
#[derive(Debug, Default)]
pub(super) struct Counter {
    sent: AtomicU64,
    acknowledged: AtomicU64,
}

impl Counter {
    pub(super) fn send(&self, n: u64) {
        self.sent.store(n, Ordering::SeqCst);
    }

    pub(super) fn acknowledge(&self, n: u64) {
        self.acknowledged.store(n, Ordering::SeqCst);
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }
}

/// Life of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Its creation was sent.
    Creating,
    /// It exists and all its documents, too.
    Filled,
    /// Its deletion was sent.
    Deleting,
    /// It is gone.
    Deleted,
}

/// What the writers have done.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) stop: AtomicBool,
    /// Number of documents of the log.
    pub(super) log: Counter,
    /// Version of each document that changes all the time.
    pub(super) churn: Vec<Counter>,
    /// How often the database that comes and goes has come.
    pub(super) phoenix: Counter,
    /// Compactions.
    pub(super) compactions: Counter,
    databases: Mutex<Vec<Stage>>,
    failures: Mutex<Vec<String>>,
}

/// The state at one moment, by what was sent or by what was acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) log: u64,
    pub(super) churn: Vec<u64>,
    pub(super) phoenix: u64,
    pub(super) compactions: u64,
    pub(super) databases: Vec<Stage>,
}

impl State {
    pub(super) fn new() -> Self {
        Self { churn: (0..CHURNING).map(|_| Counter::default()).collect(), ..Self::default() }
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn databases(&self) -> MutexGuard<'_, Vec<Stage>> {
        self.databases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that database number `i` has reached a stage.
    pub(super) fn reached(&self, i: usize, stage: Stage) {
        let mut databases = self.databases();
        if i == databases.len() {
            databases.push(stage);
        } else {
            databases[i] = stage;
        }
    }

    pub(super) fn fail(&self, why: String) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(why);
    }

    /// Fails where a writer failed.
    pub(super) fn check_failures(&self) -> Result<()> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
    }

    fn moment(&self, count: impl Fn(&Counter) -> u64) -> Moment {
        Moment {
            log: count(&self.log),
            churn: self.churn.iter().map(&count).collect(),
            phoenix: count(&self.phoenix),
            compactions: count(&self.compactions),
            databases: self.databases().clone(),
        }
    }

    /// Everything that was acknowledged by now. A database's stage tells what was sent as well.
    pub(super) fn acknowledged(&self) -> Moment {
        self.moment(Counter::acknowledged)
    }

    /// Everything that was sent by now.
    pub(super) fn sent(&self) -> Moment {
        self.moment(Counter::sent)
    }
}

impl Moment {
    /// Whether something of everything has happened.
    pub(super) fn is_warm(&self) -> bool {
        self.log > 850
            && self.churn.iter().all(|version| *version > 5)
            && self.phoenix > 1
            && self.compactions > 3
            && self.databases.iter().filter(|stage| **stage == Stage::Deleted).count() > 5
    }

    /// What happened between this and a later moment.
    pub(super) fn story(&self, later: &Self) -> String {
        let changes: u64 = self.churn.iter().zip(&later.churn).map(|(a, b)| b - a).sum();
        let gone = |moment: &Self| moment.databases.iter().filter(|stage| **stage > Stage::Filled).count();
        format!(
            "{} documents, {changes} changes, {} databases created, {} deleted, {} recreated, {} compactions",
            later.log - self.log,
            later.databases.len() - self.databases.len(),
            gone(later) - gone(self),
            later.phoenix - self.phoenix,
            later.compactions - self.compactions,
        )
    }
}
