//! Restores of running clusters that fail half way: afterwards either the old cluster runs with its old data, or resuming
//! completes the new one, and rolling back brings the old one back.
//!
//! Where couchcopy can be killed, and which of its remote commands can fail, is found out by counting. Only some of these places
//! are tried by default, each day others; all of them with `COUCHCOPY_TEST_ALL_FAULTS=1`. Without a CouchDB (see
//! `COUCHDB_HOME`) or an sshd these tests say that they are skipped.

#[path = "live_faults/arena.rs"]
mod arena;
#[path = "live_faults/commands.rs"]
mod commands;
#[path = "live_faults/disk.rs"]
mod disk;
#[path = "live_faults/half.rs"]
mod half;
#[path = "live_faults/killed.rs"]
mod killed;
#[path = "live_faults/services.rs"]
mod services;
#[path = "live_faults/stopping.rs"]
mod stopping;
#[path = "live_faults/transport.rs"]
mod transport;
#[path = "live_faults/waiting.rs"]
mod waiting;
