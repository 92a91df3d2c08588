//! Nodes of a real cluster get new names.
//!
//! The CouchDB in `COUCHDB_HOME` (or `/opt/couchdb`) is used; without one these tests say that they are skipped.

mod arena;
mod behind;
mod killed;
mod offline;
mod refused;
mod renamed;
