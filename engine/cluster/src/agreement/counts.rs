//! Whether every database opens with all the documents that it should hold.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use node::Node;
use outcome::Result;

use super::{TOLD, Wait, connections, is_lasting};

/// Databases in one request: CouchDB's own limit.
const BATCH: usize = 100;
/// Requests at the same time for each node. Three nodes on two processors took a quarter less time with six than with two; too
/// many would keep clients waiting.
const REQUESTS: usize = 4;
/// How often the connections between nodes are checked while databases do not open.
const CONNECTIONS: Duration = Duration::from_secs(5);

/// The number of documents, including deleted ones, that each database should hold.
#[derive(Debug, Clone, Default)]
pub struct Promised {
    names: Vec<Box<str>>,
    documents: Vec<u64>,
}

impl Promised {
    /// Adds a database.
    pub fn add(&mut self, name: &str, documents: u64) {
        self.names.push(name.into());
        self.documents.push(documents);
    }

    /// Changes the numbers of documents of databases that have been added.
    pub fn set(&mut self, documents: &HashMap<&str, u64>) {
        for (name, expected) in self.names.iter().zip(&mut self.documents) {
            if let Some(&documents) = documents.get(&**name) {
                *expected = documents;
            }
        }
    }

    /// Number of databases.
    pub fn databases(&self) -> u64 {
        self.names.len() as u64
    }

    /// The names of the databases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// The databases in batches: names and document counts.
    fn batch(&self, i: usize) -> Option<Vec<(&str, u64)>> {
        let start = i.checked_mul(BATCH)?;
        let end = self.names.len().min(start + BATCH);
        let names = self.names.get(start..end).filter(|names| !names.is_empty())?;
        Some(names.iter().map(|name| &**name).zip(self.documents[start..end].iter().copied()).collect())
    }
}

/// Problems by node and database.
#[derive(Default)]
struct Wrong<'p> {
    databases: HashMap<(usize, &'p str), (u64, Problem)>,
}

/// Why a database is not accepted yet.
struct Problem {
    text: String,
    /// Whether repeating the request does not change it.
    lasting: bool,
}

/// The order in which databases are opened, and through which node. Consecutive requests are far apart in the alphabet, so that a
/// time limit leaves out no part of it, and every batch goes through all nodes at about the same time: a node that opens a
/// database opens the copies on all nodes and keeps some hundred of them open, so the other nodes find their copies open.
struct Order {
    batches: usize,
    nodes: usize,
    stride: usize,
}

impl Order {
    fn new(databases: usize, nodes: usize) -> Self {
        let batches = databases.div_ceil(BATCH);
        // About the golden section, and without a common divisor, so that every batch comes once.
        let first = (batches * 618 / 1000).max(1);
        let stride =
            (first..=first + batches).find(|stride| divisor(*stride, batches.max(1)) == 1).unwrap_or(1);
        Self { batches, nodes, stride }
    }

    /// The batch number and node number of the `i`th request.
    fn at(&self, i: usize) -> Option<(usize, usize)> {
        let place = i.checked_div(self.nodes)?;
        (place < self.batches).then(|| (place * self.stride % self.batches, i % self.nodes))
    }
}

fn divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { divisor(b, a % b) }
}

/// Opens every database through every node, as many as fit into the time, and repeats those that do not open or lack documents
/// until all are complete.
///
/// More documents than promised are fine: clients may write already.
pub(super) fn wait(
    wait: &mut Wait<'_>,
    nodes: &[Node],
    names: &BTreeSet<String>,
    promised: &Promised,
    open_for: Option<Duration>,
) -> Result<bool> {
    let reporter = wait.reporter;
    let total = promised.databases() * nodes.len() as u64;
    reporter.phase("opening every database on every node", Some(total));
    let order = Order::new(promised.names.len(), nodes.len());
    let (opened, next) = (AtomicU64::new(0), AtomicUsize::new(0));
    let wrong = Mutex::new(Wrong::default());
    let begun = Instant::now();
    let (wait_begun, limit, interrupted) = (wait.begun, wait.limit, wait.interrupted);
    let over = || interrupted.load(Ordering::Relaxed) || wait_begun.elapsed() > limit;
    let enough = || open_for.is_some_and(|open_for| begun.elapsed() > open_for);
    std::thread::scope(|scope| {
        for _ in 0..REQUESTS * nodes.len() {
            scope.spawn(|| {
                while !over()
                    && !enough()
                    && let Some((batch, number)) = order.at(next.fetch_add(1, Ordering::Relaxed))
                    && let Some(batch) = promised.batch(batch)
                {
                    let found = look(&nodes[number], &batch);
                    if !found.is_empty() {
                        let mut wrong = wrong.lock().unwrap_or_else(PoisonError::into_inner);
                        for (name, documents, problem) in found {
                            wrong.databases.insert((number, name), (documents, problem));
                        }
                    }
                    let done = opened.fetch_add(batch.len() as u64, Ordering::Relaxed) + batch.len() as u64;
                    reporter.advance(done, 0);
                }
            });
        }
    });
    let opened = opened.into_inner();
    wait.result.opened = opened;
    wait.result.opened_each = opened == total;
    wait.result.opened_at_least_once = opened.div_ceil(nodes.len().max(1) as u64);
    let stopped = !enough() && opened < total;
    let mut wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner).databases;
    let mut seen: (Option<Instant>, Vec<String>) = (None, Vec::new());
    loop {
        let lasting = wrong.values().any(|(_, problem)| problem.lasting);
        if wait.is_over() || wait.is_lasting(lasting) {
            wait.result.differences = connections::differences(nodes, names);
            wait.result.differences.extend(describe_problems(nodes, &wrong));
            if stopped {
                wait.result.differences.push(format!("{opened} of {total} databases have been opened"));
            }
            return Ok(!stopped && wrong.is_empty());
        }
        if wrong.is_empty() {
            return Ok(true);
        }
        if seen.0.is_none_or(|asked| asked.elapsed() > CONNECTIONS) {
            seen = (Some(Instant::now()), connections::differences(nodes, names));
        }
        // A node that is lost keeps databases from opening: it comes first.
        let shown: Vec<String> = seen.1.iter().cloned().chain(describe_problems(nodes, &wrong)).collect();
        wait.show("databases to open with all their documents", &shown);
        std::thread::sleep(super::PAUSE);
        for (number, node) in nodes.iter().enumerate() {
            let again: Vec<(&str, u64)> = wrong
                .iter()
                .filter(|((at, _), _)| *at == number)
                .map(|((_, name), (documents, _))| (*name, *documents))
                .take(BATCH)
                .collect();
            if again.is_empty() {
                continue;
            }
            for (name, _) in &again {
                wrong.remove(&(number, *name));
            }
            for (name, documents, problem) in look(node, &again) {
                wrong.insert((number, name), (documents, problem));
            }
        }
    }
}

/// The problems of these databases on a node: name, expected documents, problem.
fn look<'p>(node: &Node, batch: &[(&'p str, u64)]) -> Vec<(&'p str, u64, Problem)> {
    let names: Vec<&str> = batch.iter().map(|(name, _)| *name).collect();
    let infos = match node.http.dbs_info(&names) {
        Ok(infos) => infos,
        Err(e) => {
            let problem = || Problem { text: e.to_string(), lasting: is_lasting(&e) };
            return batch.iter().map(|&(name, documents)| (name, documents, problem())).collect();
        }
    };
    let mut wrong = Vec::new();
    let may_pass = |text: String| Problem { text, lasting: false };
    for (&(name, documents), info) in batch.iter().zip(infos) {
        match info {
            None => wrong.push((name, documents, may_pass("it does not open".to_owned()))),
            Some(info) if info.docs + info.deleted < documents => {
                let has = info.docs + info.deleted;
                wrong.push((
                    name,
                    documents,
                    may_pass(format!("it has {has} documents instead of {documents}")),
                ));
            }
            Some(_) => {}
        }
    }
    wrong
}

fn describe_problems(nodes: &[Node], wrong: &HashMap<(usize, &str), (u64, Problem)>) -> Vec<String> {
    let mut problems: Vec<String> = wrong
        .iter()
        .map(|((number, name), (_, problem))| {
            format!("{name} on {}: {}", nodes[*number].shown(), problem.text)
        })
        .collect();
    problems.sort();
    let more = problems.len().saturating_sub(TOLD);
    problems.truncate(TOLD);
    if more > 0 {
        problems.push(format!("… and {more} more"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_batch_comes_once_through_every_node_and_through_all_of_them_in_a_row() {
        for (databases, nodes) in [(0, 3), (1, 1), (1, 3), (99, 2), (250, 3), (100_000, 3), (101, 5)] {
            let order = Order::new(databases, nodes);
            let all: Vec<_> = (0..).map_while(|i| order.at(i)).collect();
            assert_eq!(all.len(), databases.div_ceil(BATCH) * nodes, "{databases} {nodes}");
            assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len(), "{databases} {nodes}");
            for row in all.chunks(nodes) {
                assert!(row.iter().all(|(batch, _)| *batch == row[0].0), "{row:?}");
            }
        }
    }
}
