//! `couchcopy doctor`: planted faults are found, each by its identifier and its place, and nothing is found on healthy nodes.
//!
//! The CouchDB in `COUCHDB_HOME` (or `/opt/couchdb`) is used; without one those tests that need it say that they are skipped.

mod common;
mod live;
mod offline;
mod plant;
mod remote;
