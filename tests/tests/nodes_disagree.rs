//! Backups of nodes that do not hold the same: shards in the middle of splitting, copies that missed purges, shard maps that are lost or
//! that differ, security objects that differ, and files that no shard map names.
//!
//! The CouchDB in `COUCHDB_HOME` (or `/opt/couchdb`) is used; without one those tests that need it say that they are skipped.

#[path = "nodes_disagree/common.rs"]
mod common;
#[path = "nodes_disagree/conflicts.rs"]
mod conflicts;
#[allow(dead_code)]
#[path = "remote_backup/far.rs"]
mod far;
#[path = "nodes_disagree/files.rs"]
mod files;
#[path = "nodes_disagree/lost_maps.rs"]
mod lost_maps;
#[path = "nodes_disagree/purges.rs"]
mod purges;
#[path = "nodes_disagree/splitting.rs"]
mod splitting;
