//! One node of a real cluster is brought back while the others run on.
//!
//! The CouchDB in `COUCHDB_HOME` (or `/opt/couchdb`) is used; without one these tests say that they are skipped.

mod arena;
mod back;
mod killed;
mod refused;
