//! The nodes of a cluster: work on all nodes at once, which CouchDB answers at their addresses, and whether they agree.

pub mod agreement;
pub mod identity;

mod error;
mod on_nodes;

pub use error::ClusterError;
pub use on_nodes::{on_all, on_each};
