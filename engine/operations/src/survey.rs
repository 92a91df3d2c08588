//! What an archive holds, whichever program made it: shards, view indexes and shard maps, from the manifest or, where there
//! is none, from one pass over everything.

mod maps;
mod ring;
mod sequential;
mod tail;

use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;

use archive::{Archive, Entry, Facts, IndexedArchive};
pub use couchfile::data_dir::locate;
use couchfile::data_dir::{DataFile, Range};
use couchfile::read_at::ReadAt;

use crate::backup::BackupSummary;
use crate::metadata::Metadata;
use outcome::report::Reporter;
use outcome::{Failure, Result};

pub use maps::{ArchivedMaps, MapDocument, shard_map_of};
pub(crate) use maps::{map_document, unreadable};
pub use ring::Counted;
pub(crate) use sequential::note_root;

/// What is known of an archived shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShardFacts {
    /// Bytes.
    pub size: u64,
    /// Update sequence.
    pub seq: u64,
    /// Purge sequence.
    pub purge_seq: u64,
    /// Documents that exist.
    pub docs: u64,
    /// Documents that are deleted.
    pub deleted: u64,
    /// The node it was read from; only our own archives tell.
    pub node: Option<Box<str>>,
    /// Why it cannot be opened as a database, where it cannot.
    pub damage: Option<Box<str>>,
}

/// What is known of an archived view index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewFacts {
    /// 32 hexadecimal digits.
    pub signature: String,
    /// Bytes.
    pub size: u64,
    /// Sequence of its database up to which it was built.
    pub seq: u64,
    /// Purge sequence likewise.
    pub purge_seq: u64,
    /// The node it was read from; only our own archives tell.
    pub node: Option<Box<str>>,
    /// Why it cannot be used, where it cannot.
    pub damage: Option<Box<str>>,
}

impl ViewFacts {
    /// Why CouchDB must not get this index together with this shard; `None` where it may.
    pub fn unfit_for(&self, shard: &ShardFacts) -> Option<String> {
        if let Some(damage) = &self.damage {
            return Some(damage.to_string());
        }
        if self.node.is_some() && shard.node.is_some() && self.node != shard.node {
            return Some("it belongs to another copy of its shard".into());
        }
        if self.seq > shard.seq || self.purge_seq > shard.purge_seq {
            return Some("it is ahead of its database".into());
        }
        None
    }
}

/// An archive and what it holds. Memory: some 200 bytes per file.
pub struct Survey {
    /// The archive.
    pub archive: Archive,
    /// `metadata.yaml`, where there is one.
    pub metadata: Option<Metadata>,
    /// What our own archives say about how the backup went.
    pub summary: Option<BackupSummary>,
    /// Folder inside the archive that holds the data folder, with its `/`; empty where the archive is the folder itself.
    pub root: String,
    /// By path below the data folder.
    pub shards: HashMap<Box<str>, ShardFacts>,
    /// By path of the shard.
    pub views: HashMap<Box<str>, Vec<ViewFacts>>,
    /// The shard maps.
    pub maps: ArchivedMaps,
    /// Files that a backup does not need (compactions that were running, node-local databases, anything else).
    pub ignored: u64,
    /// Bytes of all files.
    pub content_bytes: u64,
    /// The ranges of all shard files by database and suffix; made when it is first needed.
    pub(crate) ranges: OnceLock<HashMap<Box<str>, Vec<Range>>>,
}

impl Survey {
    /// Opens an archive and learns what it holds: from its manifest, or in one pass where it has none.
    pub fn open(path: &Path, threads: usize, reporter: &dyn Reporter) -> Result<Self> {
        let archive = archive::open(path)?;
        match archive {
            Archive::Indexed(archive) => Self::of_indexed(archive),
            Archive::Sequential(archive) => sequential::survey(archive, threads, reporter),
        }
    }

    fn of_indexed(archive: IndexedArchive) -> Result<Self> {
        let metadata = match archive.find(archive::METADATA)? {
            Some(entry) => Metadata::from_yaml(&archive.read(&entry, 1 << 20)?),
            None => None,
        };
        let listed = Listed::of(&archive)?;
        let Listed { shards, views, ignored, .. } = listed;
        let maps_entry = match listed.maps {
            Some(name) => archive.find(&name)?,
            None => None,
        };
        let maps_entry = maps_entry.ok_or_else(|| no_maps(archive.name()))?;
        let reader = archive.open_entry(&maps_entry)?;
        let maps = ArchivedMaps::new(Box::new(reader))?;
        let summary = summary_of(&archive.toc().summary);
        let content_bytes = archive.toc().bytes;
        Ok(Self {
            metadata,
            summary,
            root: "data/".into(),
            shards,
            views,
            maps,
            ignored,
            content_bytes,
            ranges: OnceLock::new(),
            archive: Archive::Indexed(archive),
        })
    }

    /// Databases that were deleted while the backup ran; their maps do not count.
    pub fn deleted_meanwhile(&self) -> &[String] {
        self.summary.as_ref().map_or(&[], |summary| &summary.deleted_meanwhile)
    }

    /// The security object of a database whose shards do not agree on it; `null` is CouchDB's default.
    pub fn security_of(&self, db: &str) -> Option<&serde_json::Value> {
        Some(&self.summary.as_ref()?.security.get(db)?.object)
    }

    /// The archive's path, for messages.
    pub fn name(&self) -> &str {
        match &self.archive {
            Archive::Indexed(archive) => archive.name(),
            Archive::Sequential(archive) => archive.name(),
        }
    }

    /// Whether the archive has a manifest of ours.
    pub fn is_indexed(&self) -> bool {
        matches!(self.archive, Archive::Indexed(_))
    }
}

/// What a manifest lists.
#[derive(Default)]
struct Listed {
    shards: HashMap<Box<str>, ShardFacts>,
    views: HashMap<Box<str>, Vec<ViewFacts>>,
    ignored: u64,
    /// Name of the entry with the shard maps.
    maps: Option<String>,
}

impl Listed {
    /// Goes through the manifest: one thread reads it, this one makes the lists.
    fn of(archive: &IndexedArchive) -> Result<Self> {
        const BATCH: usize = 1000;
        let mut listed = Self::default();
        std::thread::scope(|scope| {
            let (sender, batches) = std::sync::mpsc::sync_channel(4);
            scope.spawn(move || {
                let mut entries = archive.entries();
                loop {
                    let batch: Vec<_> = entries.by_ref().take(BATCH).collect();
                    if batch.is_empty() || sender.send(batch).is_err() {
                        return;
                    }
                }
            });
            for entry in batches.iter().flatten() {
                listed.add(entry?);
            }
            Ok(listed)
        })
    }

    fn add(&mut self, entry: Entry) {
        let path = entry.name.strip_prefix("data/");
        match (path.and_then(DataFile::parse), entry.facts) {
            (Some(DataFile::ShardMaps), _) => self.maps = Some(entry.name),
            (Some(DataFile::Shard(shard)), Facts::Shard { node, seq, purge_seq, docs, deleted, .. }) => {
                let facts = ShardFacts {
                    size: entry.size,
                    seq,
                    purge_seq,
                    docs,
                    deleted,
                    node: node.map(String::into_boxed_str),
                    damage: None,
                };
                self.shards.insert(shard.path().into_boxed_str(), facts);
            }
            (Some(DataFile::View { shard, signature }), Facts::View { node, seq, purge_seq, .. }) => {
                self.views.entry(shard.path().into_boxed_str()).or_default().push(ViewFacts {
                    signature,
                    size: entry.size,
                    seq,
                    purge_seq,
                    node: node.map(String::into_boxed_str),
                    damage: None,
                });
            }
            (_, Facts::Metadata | Facts::Config { .. }) => {}
            _ => self.ignored += 1,
        }
    }
}

/// The error for an archive without `_dbs.couch`.
pub(crate) fn no_maps(archive: &str) -> Failure {
    Failure::incomplete(
        format!("{archive} holds no shard maps (_dbs.couch), so it is no backup of a CouchDB node"),
        "Check that this is the right file. An archive made with tar must hold the whole data folder.",
    )
}

/// Reads the summary that our own archives carry.
pub(crate) fn summary_of(value: &serde_json::Value) -> Option<BackupSummary> {
    serde_json::from_value(value.clone()).ok()
}

/// A source of bytes of any kind.
pub type AnySource = Box<dyn ReadAt>;
