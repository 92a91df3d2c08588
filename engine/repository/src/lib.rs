//! Many backups in one store: each holds everything, and only what is new is stored.
//!
//! The objects of a repository are drawn in `docs/repository-format.md`. Nothing is ever overwritten and there are no locks: names
//! are random, and a backup exists from the moment on that its snapshot, which is written last, is there.
//!
//! [`Repository`] opens one. [`SnapshotWriter`] adds a backup; it takes the same sources as [`archive::ArchiveWriter`].
//! [`OpenSnapshot`] reads one. [`policy`] says which backups to keep, [`Repository::prune`] deletes what no backup needs any more.

mod access;
mod blocks;
mod cache;
mod change_keys;
mod check;
mod cut;
mod error;
mod expire;
mod hash;
mod host_key;
mod init;
mod keys;
mod known_sources;
mod large;
mod manifest;
mod names;
mod pack;
mod piece;
pub mod policy;
mod presence;
mod prune;
mod record;
mod renewal;
mod repository;
mod selector;
mod signed;
mod snapshot;
mod snapshot_reader;
mod writer;

pub use access::{Access, Trust};
pub use change_keys::KeyHolder;
pub use check::{Checked, Finding};
pub use error::RepositoryError;
pub use expire::Expired;
pub use host_key::HostKey;
pub use init::{Init, Made, init};
pub use keys::IgnoredKeys;
pub use known_sources::{KnownSource, KnownSources};
pub use names::{CONFIG, SnapshotName};
pub use presence::{ListedBackup, LostFile};
pub use prune::{PruneOptions, Pruned};
pub use record::FileRecord;
pub use repository::Repository;
pub use selector::{Newest, Selector};
pub use snapshot::Snapshot;
pub use snapshot_reader::{OpenRecord, OpenSnapshot};
pub use writer::{Added, Before, Finish, KnownEnd, SnapshotOptions, SnapshotWriter};

/// Bytes of content in a piece of a large file.
pub const PIECE: u64 = 1 << 20;
