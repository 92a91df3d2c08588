//! `couchcopy load`: a real CouchDB on an archive's data, and what is left of it afterwards.
//!
//! The CouchDB in `COUCHDB_HOME` (or `/opt/couchdb`) is used; without one these tests say that they are skipped.

#[path = "load/archives.rs"]
mod archives;
#[path = "load/content.rs"]
mod content;
#[path = "load/ends.rs"]
mod ends;
#[path = "load/leftovers.rs"]
mod leftovers;
#[path = "load/options.rs"]
mod options;
#[path = "load/python.rs"]
mod python;
#[path = "load/replications.rs"]
mod replications;
