//! Requests that write to a database, again where that may help, and what came of them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use node::{Answer, Body, Method, NodeError};
use serde_json::Value;

use super::Refused;
use super::target::Target;
use crate::error::{OperationError, Result};
use crate::report::Steps;

/// How long a request that fails is sent again: a node may be restarted meanwhile.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two attempts, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How long an answer may take, besides the time for what is sent.
const ANSWER: Duration = Duration::from_secs(300);
/// What a slow connection carries, in bytes per second.
const SLOW: u64 = 100 << 10;
/// Refused revisions that are told one by one.
const TOLD: usize = 1000;

/// Writes to one database.
pub(super) struct Sender<'s> {
    pub(super) target: Target<'s>,
    interrupted: &'s AtomicBool,
    /// Whether something was not done for that.
    gave_up: AtomicBool,
    steps: &'s Steps<'s>,
    revisions: AtomicU64,
    bytes: AtomicU64,
    locals: AtomicU64,
    refused: Mutex<Vec<Refused>>,
    refused_revisions: AtomicU64,
}

impl<'s> Sender<'s> {
    pub(super) fn new(target: Target<'s>, interrupted: &'s AtomicBool, steps: &'s Steps<'s>) -> Self {
        Self {
            target,
            interrupted,
            gave_up: AtomicBool::new(false),
            steps,
            revisions: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            locals: AtomicU64::new(0),
            refused: Mutex::default(),
            refused_revisions: AtomicU64::new(0),
        }
    }

    /// A step is behind us.
    pub(super) fn step(&self, what: &str) {
        self.steps.count(&format!("{what}: {}", self.target.name));
    }

    /// Fails where the user has had enough.
    pub(super) fn check_interrupted(&self) -> Result<()> {
        if self.interrupted.load(Ordering::Relaxed) {
            self.gave_up.store(true, Ordering::Relaxed);
            return Err(OperationError::refused(
                format!("interrupted while {} was being restored; a part of it is there", self.target.name),
                "Give the same command again: it goes on where it was.",
            ));
        }
        Ok(())
    }

    /// Whether something was not done because the user has had enough.
    pub(super) fn gave_up(&self) -> bool {
        self.gave_up.load(Ordering::Relaxed)
    }

    /// Sends a request until there is an answer that says something about what was sent. `body` is asked for whenever it is
    /// sent; `size` is its length.
    pub(super) fn ask<'b>(
        &self,
        method: &Method,
        path: &str,
        body: impl Fn() -> Body<'b>,
        size: u64,
    ) -> Result<Answer> {
        self.patiently(|| {
            let answer = self.target.http.send(method.clone(), path, body(), limit(size))?;
            if is_passing(answer.status) {
                let request = format!("{method} {path}");
                return Err(self.target.error(&request, answer.status, answer.reason()));
            }
            Ok(answer)
        })
    }

    /// Tries again what fails in a way that may pass.
    pub(super) fn patiently<T>(&self, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        let begun = Instant::now();
        let mut pause = PAUSE.0;
        loop {
            self.check_interrupted()?;
            match attempt() {
                Err(OperationError::Node(error)) if may_pass(&error) && begun.elapsed() < PATIENCE => {}
                done => return done,
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// So many revisions have arrived.
    pub(super) fn sent(&self, revisions: u64, bytes: u64) {
        self.revisions.fetch_add(revisions, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many local documents have arrived.
    pub(super) fn sent_local(&self, documents: u64) {
        self.locals.fetch_add(documents, Ordering::Relaxed);
    }

    /// A revision is not brought back.
    pub(super) fn refuse(&self, id: &str, rev: &str, reason: String) {
        self.refused_revisions.fetch_add(1, Ordering::Relaxed);
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() < TOLD {
            refused.push(Refused { id: id.to_owned(), rev: rev.to_owned(), reason });
        }
    }

    /// A part of the archive cannot be read, and what is in it is not brought back.
    pub(super) fn lose(&self, damage: &snapshot::Error) {
        let source = std::error::Error::source(damage).map_or_else(String::new, |e| format!(": {e}"));
        let (which, entries) = match damage {
            snapshot::Error::Lost { entries, what, keys, .. } => {
                (format!("{entries} {what} {keys}"), (*entries).max(1))
            }
            _ => ("a part of the archive".to_owned(), 1),
        };
        self.refuse(&which, "", format!("{damage}{source}"));
        self.refused_revisions.fetch_add(entries - 1, Ordering::Relaxed);
    }

    /// Number of revisions that arrived.
    pub(super) fn revisions(&self) -> u64 {
        self.revisions.load(Ordering::Relaxed)
    }

    /// Number of bytes that were sent for them.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Number of local documents that arrived.
    pub(super) fn locals(&self) -> u64 {
        self.locals.load(Ordering::Relaxed)
    }

    /// Number of revisions that are not brought back.
    pub(super) fn refused_revisions(&self) -> u64 {
        self.refused_revisions.load(Ordering::Relaxed)
    }

    /// Number of those that are remembered one by one.
    pub(super) fn remembered(&self) -> u64 {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    /// Whether this revision is known not to be brought back.
    pub(super) fn is_refused(&self, id: &str, rev: &str) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.iter().any(|refused| refused.id == id && refused.rev == rev)
    }

    /// The first of those that are not brought back, in the order of their ids, and their number.
    pub(super) fn take_refused(&self) -> (Vec<Refused>, u64) {
        let mut refused = std::mem::take(&mut *self.refused.lock().unwrap_or_else(PoisonError::into_inner));
        refused.sort_by(|a, b| (&a.id, &a.rev).cmp(&(&b.id, &b.rev)));
        (refused, self.refused_revisions())
    }
}

/// Whether a status says nothing about what was sent.
fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..)
}

fn may_pass(error: &NodeError) -> bool {
    match error {
        NodeError::NoAnswer { .. } => true,
        NodeError::Http { status, .. } | NodeError::NotCouchDb { status, .. } => is_passing(*status),
        _ => false,
    }
}

/// How long a request may take that sends so many bytes.
pub(super) fn limit(size: u64) -> Duration {
    ANSWER + Duration::from_secs(size / SLOW)
}

/// What CouchDB says of a document that it does not take.
pub(super) fn reason(row: &Value) -> String {
    let text = |key: &str| row[key].as_str().unwrap_or_default();
    match (text("error"), text("reason")) {
        (error, "") => error.to_owned(),
        (error, reason) => format!("{error}: {reason}"),
    }
}
