//! Sends requests that write to a database, repeats them if that may help, and records the results.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use node::{Answer, Body, Method, NodeError};
use outcome::report::Steps;
use outcome::{Code, Failure, Result};
use serde_json::Value;

use super::Refused;
use super::limits::Limits;
use super::target::Target;

/// How long a failing request is repeated: a node may be restarted in the meantime.
const PATIENCE: Duration = Duration::from_secs(90);
/// The first and the longest pause between two attempts.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// The number of attempts, and their minimum duration, after which a request counts as one that crashes CouchDB: it fails each
/// time while the node answers other requests.
const STUBBORN: (u32, Duration) = (4, Duration::from_secs(8));
/// The number of such documents in a row after which the documents are not the cause.
const MOST_STUBBORN: u32 = 8;
/// How long an answer may take, in addition to the time for sending.
const ANSWER: Duration = Duration::from_secs(300);
/// The speed of a slow connection in bytes per second.
const SLOW: u64 = 100 << 10;
/// The most refused revisions that are listed one by one.
const TOLD: usize = 1000;
/// Bytes that every request may have, regardless of earlier refusals.
const SMALLEST_REQUEST: usize = 16 << 10;

/// A request with documents.
pub(super) struct Sending<'p> {
    /// Method and path.
    pub(super) request: &'p str,
    /// Number of documents in the request.
    pub(super) documents: usize,
    /// Size of the request in bytes.
    pub(super) size: u64,
    /// Size of its largest attachment in bytes.
    pub(super) attachment: u64,
}

/// The result of a request with documents.
pub(super) enum Delivered {
    /// CouchDB answered.
    Answer(Answer),
    /// The request failed repeatedly, although the node answers other requests; why.
    Failed(String),
}

/// Writes to one database.
pub(super) struct Sender<'s> {
    pub(super) target: Target<'s>,
    interrupted: &'s AtomicBool,
    /// Whether something was skipped because of an interruption.
    gave_up: AtomicBool,
    steps: &'s Steps<'s>,
    revisions: AtomicU64,
    bytes: AtomicU64,
    locals: AtomicU64,
    left_out: AtomicU64,
    refused: Mutex<Vec<Refused>>,
    refused_revisions: AtomicU64,
    /// Consecutive failed requests with single documents.
    stubborn: AtomicU32,
    /// The size in bytes of a request with many documents that CouchDB is known to accept.
    request_limit: AtomicUsize,
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
            left_out: AtomicU64::new(0),
            refused: Mutex::default(),
            refused_revisions: AtomicU64::new(0),
            stubborn: AtomicU32::new(0),
            request_limit: AtomicUsize::new(usize::MAX),
        }
    }

    /// A step is done.
    pub(super) fn step(&self, what: &str) {
        self.steps.count(&format!("{what}: {}", self.target.name));
    }

    /// Fails if the user has interrupted the restore.
    pub(super) fn check_interrupted(&self) -> Result<()> {
        if self.interrupted.load(Ordering::Relaxed) {
            self.gave_up.store(true, Ordering::Relaxed);
            return Err(Failure::refused(
                Code::new("CC-R30"),
                format!(
                    "interrupted while {} was being restored; a part of it is restored",
                    self.target.name
                ),
                "Run the same command again to resume.",
            ));
        }
        Ok(())
    }

    /// Whether something was skipped because the user has interrupted the restore.
    pub(super) fn gave_up(&self) -> bool {
        self.gave_up.load(Ordering::Relaxed)
    }

    /// Sends a request until an answer refers to what was sent. `body` is called for every attempt; `size` is its length.
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

    /// Repeats what fails temporarily.
    pub(super) fn patiently<T>(&self, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        let begun = Instant::now();
        let mut pause = PAUSE.0;
        loop {
            self.check_interrupted()?;
            match attempt() {
                Err(error)
                    if error.get::<NodeError>().is_some_and(may_pass) && begun.elapsed() < PATIENCE => {}
                done => return done,
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Sends a request with documents until an answer refers to it.
    pub(super) fn deliver(
        &self,
        parcel: &Sending<'_>,
        mut attempt: impl FnMut() -> Result<Answer>,
    ) -> Result<Delivered> {
        let Sending { request, documents, .. } = *parcel;
        let begun = Instant::now();
        let (mut pause, mut failed) = (PAUSE.0, 0);
        loop {
            self.check_interrupted()?;
            let error = match attempt() {
                Ok(answer) if !is_passing(answer.status) => {
                    if answer.is_success() {
                        self.stubborn.store(0, Ordering::Relaxed);
                    }
                    return Ok(Delivered::Answer(answer));
                }
                Ok(answer) => self.target.error(request, answer.status, answer.reason()),
                Err(error) => error,
            };
            let Some(node) = error.get::<NodeError>() else { return Err(error) };
            if !may_pass(node) {
                return Err(error);
            }
            let is_about_it =
                matches!(node, NodeError::NoAnswer { .. } | NodeError::Http { status: 500, .. });
            failed = if is_about_it && self.answers_otherwise() { failed + 1 } else { 0 };
            if failed > 0
                && let Some(reason) = self.refusal(parcel)
            {
                return Ok(Delivered::Failed(reason));
            }
            if failed >= STUBBORN.0 && (documents > 1 || begun.elapsed() > STUBBORN.1) {
                return self.give_up(documents, error);
            }
            if begun.elapsed() >= PATIENCE {
                return Err(error);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Why CouchDB refuses a request, according to its configuration.
    fn refusal(&self, parcel: &Sending<'_>) -> Option<String> {
        Limits::of(self.target.http).refusal(parcel.size, parcel.attachment)
    }

    /// Whether the node answers other requests.
    fn answers_otherwise(&self) -> bool {
        let asked =
            self.target.http.ask_within(Method::GET, &self.target.path(""), None, Duration::from_secs(20));
        asked.is_ok_and(|answer| answer.is_success())
    }

    fn give_up(&self, documents: usize, error: Failure) -> Result<Delivered> {
        if documents == 1 && self.stubborn.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_STUBBORN {
            return Err(error);
        }
        Ok(Delivered::Failed(error.to_string()))
    }

    /// The largest size in bytes of a request with many documents.
    pub(super) fn request_limit(&self) -> usize {
        self.request_limit.load(Ordering::Relaxed)
    }

    /// Records that a request of this size in bytes was too large.
    pub(super) fn was_too_large(&self, size: usize) {
        self.request_limit.fetch_min((size / 2).max(SMALLEST_REQUEST), Ordering::Relaxed);
    }

    /// Records the number of revisions that have arrived.
    pub(super) fn sent(&self, revisions: u64, bytes: u64) {
        self.revisions.fetch_add(revisions, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Records the number of local documents that have arrived.
    pub(super) fn sent_local(&self, documents: u64) {
        self.locals.fetch_add(documents, Ordering::Relaxed);
    }

    /// Records that a filter left a revision out.
    pub(super) fn leave_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Number of revisions that a filter left out.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Records a revision that is not restored.
    pub(super) fn refuse(&self, id: &str, rev: &str, reason: String) {
        if self.is_refused(id, rev) {
            return;
        }
        self.refused_revisions.fetch_add(1, Ordering::Relaxed);
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() < TOLD {
            refused.push(Refused { id: id.to_owned(), rev: rev.to_owned(), reason });
        }
    }

    /// Records a part of the archive that cannot be read and is not restored.
    pub(super) fn lose(&self, damage: &snapshot::Error) {
        let source = std::error::Error::source(damage).map_or_else(String::new, |e| format!(": {e}"));
        let (which, entries) = match damage {
            snapshot::Error::Lost { entries, what, keys, .. } => {
                (format!("{entries} {what} {keys}"), (*entries).max(1))
            }
            _ => ("a part of the archive".to_owned(), 1),
        };
        if self.is_refused(&which, "") {
            return;
        }
        self.refuse(&which, "", format!("{damage}{source}"));
        self.refused_revisions.fetch_add(entries - 1, Ordering::Relaxed);
    }

    /// Number of revisions that arrived.
    pub(super) fn revisions(&self) -> u64 {
        self.revisions.load(Ordering::Relaxed)
    }

    /// Number of bytes that were sent for these revisions.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Number of local documents that arrived.
    pub(super) fn locals(&self) -> u64 {
        self.locals.load(Ordering::Relaxed)
    }

    /// Number of revisions that are not restored.
    pub(super) fn refused_revisions(&self) -> u64 {
        self.refused_revisions.load(Ordering::Relaxed)
    }

    /// Number of refused revisions that are recorded one by one.
    pub(super) fn remembered(&self) -> u64 {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    /// Whether this revision is known not to be restored.
    pub(super) fn is_refused(&self, id: &str, rev: &str) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.iter().any(|refused| refused.id == id && refused.rev == rev)
    }

    /// The first revisions that are not restored, in the order of their ids, and their number.
    pub(super) fn take_refused(&self) -> (Vec<Refused>, u64) {
        let mut refused = std::mem::take(&mut *self.refused.lock().unwrap_or_else(PoisonError::into_inner));
        refused.sort_by(|a, b| (&a.id, &a.rev).cmp(&(&b.id, &b.rev)));
        (refused, self.refused_revisions())
    }
}

/// Whether a status does not refer to what was sent.
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

/// How long a request that sends this number of bytes may take.
pub(super) fn limit(size: u64) -> Duration {
    ANSWER + Duration::from_secs(size / SLOW)
}

/// CouchDB's reason for refusing a document.
pub(super) fn reason(row: &Value) -> String {
    let text = |key: &str| row[key].as_str().unwrap_or_default();
    match (text("error"), text("reason")) {
        (error, "") => error.to_owned(),
        (error, reason) => format!("{error}: {reason}"),
    }
}
