//! The configuration file: the clusters and repositories of a site, and what is done with them without anybody watching.
//!
//! [`Configuration::read`] reads one. [`mistakes`] lists every mistake in one with its line and column, and [`schema`] is its JSON
//! schema: both follow from the same tables of keys (`keys`), and a test holds these equal to what [`Document`] reads. The file of
//! a cluster (`site::ClusterFile`) has the keys of one cluster here.

mod configuration;
mod document;
mod duration;
mod examine;
mod keys;
mod mistake;
mod places;
mod read;
mod schema;
mod shape;

pub use configuration::{Cluster, Configuration, Repository};
pub use document::{ClusterTable, Document, Health, Hooks, Keep, RepositoryTable};
pub use duration::{Seconds, Share, seconds, share};
pub use mistake::Mistake;
pub use places::{ConfigurationPath, find};
pub use read::{Checked, mistakes};
pub use schema::schema;
