//! `couchcopy load`: a real CouchDB on an archive's data, and what is left of it afterwards.
//!
//! The CouchDB in `COUCHDB_HOME` (or `/opt/couchdb`) is used; without one these tests say that they are skipped.

mod archives;
mod content;
mod ends;
mod leftovers;
mod options;
mod python;
mod replications;
