//! `couchcopy serve` against what a real CouchDB's HTTP interface said of the same data, and against a real CouchDB.

mod alike;
mod command;
mod couchbackup;
mod metrics;
mod oracle;
mod pouchdb;
mod raw;
mod replicated;
mod served;
mod timeline;
mod values;
