//! A backup opened for reading: its databases as a CouchDB would show them, without a CouchDB.
//!
//! A [`Snapshot`] is an archive. With a table of contents nothing is read but what is asked for, so that it opens in
//! milliseconds; without one (an archive of couchcopy's Python version, or of tar) it is read once from beginning to end.
//! A [`SnapshotDatabase`] puts the shards of one database together, a [`Document`] is one document with all its revisions.
//!
//! Everything here blocks; nothing prints. Whatever is in the archive is taken for hostile.

mod database;
mod document;
mod error;
mod iterators;
mod lanes;
mod since;
mod snapshot;
mod unpacked;
mod walk;

pub use database::{Info, SnapshotDatabase};
pub use document::{Document, RevisionStatus};
pub use error::{Error, Result};
pub use iterators::{InOrder, ShardChanges};
pub use since::Since;
pub use snapshot::{About, OpenOptions, Snapshot};
pub use walk::{Flow, Walk};
