//! Backups of nodes on other machines: over a real sshd on a loopback address, with GNU's tools and with busybox's, over
//! connections that break, of nodes that are behind, with a mirror, with configuration. A CouchDB that is being written to
//! is saved in `real_couchdb`.
//!
//! Where sshd or busybox is not installed, or a place for them cannot be had, that is told as skipped.

#[path = "remote_backup/checked.rs"]
mod checked;
#[path = "remote_backup/config.rs"]
mod config;
#[path = "remote_backup/connection.rs"]
mod connection;
#[path = "remote_backup/content.rs"]
mod content;
#[path = "remote_backup/copies.rs"]
mod copies;
#[path = "remote_backup/far.rs"]
mod far;
#[path = "remote_backup/mirror.rs"]
mod mirror;
