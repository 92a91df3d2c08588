//! Restores of running clusters that fail half way: afterwards either the old cluster runs with its old data, or resuming
//! completes the new one, and rolling back brings the old one back.
//!
//! Where couchcopy can be killed, and which of its remote commands can fail, is found out by counting. Only some of these places
//! are tried by default, each day others; all of them with `COUCHCOPY_TEST_ALL_FAULTS=1`. Without a CouchDB (see
//! `COUCHDB_HOME`) or an sshd these tests say that they are skipped.

mod arena;
mod commands;
mod disk;
mod half;
mod killed;
mod services;
mod stopping;
mod transport;
mod waiting;
