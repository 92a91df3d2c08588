//! Backups of nodes on other machines: over a real sshd on a loopback address, with GNU's tools and with busybox's, over
//! connections that break, of nodes that are behind, with a mirror, with configuration. A CouchDB that is being written to
//! is saved in `real_couchdb`.
//!
//! Where sshd or busybox is not installed, or a place for them cannot be had, that is told as skipped.

mod checked;
mod config;
mod connection;
mod content;
mod copies;
mod impact;
mod mirror;
mod repository;
