//! Backups of nodes that do not hold the same: shards in the middle of splitting, copies that missed purges, shard maps that are lost or
//! that differ, security objects that differ, and files that no shard map names.
//!
//! The CouchDB in `COUCHDB_HOME` (or `/opt/couchdb`) is used; without one those tests that need it say that they are skipped.

mod common;
mod conflicts;
mod files;
mod lost_maps;
mod purges;
mod splitting;
