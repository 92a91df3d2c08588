//! The files of a backup and what they are.
//!
//! A [`Source`] is a backup that can be read: an archive with a table of contents or one without. Code that reads backups takes a
//! `Source` and queries what it can do, never which kind it is. [`Contents`] is what a backup holds: its shards, view indexes and
//! shard maps, and the record of how it was made. [`FilesAtHand`] opens its files by their names, even if that takes one pass
//! over a backup that can only be read from beginning to end.

mod at_hand;
mod backups;
mod contents;
mod couchdb1;
mod damaged;
mod destination;
mod facts;
mod headers;
pub mod integrity;
mod maps;
mod metadata;
mod ordered;
mod patterns;
pub mod rebuild;
mod record;
mod root;
mod source;
mod spool;
mod spooled;
mod unusable;
mod verified;

pub use at_hand::FilesAtHand;
pub use backups::{RepositoryBackups, is_repository};
pub use contents::{Contents, Counted, no_maps};
pub use couchdb1::{COUCHDB_1, RANGES_FOR_COUCHDB_1, is_of_couchdb_1, map_of_couchdb_1};
pub use damaged::{damaged_files, is_damage};
pub use destination::{Destination, FinishedBackup, NewBackup, ReservedDestination};
pub use facts::{ShardFacts, ViewFacts};
pub use headers::{IndexHeader, SMALL, SecurityTerm, ShardHeader, index_header, shard_header};
pub use maps::{ArchivedMaps, MapDocument, map_document, moved, shard_map_of, unchanged, unreadable};
pub use metadata::{Backup, Metadata, Program};
pub use ordered::convert_in_order;
pub use patterns::{NameMatcher, NamePatterns};
pub use record::{
    BackupSummary, Choice, ClusterRecord, ConfigurationFile, CopyRecord, DatabaseLimits, FileProblem,
    LeftOut, LeftOutKind, NodeConfiguration, NodeRecord, SecurityChoice,
};
pub use repository::{LostFile, Snapshot as StoredBackup, SnapshotName as BackupId};
pub use source::{FileEntry, FileToVerify, Files, OpenFile, Source, Visited, database_of_file, open};
pub use spool::{Spool, SpoolPart};
pub use spooled::{SpooledFile, SpooledFiles};
pub use unusable::{UnusableFile, unusable};
pub use verified::{record_verified, verified_at};

/// A source of bytes of any kind.
pub type AnySource = Box<dyn couchfile::read_at::ReadAt>;
