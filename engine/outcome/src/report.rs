//! How an operation reports its progress while it runs.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde::Serialize;

/// Something that the user should know while the operation continues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// How severe the notice is.
    pub severity: Severity,
    /// What was found.
    pub text: String,
}

/// How severe a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Information; nothing is wrong.
    Info,
    /// Something was left out or changed for safety.
    Warning,
    /// Data is damaged or missing.
    Problem,
}

/// Receives progress and notices. Called from several threads.
pub trait Reporter: Sync {
    /// A phase begins whose bytes are not known beforehand. `items` is the number of items that [`Reporter::advance`] will report,
    /// if it is known.
    fn phase(&self, name: &str, items: Option<u64>) {
        self.phase_of_bytes(name, items, None);
    }

    /// A phase begins. `items` and `bytes` are the numbers that [`Reporter::advance`] will report at its end, as far as they are
    /// known. Files that change in the meantime can make the phase end above or below them.
    fn phase_of_bytes(&self, name: &str, items: Option<u64>, bytes: Option<u64>);

    /// Items and bytes of the current phase that are done, counted from its beginning. Of a large item, bytes are reported while it
    /// is worked on.
    fn advance(&self, items: u64, bytes: u64);

    /// A notice for the user.
    fn notice(&self, notice: &Notice);

    /// A step of a change to nodes is done. Steps are counted from 1.
    fn step(&self, number: u64, what: &str) {
        let _ = (number, what);
    }

    /// The duration of a phase, for detailed output.
    fn timing(&self, what: &str, seconds: f64);

    /// Whether the user has interrupted the operation. Called only where the operation can end without harm: before it changes
    /// anything that lasts.
    fn is_interrupted(&self) -> bool {
        false
    }
}

/// Does something and reports how long it took, if it succeeds or not.
pub fn timed<T>(reporter: &dyn Reporter, what: &str, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    reporter.timing(what, begun.elapsed().as_secs_f64());
    done
}

/// Counts what is done in a phase, whichever thread does it, and reports it.
pub struct Counter<'r> {
    reporter: &'r dyn Reporter,
    items: AtomicU64,
    bytes: AtomicU64,
}

impl<'r> Counter<'r> {
    /// Counts from 0 and reports to `reporter`.
    pub fn new(reporter: &'r dyn Reporter) -> Self {
        Self { reporter, items: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    /// So many more items and bytes are done.
    pub fn add(&self, items: u64, bytes: u64) {
        let items = self.items.fetch_add(items, Ordering::Relaxed) + items;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.reporter.advance(items, bytes);
    }
}

/// Counts the steps of a change, whichever node, database and thread they belong to, so that tests can end it after each.
pub struct Steps<'r> {
    reporter: &'r dyn Reporter,
    number: AtomicU64,
}

impl<'r> Steps<'r> {
    /// Counts from 1 and reports to `reporter`.
    pub fn new(reporter: &'r dyn Reporter) -> Self {
        Self { reporter, number: AtomicU64::new(0) }
    }

    /// A step is done.
    pub fn count(&self, what: &str) {
        self.reporter.step(self.number.fetch_add(1, Ordering::SeqCst) + 1, what);
    }

    /// A step is done on one node.
    pub fn done(&self, what: &str, place: impl Display) {
        self.count(&format!("{what} on {place}"));
    }
}

/// Reports nothing.
#[derive(Debug, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn phase_of_bytes(&self, _: &str, _: Option<u64>, _: Option<u64>) {}
    fn advance(&self, _: u64, _: u64) {}
    fn notice(&self, _: &Notice) {}
    fn timing(&self, _: &str, _: f64) {}
}
