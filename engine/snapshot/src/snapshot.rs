//! An archive opened for reading.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use archive::METADATA;
use contents::{AnySource, FilesAtHand, Metadata, Source, shard_map_of};
use couchfile::btree::TreeKind;
use couchfile::data_dir::{DataFile, Range, SHARD_MAPS};
use couchfile::database::Database;
use couchfile::error::CouchFileError;
use lru::LruCache;
use outcome::report::Silent;
use store::Place;

use crate::database::{Opened, SnapshotDatabase};
use crate::document::Document;
use crate::error::{Error, Result};
use crate::lanes::Lanes;
use crate::moment::Moment;
use crate::walk::{Flow, Walk};

/// The most databases that are kept open.
const OPEN_DATABASES: NonZeroUsize = NonZeroUsize::new(2048).unwrap();
/// Bytes of their files that are kept in memory.
const OPEN_BYTES: u64 = 32 << 20;
/// The name of the file with the shard maps in errors.
const MAPS: &str = "the shard maps (_dbs.couch)";

/// How to open an archive.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// Threads that read an archive without a table of contents; 0: the number of cores.
    pub threads: usize,
    /// The databases that will be read; `None`: any. In an archive without a table of contents the other databases are skipped.
    pub only: Option<Vec<String>>,
    /// The moment at which databases are shown; `None`: as they were saved.
    pub at: Option<Moment>,
}

/// What an archive records about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// When the backup was made.
    pub date: Option<String>,
    /// Names of the nodes that were saved.
    pub nodes: Vec<String>,
    /// The program that made it, with its version.
    pub made_by: Option<String>,
}

/// An archive opened for reading. Memory: some MiB for what is open.
pub struct Snapshot {
    files: Arc<FilesAtHand>,
    maps: Database<AnySource>,
    about: About,
    deleted_meanwhile: BTreeSet<String>,
    /// Limits that CouchDB reported when the backup was made, by database: a compaction may have lost them in the files.
    limits: serde_json::Value,
    /// Databases whose shards were split while the backup ran: the ranges that were saved instead of those in the map.
    split_meanwhile: serde_json::Value,
    /// Security objects of databases whose shards have different ones, each as `object`.
    security: serde_json::Value,
    /// The moment at which databases are shown.
    at: Option<Moment>,
    identity: String,
    /// The databases that will be read.
    opened: Mutex<LruCache<String, Arc<Opened>>>,
    /// Bytes of database files in memory, for open databases and for closed ones that are still in use.
    held: Arc<AtomicU64>,
}

impl Snapshot {
    /// Opens a backup.
    ///
    /// A backup that can only be read from beginning to end is read once, and its shards are kept in a temporary file; `report`
    /// is called before that.
    pub fn open(place: &Place, options: &OpenOptions, report: &dyn Fn(&str)) -> Result<Arc<Self>> {
        Self::of_source(contents::open(place)?, options, report)
    }

    /// Opens a backup that has been found; see [`Self::open`].
    pub fn of_source(
        source: Box<dyn Source>,
        options: &OpenOptions,
        report: &dyn Fn(&str),
    ) -> Result<Arc<Self>> {
        if source.files().is_none() {
            report("reading the complete archive once: it has no table of contents");
        }
        let wanted = |file: &DataFile| match file {
            DataFile::ShardMaps => true,
            DataFile::Shard(shard) => options.only.as_ref().is_none_or(|only| only.contains(&shard.db)),
            DataFile::View { .. } => false,
        };
        let files = FilesAtHand::of(source, options.threads, &wanted, &Silent)?;
        Self::at(Arc::new(files), options.at.clone())
    }

    /// The databases in these files.
    pub fn of(files: FilesAtHand) -> Result<Arc<Self>> {
        Self::at(Arc::new(files), None)
    }

    /// The same backup at an earlier moment. Its files are shared.
    pub fn at_moment(&self, moment: Moment) -> Result<Arc<Self>> {
        Self::at(Arc::clone(&self.files), Some(moment))
    }

    /// The databases in these files as they were at a moment.
    fn at(files: Arc<FilesAtHand>, at: Option<Moment>) -> Result<Arc<Self>> {
        let metadata = files.read(METADATA, Metadata::LARGEST)?;
        let source = files.open(SHARD_MAPS)?.ok_or_else(|| contents::no_maps(files.name()))?;
        let maps = Database::open(source.content).map_err(|source| Error::Database {
            archive: files.name().to_owned(),
            what: MAPS.into(),
            source,
        })?;
        let record = files.record();
        let names = |value: &serde_json::Value| -> BTreeSet<String> {
            value
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|name| Some(name.as_str()?.to_owned()))
                .collect()
        };
        Ok(Arc::new(Self {
            about: about(metadata.as_deref().and_then(Metadata::from_yaml)),
            deleted_meanwhile: names(&record["deleted_meanwhile"]),
            limits: record["cluster"]["limits"].clone(),
            security: record["security"].clone(),
            split_meanwhile: record["split_meanwhile"].clone(),
            identity: match &at {
                None => files.identity().to_owned(),
                Some(moment) => format!("{} at {moment:?}", files.identity()),
            },
            at,
            files,
            maps,
            opened: Mutex::new(LruCache::new(OPEN_DATABASES)),
            held: Arc::default(),
        }))
    }

    /// The archive's path.
    pub fn name(&self) -> &str {
        self.files.name()
    }

    /// Whether it has a table of contents.
    pub fn is_indexed(&self) -> bool {
        !self.files.is_spooled()
    }

    /// What the archive records about itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The moment at which databases are shown; `None`: as they were saved.
    pub fn moment(&self) -> Option<&Moment> {
        self.at.as_ref()
    }

    /// A text that distinguishes this archive's content, at its moment, from any other.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Calls `each` with the names of databases.
    pub fn databases<E: From<Error>>(
        &self,
        walk: &Walk,
        mut each: impl FnMut(&str) -> Result<Flow, E>,
    ) -> Result<(), E> {
        let failed = |(_, e)| self.damaged(MAPS, e);
        let mut lanes = Lanes::new([&self.maps], TreeKind::Id, walk).map_err(failed)?;
        while let Some(entry) = lanes.next().map_err(failed)? {
            let Ok(name) = std::str::from_utf8(&entry.key) else { continue };
            let deleted = Document::from_id_tree(&self.maps, &entry.key, entry.value)
                .map_err(|e| self.damaged(MAPS, e))?
                .is_deleted();
            let shown = !deleted && !name.starts_with("_design/") && !self.deleted_meanwhile.contains(name);
            if shown && each(name)? == Flow::Stop {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The database with this name; `None` if there is none.
    ///
    /// Fails if its shard map cannot be read. Its shards are opened when they are needed.
    pub fn database(self: &Arc<Self>, name: &str) -> Result<Option<Arc<SnapshotDatabase>>> {
        if let Some(known) = self.kept(name) {
            return Ok(Some(Arc::new(SnapshotDatabase::of(Arc::clone(self), known))));
        }
        if name.starts_with("_design/") || self.deleted_meanwhile.contains(name) {
            return Ok(None);
        }
        let found = self
            .maps
            .document(name.as_bytes(), |doc| Ok((!doc.deleted).then(|| shard_map_of(&self.maps, doc))))
            .map_err(|e| self.damaged(MAPS, e))?;
        let Some(Some(map)) = found else { return Ok(None) };
        let unreadable =
            |problem: String| Error::Map { archive: self.name().to_owned(), db: name.to_owned(), problem };
        let map = map.map_err(unreadable)?;
        let split = self.split_meanwhile[name].as_array().into_iter().flatten();
        let others: Vec<Range> = split.filter_map(|range| range.as_str()?.parse().ok()).collect();
        let opened = Arc::new(Opened::new(self, map, &others, &self.limits[name])?);
        self.keep(name, &opened);
        Ok(Some(Arc::new(SnapshotDatabase::of(Arc::clone(self), opened))))
    }

    /// The security object of a database whose shards have different ones; `null` is CouchDB's default.
    pub(crate) fn security_of(&self, db: &str) -> Option<&serde_json::Value> {
        self.security.get(db)?.get("object")
    }

    pub(crate) fn files(&self) -> &FilesAtHand {
        &self.files
    }

    pub(crate) fn damaged(&self, what: impl Into<String>, source: CouchFileError) -> Error {
        Error::Database { archive: self.name().to_owned(), what: what.into(), source }
    }

    fn kept(&self, name: &str) -> Option<Arc<Opened>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.get(name).cloned()
    }

    fn keep(&self, name: &str, database: &Arc<Opened>) {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = opened.push(name.to_owned(), Arc::clone(database));
        drop(opened);
        drop(closed);
    }

    /// Bytes of database files in memory.
    pub(crate) fn held(&self) -> &Arc<AtomicU64> {
        &self.held
    }

    /// Closes the least recently used databases while too many bytes are in memory.
    pub(crate) fn make_room(&self) {
        while self.held.load(Ordering::Relaxed) > OPEN_BYTES {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            // The last one stays: it is the one that is asked for now.
            let closed = if opened.len() > 1 { opened.pop_lru() } else { return };
            drop(opened);
            drop(closed);
        }
    }
}

fn about(metadata: Option<Metadata>) -> About {
    let Some(metadata) = metadata else { return About::default() };
    About {
        made_by: metadata.couchcopy.display_name(),
        date: Some(metadata.backup.date).filter(|date| !date.is_empty()),
        nodes: metadata.backup.source.nodes_names,
    }
}
