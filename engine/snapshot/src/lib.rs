//! A backup opened for reading: its databases as a CouchDB would show them, without a CouchDB.
//!
//! A [`Snapshot`] is an archive. An archive with a table of contents opens in milliseconds, because only the requested parts are
//! read. An archive without one (of couchcopy's Python version, or of tar) is read once from beginning to end. A
//! [`SnapshotDatabase`] combines the shards of one database, a [`Document`] is one document with all its revisions.
//!
//! Everything here blocks and nothing prints. All content of the archive is treated as hostile.

mod database;
mod document;
mod error;
mod iterators;
mod lanes;
mod moment;
mod since;
mod snapshot;
mod unpacked;
mod walk;

pub use database::{Info, SnapshotDatabase};
pub use document::{Document, RevisionStatus};
pub use error::{Error, Result};
pub use iterators::{InOrder, ShardChanges};
pub use moment::{Moment, SeqAt};
pub use since::Since;
pub use snapshot::{About, OpenOptions, Snapshot};
pub use walk::{Flow, Walk};
