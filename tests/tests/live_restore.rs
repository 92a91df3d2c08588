//! Restores of running clusters: couchcopy replaces the data of real CouchDB nodes, which it stops and starts itself.
//!
//! The CouchDB in `COUCHDB_HOME` (or `/opt/couchdb`) is used; without one these tests say that they are skipped, likewise those
//! that need an sshd where there is none.

#[path = "live_restore/content.rs"]
mod content;
#[path = "live_restore/examine.rs"]
mod examine;
