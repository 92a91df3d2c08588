//! What backups hold of the past of databases, with a real CouchDB.
//!
//! The CouchDB in `COUCHDB_HOME` (or `/opt/couchdb`) is used; without one these tests say that they are skipped.

mod arena;
mod documents;
mod repository;
mod rewind;
mod states;
mod undelete;
