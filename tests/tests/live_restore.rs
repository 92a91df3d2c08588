//! Restores of running clusters: couchcopy replaces the data of real CouchDB nodes, which it stops and starts itself.
//!
//! The CouchDB in `COUCHDB_HOME` (or `/opt/couchdb`) is used; without one these tests say that they are skipped, likewise those
//! that need an sshd where there is none.

#[path = "live_restore/checks.rs"]
mod checks;
#[path = "live_restore/content.rs"]
mod content;
#[path = "live_restore/damaged.rs"]
mod damaged;
#[path = "live_restore/examine.rs"]
mod examine;
#[path = "live_restore/interrupted.rs"]
mod interrupted;
#[path = "live_restore/maps.rs"]
mod maps;
#[path = "live_restore/nouveau.rs"]
mod nouveau;
#[path = "live_restore/owned.rs"]
mod owned;
#[path = "live_restore/remains.rs"]
mod remains;
#[path = "live_restore/selection.rs"]
mod selection;
#[path = "live_restore/suffix.rs"]
mod suffix;
#[path = "live_restore/writes.rs"]
mod writes;
