//! The same work on several nodes at once.

use std::sync::atomic::{AtomicU64, Ordering};

use node::Node;

use crate::error::{OperationError, Result};
use crate::report::Reporter;

/// Does something for every node at once; gives what came of each, in their order.
pub(crate) fn on_each<T: Send>(
    nodes: &[Node],
    work: impl Fn(usize, &Node) -> Result<T> + Sync,
) -> Vec<Result<T>> {
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> =
            nodes.iter().enumerate().map(|(i, node)| scope.spawn(move || work(i, node))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// Does something for every node at once and waits for all; gives the first failure, which names the others.
pub(crate) fn on_all<T: Send>(
    nodes: &[Node],
    work: impl Fn(usize, &Node) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let mut done = Vec::new();
    let mut failed: Option<OperationError> = None;
    for result in on_each(nodes, work) {
        match (result, &failed) {
            (Ok(value), _) => done.push(value),
            (Err(error), None) => failed = Some(error),
            (Err(_), Some(_)) => {}
        }
    }
    failed.map_or(Ok(done), Err)
}

/// Counts the steps of a change, whichever node and thread they belong to.
pub(crate) struct Steps<'r> {
    reporter: &'r dyn Reporter,
    number: AtomicU64,
}

impl<'r> Steps<'r> {
    pub(crate) fn new(reporter: &'r dyn Reporter) -> Self {
        Self { reporter, number: AtomicU64::new(0) }
    }

    /// A step is behind us.
    pub(crate) fn done(&self, what: &str, node: &Node) {
        let number = self.number.fetch_add(1, Ordering::SeqCst) + 1;
        self.reporter.step(number, &format!("{what} on {}", node.shown()));
    }
}
