//! Backups and restores with a real CouchDB: what couchcopy writes is started, and what CouchDB writes is saved.
//!
//! The CouchDB in `COUCHDB_HOME` (or `/opt/couchdb`) is used; without one these tests say that they are skipped. They
//! run clusters of their own on loopback addresses.

mod asked;
mod behind;
mod hot;
mod impact;
mod python;
mod repository;
mod restored;
mod started;
mod zoo;
