//! The same work on several nodes at once.

use node::Node;

use crate::error::Result;
use crate::parallel;
use crate::report::Steps;

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

impl Steps<'_> {
    /// A step is behind us on a node.
    pub(crate) fn done(&self, what: &str, node: &Node) {
        self.count(&format!("{what} on {}", node.shown()));
    }
}
