//! Restores backups.
//!
//! [`folders`] writes data directories of stopped nodes, [`live`] replaces the data of a running cluster, [`databases`] writes
//! single databases into one. [`selection`] chooses databases, [`preflight`] checks nodes before anything changes, [`swap`] swaps
//! old and new data, [`rename`] gives nodes new names in place, [`one_node`] brings one node back, [`placement`] decides which nodes get copies, [`status`] shows and removes what restores have left on nodes.

mod choices;
pub mod databases;
pub mod folders;
pub mod live;
pub mod one_node;
pub mod placement;
pub mod preflight;
mod ranges;
pub mod rename;
mod rules;
pub mod selection;
pub mod status;
pub mod swap;
mod transform;
#[cfg(test)]
mod unreached;

mod error;
pub mod outside;

pub use choices::RestoreChoices;
pub use error::ChangeError;
pub use ranges::Ranges;
pub use transform::{PluginFilter, Transformation};
