//! The nodes of a cluster together: work on all of them at once, who answers at their addresses, whether they agree.

pub mod agreement;
pub mod identity;

mod error;
mod on_nodes;

pub use error::ClusterError;
pub use on_nodes::{on_all, on_each};
