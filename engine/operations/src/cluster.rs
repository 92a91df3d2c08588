//! The same work on several nodes at once.

use std::sync::atomic::{AtomicU64, Ordering};

use node::Node;

use crate::error::Result;
use crate::parallel;
use crate::report::Reporter;

/// Does something for every node at once; gives what came of each, in their order.
pub(crate) fn on_each<T: Send>(
    nodes: &[Node],
    work: impl Fn(usize, &Node) -> Result<T> + Sync,
) -> Vec<Result<T>> {
    parallel::all_at_once(nodes, work)
}

/// Does something for every node at once and waits for all; gives the first failure.
pub(crate) fn on_all<T: Send>(
    nodes: &[Node],
    work: impl Fn(usize, &Node) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    on_each(nodes, work).into_iter().collect()
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
