//! What a backup holds, whichever program made it: shards, view indexes and shard maps. This comes from its manifest or, if it
//! has none, from one pass over everything.

mod listed;
mod pass;
mod rebuilt;
mod ring;
mod tail;

use std::collections::HashMap;
use std::sync::OnceLock;

use couchfile::data_dir::Range;
use outcome::report::Reporter;
use outcome::{Code, Failure, Result};
use store::Place;

use crate::facts::{ShardFacts, ViewFacts};
use crate::maps::ArchivedMaps;
use crate::metadata::Metadata;
use crate::record::BackupSummary;
use crate::source::{self, Source};

pub use ring::Counted;

/// A backup and what it holds. Memory: some 200 bytes per file.
pub struct Contents {
    /// The backup.
    pub source: Box<dyn Source>,
    /// `metadata.yaml`, if there is one.
    pub metadata: Option<Metadata>,
    /// The record of the backup run, if couchcopy made the backup.
    pub summary: Option<BackupSummary>,
    /// The directory in the backup that holds the data directory, with its `/`; empty if the backup is the data directory itself.
    pub root: String,
    /// The shards, by path below the data directory.
    pub shards: HashMap<Box<str>, ShardFacts>,
    /// The view indexes, by path of their shard.
    pub views: HashMap<Box<str>, Vec<ViewFacts>>,
    /// The shard maps.
    pub maps: ArchivedMaps,
    /// Files that a backup does not need (unfinished compactions, node-local databases, anything else).
    pub ignored: u64,
    /// Bytes of all files.
    pub content_bytes: u64,
    /// The ranges of all shard files by database and suffix; built when first needed.
    ranges: OnceLock<HashMap<Box<str>, Vec<Range>>>,
}

impl Contents {
    /// Opens a backup and finds out what it holds: from its manifest, or in one pass if it has none.
    pub fn open(place: &Place, threads: usize, reporter: &dyn Reporter) -> Result<Self> {
        Self::of(source::open(place)?, threads, reporter)
    }

    /// The same; databases that the shard maps of the backup do not name get maps that are made of their shards, if the backup has
    /// no manifest. A backup with a manifest has its shard maps.
    pub fn open_rebuilding(place: &Place, threads: usize, reporter: &dyn Reporter) -> Result<Self> {
        let source = source::open(place)?;
        match source.files() {
            Some(_) => Self::of(source, threads, reporter),
            None => pass::read(source, true, threads, reporter),
        }
    }

    /// Finds out what a backup holds.
    pub fn of(source: Box<dyn Source>, threads: usize, reporter: &dyn Reporter) -> Result<Self> {
        match source.files() {
            Some(files) => {
                let found = listed::list(source.name(), files)?;
                Ok(found.of(source))
            }
            None => pass::read(source, false, threads, reporter),
        }
    }

    /// Databases that were deleted while the backup ran; their maps are ignored.
    pub fn deleted_meanwhile(&self) -> &[String] {
        self.summary.as_ref().map_or(&[], |summary| &summary.deleted_meanwhile)
    }

    /// The security object of a database whose shards have different ones; `null` is CouchDB's default.
    pub fn security_of(&self, db: &str) -> Option<&serde_json::Value> {
        Some(&self.summary.as_ref()?.security.get(db)?.object)
    }

    /// What messages call the backup: its path.
    pub fn name(&self) -> &str {
        self.source.name()
    }

    /// Whether it has a manifest, so that each file can be opened without the others.
    pub fn is_indexed(&self) -> bool {
        self.source.files().is_some()
    }
}

/// The failure for a backup without `_dbs.couch`.
pub fn no_maps(backup: &str) -> Failure {
    Failure::incomplete(
        Code::new("CC-C02"),
        format!("{backup} holds no shard maps (_dbs.couch), so it is not a backup of a CouchDB node"),
        "Check that this is the right file. An archive made with tar must hold the complete data directory. If the node had lost \
         _dbs.couch, give --rebuild-maps to `couchcopy restore`.",
    )
}
