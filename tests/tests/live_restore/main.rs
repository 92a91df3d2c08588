//! Restores of running clusters: couchcopy replaces the data of real CouchDB nodes, which it stops and starts itself.
//!
//! The CouchDB in `COUCHDB_HOME` (or `/opt/couchdb`) is used; without one these tests say that they are skipped, likewise those
//! that need an sshd where there is none.

mod checks;
mod content;
mod damaged;
mod examine;
mod interrupted;
mod maps;
mod nouveau;
mod owned;
mod remains;
mod selection;
mod suffix;
mod tls;
mod who;
mod writes;
