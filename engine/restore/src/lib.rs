//! Restores backups.
//!
//! [`folders`] writes data folders of stopped nodes, [`live`] replaces the data of a running cluster, [`databases`] writes single
//! databases into one. [`selection`] chooses databases, [`preflight`] checks nodes before anything changes, [`swap`] exchanges
//! old and new data, [`status`] shows what restores have left on nodes and removes it.

pub mod databases;
pub mod folders;
pub mod live;
pub mod preflight;
pub mod selection;
pub mod status;
pub mod swap;

mod error;
pub mod outside;

pub use error::ChangeError;
