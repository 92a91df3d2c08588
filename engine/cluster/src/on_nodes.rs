//! The same work on several nodes at once.

use node::Node;
use outcome::{Result, parallel};

/// Does something for every node at once; gives what came of each, in their order.
pub fn on_each<T: Send>(nodes: &[Node], work: impl Fn(usize, &Node) -> Result<T> + Sync) -> Vec<Result<T>> {
    parallel::all_at_once(nodes, work)
}

/// Does something for every node at once and waits for all; gives the first failure.
pub fn on_all<T: Send>(nodes: &[Node], work: impl Fn(usize, &Node) -> Result<T> + Sync) -> Result<Vec<T>> {
    on_each(nodes, work).into_iter().collect()
}
