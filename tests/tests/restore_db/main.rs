//! Single databases into running clusters: `couchcopy restore --db`, with a real CouchDB.
//!
//! The CouchDB in `COUCHDB_HOME` (or `/opt/couchdb`) is used; without one these tests say that they are skipped.

mod arena;
mod chosen;
mod content;
mod damaged;
mod exact;
mod far;
mod interrupted;
mod large;
mod merge;
mod peruser;
mod refusals;
mod refused;
mod scale;
mod security;
mod transformed;
