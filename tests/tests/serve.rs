//! `couchcopy serve` against what a real CouchDB's HTTP interface said of the same data, and against a real CouchDB.

#[path = "serve/alike.rs"]
mod alike;
#[path = "serve/command.rs"]
mod command;
#[path = "serve/couchbackup.rs"]
mod couchbackup;
#[path = "serve/oracle.rs"]
mod oracle;
#[path = "serve/pouchdb.rs"]
mod pouchdb;
#[path = "serve/raw.rs"]
mod raw;
#[path = "serve/replicated.rs"]
mod replicated;
#[path = "serve/served.rs"]
mod served;
#[path = "serve/values.rs"]
mod values;
