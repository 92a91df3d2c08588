//! Single databases into running clusters: `couchcopy restore --db`, with a real CouchDB.
//!
//! The CouchDB in `COUCHDB_HOME` (or `/opt/couchdb`) is used; without one these tests say that they are skipped.

#[path = "restore_db/arena.rs"]
mod arena;
#[path = "restore_db/content.rs"]
mod content;
#[path = "restore_db/damaged.rs"]
mod damaged;
#[path = "restore_db/exact.rs"]
mod exact;
#[path = "restore_db/far.rs"]
mod far;
#[path = "restore_db/interrupted.rs"]
mod interrupted;
#[path = "restore_db/large.rs"]
mod large;
#[path = "restore_db/merge.rs"]
mod merge;
#[path = "restore_db/peruser.rs"]
mod peruser;
#[path = "restore_db/refusals.rs"]
mod refusals;
#[path = "restore_db/refused.rs"]
mod refused;
#[path = "restore_db/scale.rs"]
mod scale;
#[path = "restore_db/security.rs"]
mod security;
