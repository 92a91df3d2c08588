//! Backups and restores with a real CouchDB: what couchcopy writes is started, and what CouchDB writes is saved.
//!
//! The CouchDB in `COUCHDB_HOME` (or `/opt/couchdb`) is used; without one these tests say that they are skipped. They
//! run clusters of their own on loopback addresses.

#[path = "real_couchdb/asked.rs"]
mod asked;
#[path = "real_couchdb/behind.rs"]
mod behind;
#[allow(dead_code)]
#[path = "remote_backup/far.rs"]
mod far;
#[path = "real_couchdb/hot.rs"]
mod hot;
#[path = "real_couchdb/python.rs"]
mod python;
#[path = "real_couchdb/restored.rs"]
mod restored;
#[path = "real_couchdb/started.rs"]
mod started;
#[path = "real_couchdb/zoo.rs"]
mod zoo;
