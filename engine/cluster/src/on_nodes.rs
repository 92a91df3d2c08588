//! The same work on several nodes at once.

use node::Node;
use outcome::{Result, parallel};

/// Does something for all nodes at the same time; returns the result of each, in the order of the nodes.
pub fn on_each<T: Send>(nodes: &[Node], work: impl Fn(usize, &Node) -> Result<T> + Sync) -> Vec<Result<T>> {
    parallel::all_at_once(nodes, work)
}

/// Does something for all nodes at the same time and waits for all of them; returns the first failure.
pub fn on_all<T: Send>(nodes: &[Node], work: impl Fn(usize, &Node) -> Result<T> + Sync) -> Result<Vec<T>> {
    on_each(nodes, work).into_iter().collect()
}
