//! Waits until the nodes of a cluster agree on what was restored, and tells how they differ where they do not.

mod counts;
mod maps;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use node::{Node, NodeError};
use serde::Serialize;

use crate::cluster::on_each;
use crate::error::{OperationError, Result};
use crate::report::Reporter;

pub use counts::Promised;

/// Between two looks at the same thing.
const PAUSE: Duration = Duration::from_millis(100);
/// How many differences a report names.
const TOLD: usize = 20;

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WaitFor {
    /// All nodes up and connected, the same shard maps, every database open with all its documents.
    #[default]
    Agreement,
    /// That, and no node having anything to send to another one.
    Replication,
}

/// How long to wait, and for what.
#[derive(Debug, Clone, Copy)]
pub struct WaitOptions {
    /// What to wait for.
    pub wait_for: WaitFor,
    /// How long in all.
    pub limit: Duration,
    /// How long to have databases opened; `None`: until every node has opened every one. CouchDB opens some hundred in a
    /// second.
    pub open_for: Option<Duration>,
}

/// How a wait ended.
#[derive(Debug, Clone, Serialize, Default)]
pub struct Agreement {
    /// Whether everything waited for was found.
    pub agreed: bool,
    /// Whether somebody wanted no more of it.
    pub interrupted: bool,
    /// How often a database was opened, all nodes together; each time it had all its documents.
    pub opened: u64,
    /// How many databases were opened through some node.
    pub opened_at_least_once: u64,
    /// Whether every node has opened every database.
    pub opened_each: bool,
    /// Seconds until every node answered.
    pub up_after: f64,
    /// Seconds until everything was found.
    pub agreed_after: f64,
    /// Pairs of copies that nodes still had to look at in the end.
    pub replication_jobs: u64,
    /// How the nodes differ, from each other or from what was expected; a few examples of each kind.
    pub differences: Vec<String>,
}

/// What one look found.
enum Look {
    Agreed,
    NotYet(Vec<String>),
}

/// Waits with a limit.
struct Wait<'w> {
    begun: Instant,
    limit: Duration,
    interrupted: &'w AtomicBool,
    result: Agreement,
}

impl Wait<'_> {
    /// Looks until that agrees; `false` where the time is up, or the user wants no more.
    fn until(&mut self, mut look: impl FnMut() -> Result<Look>) -> Result<bool> {
        loop {
            let differences = match look()? {
                Look::Agreed => return Ok(true),
                Look::NotYet(differences) => differences,
            };
            if self.is_over() {
                self.result.differences = differences;
                return Ok(false);
            }
            std::thread::sleep(PAUSE);
        }
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
/// `promised` is what every database is to hold; `maps_first` tells that shard maps are on their way from node to node, so that
/// databases open only when they agree; `up` is called when all nodes answer.
pub fn wait(
    nodes: &[Node],
    promised: &Promised,
    options: WaitOptions,
    maps_first: bool,
    interrupted: &AtomicBool,
    reporter: &dyn Reporter,
    up: &mut dyn FnMut() -> Result<()>,
) -> Result<Agreement> {
    let mut wait =
        Wait { begun: Instant::now(), limit: options.limit, interrupted, result: Agreement::default() };
    reporter.phase("waiting for the nodes to answer", None);
    if !wait.until(|| Ok(all_up(nodes)))? {
        return Ok(wait.result);
    }
    wait.result.up_after = wait.seconds();
    up()?;
    reporter.phase("waiting for the nodes to see each other", None);
    let names: BTreeSet<String> = nodes.iter().filter_map(|node| node.id.name.clone()).collect();
    if !wait.until(|| Ok(all_see(nodes, &names)))? {
        return Ok(wait.result);
    }
    reporter.timing("nodes up and connected", wait.seconds());
    if maps_first {
        reporter.phase("comparing the shard maps", None);
        if !wait.until(|| maps::agree(nodes, promised.databases()))? {
            return Ok(wait.result);
        }
        reporter.timing("shard maps agree", wait.seconds());
    }
    let mut maps_wait = Wait { result: Agreement::default(), ..wait };
    let (maps, opened) = std::thread::scope(|scope| {
        let maps = scope.spawn(|| {
            let agree = maps_first || maps_wait.until(|| maps::agree(nodes, promised.databases()))?;
            reporter.timing("shard maps compared", maps_wait.seconds());
            Ok::<bool, OperationError>(agree)
        });
        let opened = counts::wait(&mut wait, nodes, promised, options.open_for, reporter);
        (maps.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), opened)
    });
    if !maps? {
        wait.result.interrupted |= maps_wait.result.interrupted;
        wait.result.differences = maps_wait.result.differences;
        return Ok(wait.result);
    }
    if !opened? {
        return Ok(wait.result);
    }
    reporter.timing("databases open", wait.seconds());
    if options.wait_for == WaitFor::Replication {
        reporter.phase("waiting for internal replication", None);
        if !wait.until(|| Ok(none_behind(nodes)))? {
            return Ok(wait.result);
        }
    }
    wait.result.replication_jobs = nodes.iter().filter_map(|node| node.http.replication_jobs().ok()).sum();
    wait.result.agreed = true;
    wait.result.agreed_after = wait.seconds();
    Ok(wait.result)
}

/// Puts what every node answered together; an error of one is a difference like any other, for it may pass.
fn together(nodes: &[Node], look: impl Fn(&Node) -> Result<Option<String>, NodeError> + Sync) -> Look {
    let found = on_each(nodes, |_, node| Ok(look(node).unwrap_or_else(|e| Some(e.to_string()))));
    let differences: Vec<String> = found.into_iter().filter_map(|found| found.ok().flatten()).collect();
    if differences.is_empty() { Look::Agreed } else { Look::NotYet(differences) }
}

fn all_up(nodes: &[Node]) -> Look {
    together(nodes, |node| {
        let up = node.http.is_up_soon()?;
        Ok((!up)
            .then(|| format!("{} says that it is not up (maintenance mode, or being seeded)", node.shown())))
    })
}

fn all_see(nodes: &[Node], names: &BTreeSet<String>) -> Look {
    together(nodes, |node| {
        let membership = node.http.membership()?;
        let told = |list: &BTreeSet<String>| list.iter().cloned().collect::<Vec<_>>().join(", ");
        Ok(if membership.cluster != *names {
            Some(format!("{} takes these for its cluster: {}", node.shown(), told(&membership.cluster)))
        } else if membership.connected != *names {
            Some(format!("{} is connected to these only: {}", node.shown(), told(&membership.connected)))
        } else {
            None
        })
    })
}

fn none_behind(nodes: &[Node]) -> Look {
    together(nodes, |node| {
        let jobs = node.http.replication_jobs()?;
        Ok((jobs > 0).then(|| format!("{} has {jobs} internal replications to do", node.shown())))
    })
}
