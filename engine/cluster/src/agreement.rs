//! Waits until the nodes of a cluster agree on what was restored, and reports how they differ if they do not.

mod connections;
mod counts;
pub mod maps;
mod replicated;
mod return_of_nodes;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use node::{Node, NodeError};
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Failure, Result};
use serde::Serialize;

use crate::on_nodes::on_each;

pub use connections::unconnected;
pub use return_of_nodes::Expected;

pub use counts::Promised;

/// Pause between two checks of the same thing.
const PAUSE: Duration = Duration::from_millis(100);
/// How many differences a report names.
const TOLD: usize = 20;
/// How many differences are shown during the wait.
const SHOWN: usize = 4;
/// After this time the user is first shown what couchcopy waits for; then each time after twice as long, at most [`SHOWN_EVERY`].
const FIRST_SHOWN: Duration = Duration::from_secs(10);
const SHOWN_EVERY: Duration = Duration::from_secs(60);
/// How long to continue if answers show that waiting does not help: a node that has just started may still be initialising.
const LASTING: Duration = Duration::from_secs(20);

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WaitFor {
    /// All nodes up and connected, the same shard maps, every database open with all its documents.
    #[default]
    Agreement,
    /// All of [`WaitFor::Agreement`], and every copy has sent to those of the nodes that were stopped what it
    /// had when it was first looked at.
    Replication,
}

/// How long to wait, and for what.
#[derive(Debug, Clone, Copy)]
pub struct WaitOptions {
    /// What to wait for.
    pub wait_for: WaitFor,
    /// The longest time for the complete wait.
    pub limit: Duration,
    /// How long to open databases; `None`: until every node has opened every database. CouchDB opens a few hundred databases per
    /// second.
    pub open_for: Option<Duration>,
}

/// How a wait ended.
#[derive(Debug, Clone, Serialize, Default)]
pub struct Agreement {
    /// Whether all conditions were met.
    pub agreed: bool,
    /// Whether the user interrupted the wait.
    pub interrupted: bool,
    /// Number of times that a database was opened through any node and had all its documents.
    pub opened: u64,
    /// Number of databases that were opened through at least one node.
    pub opened_at_least_once: u64,
    /// Whether every node has opened every database.
    pub opened_each: bool,
    /// Seconds until every node answered.
    pub up_after: f64,
    /// Seconds until all nodes answered, saw each other and had the same shard maps: from then on they serve every database.
    pub serving_after: f64,
    /// Seconds until all conditions were met.
    pub agreed_after: f64,
    /// Changes that the nodes still had to send to each other at the end, as far as CouchDB counts them.
    pub replication_jobs: u64,
    /// How the nodes differ, from each other or from what was expected; a few examples of each kind.
    pub differences: Vec<String>,
    /// Whether the wait ended early because waiting longer would not have changed the result.
    #[serde(skip)]
    pub lasting: bool,
}

impl Agreement {
    /// [`Self::serving_after`], counted from the beginning of what took `seconds` and ended with the wait; `None` if the nodes do not
    /// agree.
    pub fn serving(&self, seconds: f64) -> Option<f64> {
        self.agreed.then_some(seconds - (self.agreed_after - self.serving_after))
    }
}

/// The result of one check.
pub enum Look {
    /// The nodes agree.
    Agreed,
    /// Differences that may go away.
    NotYet(Vec<String>),
    /// Differences, some of which waiting does not change.
    Lasting(Vec<String>),
}

impl Look {
    /// What these differences mean, `lasting` if waiting does not change some of them.
    fn of(differences: Vec<String>, lasting: bool) -> Self {
        match (differences.is_empty(), lasting) {
            (true, _) => Self::Agreed,
            (false, false) => Self::NotYet(differences),
            (false, true) => Self::Lasting(differences),
        }
    }
}

/// Whether repeating the request does not change the error.
fn is_lasting(error: &NodeError) -> bool {
    match error {
        NodeError::Http { status, .. } | NodeError::NotCouchDb { status, .. } => {
            matches!(status, 400..=499) && !matches!(status, 408 | 425 | 429)
        }
        NodeError::Unauthorized { .. } | NodeError::Tls { .. } => true,
        _ => false,
    }
}

/// Waits with a limit.
struct Wait<'w> {
    begun: Instant,
    limit: Duration,
    interrupted: &'w AtomicBool,
    reporter: &'w dyn Reporter,
    result: Agreement,
    progress: Progress,
}

/// What has been reported about a wait, and since when waiting has been useless.
#[derive(Clone)]
struct Progress {
    shown_at: Instant,
    pause: Duration,
    lasting_since: Option<Instant>,
}

impl Progress {
    fn new() -> Self {
        Self { shown_at: Instant::now(), pause: FIRST_SHOWN, lasting_since: None }
    }
}

impl<'w> Wait<'w> {
    fn new(limit: Duration, interrupted: &'w AtomicBool, reporter: &'w dyn Reporter) -> Self {
        let result = Agreement::default();
        Self { begun: Instant::now(), limit, interrupted, reporter, result, progress: Progress::new() }
    }

    /// The same wait for another thread.
    fn beside(&self) -> Self {
        let result = Agreement::default();
        Self { result, progress: Progress::new(), ..*self }
    }

    /// Repeats a check until it succeeds; `false` if the time is up, waiting does not help, or the user interrupted the wait.
    fn until(&mut self, what: &str, mut look: impl FnMut() -> Result<Look>) -> Result<bool> {
        self.progress = Progress::new();
        loop {
            let (differences, lasting) = match look()? {
                Look::Agreed => return Ok(true),
                Look::NotYet(differences) => (differences, false),
                Look::Lasting(differences) => (differences, true),
            };
            if self.is_over() || self.is_lasting(lasting) {
                self.result.differences = differences;
                return Ok(false);
            }
            self.show(what, &differences);
            std::thread::sleep(PAUSE);
        }
    }

    /// Whether waiting has been useless for long enough.
    fn is_lasting(&mut self, lasting: bool) -> bool {
        if !lasting {
            self.progress.lasting_since = None;
            return false;
        }
        let since = self.progress.lasting_since.get_or_insert_with(Instant::now);
        self.result.lasting = since.elapsed() > LASTING;
        self.result.lasting
    }

    /// Shows from time to time what is being waited for.
    fn show(&mut self, what: &str, differences: &[String]) {
        if self.progress.shown_at.elapsed() < self.progress.pause {
            return;
        }
        self.progress.shown_at = Instant::now();
        self.progress.pause = SHOWN_EVERY.min(self.progress.pause * 2);
        let left = self.limit.saturating_sub(self.begun.elapsed()).as_secs();
        let shown: Vec<&str> = differences.iter().take(SHOWN).map(String::as_str).collect();
        let more = differences.len() - shown.len();
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        self.reporter.notice(&Notice {
            severity: Severity::Warning,
            text: format!("still waiting for {what}, at most {left} s more: {}{more}", shown.join("; ")),
        });
    }

    fn is_over(&mut self) -> bool {
        self.result.interrupted = self.interrupted.load(Ordering::Relaxed);
        self.result.interrupted || self.begun.elapsed() > self.limit
    }

    fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }
}

/// Waits for every node to answer. Downtime ends here.
///
/// `expected` lists the nodes that have to answer. `promised` holds the number of documents of each database. `maps_first` means
/// that shard maps are still being sent from node to node, so that databases open only when the maps agree. `up` is called when
/// all nodes answer.
///
/// Fails at once if another CouchDB answers at a node's address, or if a CouchDB ran during its switch-over.
#[allow(clippy::too_many_arguments)] // A wait has one caller and many conditions.
pub fn wait(
    nodes: &[Node],
    expected: &Expected<'_>,
    promised: &Promised,
    options: WaitOptions,
    maps_first: bool,
    interrupted: &AtomicBool,
    reporter: &dyn Reporter,
    up: &mut dyn FnMut() -> Result<()>,
) -> Result<Agreement> {
    let mut wait = Wait::new(options.limit, interrupted, reporter);
    reporter.phase("waiting for the nodes to answer", None);
    let mut back = return_of_nodes::Return::of(nodes, expected);
    if !wait.until("the nodes to answer", || back.look())? {
        return Ok(wait.result);
    }
    wait.result.up_after = wait.seconds();
    up()?;
    reporter.phase("waiting for the nodes to see each other", None);
    let names: BTreeSet<String> = nodes.iter().filter_map(|node| node.id.name.clone()).collect();
    if !wait.until("the nodes to see each other", || Ok(connections::all_see(nodes, &names)))? {
        return Ok(wait.result);
    }
    reporter.timing("nodes up and connected", wait.seconds());
    if maps_first {
        reporter.phase("comparing the shard maps", None);
        if !wait.until("equal shard maps on all nodes", || Ok(maps::agree(nodes, promised.databases())))? {
            return Ok(wait.result);
        }
        reporter.timing("shard maps agree", wait.seconds());
    }
    let mut maps_wait = wait.beside();
    let (maps, opened) = std::thread::scope(|scope| {
        let maps = scope.spawn(|| {
            let agree = maps_first
                || maps_wait.until("equal shard maps on all nodes", || {
                    Ok(maps::agree(nodes, promised.databases()))
                })?;
            maps_wait.result.serving_after = maps_wait.seconds();
            reporter.timing("shard maps compared", maps_wait.result.serving_after);
            Ok::<bool, Failure>(agree)
        });
        let opened = counts::wait(&mut wait, nodes, &names, promised, options.open_for);
        (maps.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), opened)
    });
    if !maps? {
        wait.result.interrupted |= maps_wait.result.interrupted;
        wait.result.lasting = maps_wait.result.lasting;
        wait.result.differences = maps_wait.result.differences;
        return Ok(wait.result);
    }
    wait.result.serving_after = maps_wait.result.serving_after;
    if !opened? {
        return Ok(wait.result);
    }
    reporter.timing("databases open", wait.seconds());
    if options.wait_for == WaitFor::Replication && !replicated::wait(&mut wait, nodes, expected.restarted)? {
        return Ok(wait.result);
    }
    wait.result.replication_jobs = nodes.iter().filter_map(|node| node.http.replication_jobs().ok()).sum();
    wait.result.agreed = true;
    wait.result.agreed_after = wait.seconds();
    Ok(wait.result)
}

/// Combines the answers of all nodes. An error of a node counts as a difference, because it may go away.
fn together(nodes: &[Node], look: impl Fn(&Node) -> Result<Vec<String>, NodeError> + Sync) -> Look {
    let (mut differences, mut lasting) = (Vec::new(), false);
    for found in on_each(nodes, |_, node| Ok(look(node))) {
        match found {
            Ok(Ok(found)) => differences.extend(found),
            Ok(Err(error)) => {
                lasting |= is_lasting(&error);
                differences.push(error.to_string());
            }
            Err(error) => differences.push(error.to_string()),
        }
    }
    Look::of(differences, lasting)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16) -> NodeError {
        NodeError::Http { node: "a@b".into(), request: "GET /".into(), status, reason: "x".into() }
    }

    #[test]
    fn what_couchdb_refuses_does_not_come_by_waiting() {
        for status in [400, 403, 404, 405, 413] {
            assert!(is_lasting(&error(status)), "{status}");
        }
        for status in [408, 429, 500, 502, 503] {
            assert!(!is_lasting(&error(status)), "{status}");
        }
    }
}
