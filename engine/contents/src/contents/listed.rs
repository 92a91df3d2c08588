//! What a backup's manifest lists.

use std::collections::HashMap;
use std::sync::OnceLock;

use archive::{Facts, METADATA};
use couchfile::data_dir::DataFile;
use outcome::Result;

use super::{Contents, no_maps};
use crate::facts::{ShardFacts, ViewFacts};
use crate::maps::ArchivedMaps;
use crate::metadata::Metadata;
use crate::record::BackupSummary;
use crate::source::{FileEntry, Files, Source};

/// The content of a backup's manifest.
pub(super) struct Found {
    listed: Listed,
    metadata: Option<Metadata>,
    summary: Option<BackupSummary>,
    root: String,
    maps: ArchivedMaps,
    content_bytes: u64,
}

/// Reads the manifest of a backup.
pub(super) fn list(backup: &str, files: &dyn Files) -> Result<Found> {
    let metadata = files.read(METADATA, Metadata::LARGEST)?.as_deref().and_then(Metadata::from_yaml);
    let mut listed = Listed::of(files)?;
    let maps = match listed.maps.take() {
        Some(name) => files.open(&name)?,
        None => None,
    };
    let maps = ArchivedMaps::new(maps.ok_or_else(|| no_maps(backup))?.content)?;
    Ok(Found {
        listed,
        metadata,
        summary: BackupSummary::of(files.record()),
        root: files.root().to_owned(),
        maps,
        content_bytes: files.content_bytes(),
    })
}

impl Found {
    /// Converts the manifest to the contents of its backup.
    pub(super) fn of(self, source: Box<dyn Source>) -> Contents {
        let Self { listed, metadata, summary, root, maps, content_bytes } = self;
        let Listed { shards, views, ignored, .. } = listed;
        Contents {
            source,
            metadata,
            summary,
            root,
            shards,
            views,
            maps,
            ignored,
            content_bytes,
            ranges: OnceLock::new(),
        }
    }
}

/// What a manifest lists.
#[derive(Default)]
struct Listed {
    shards: HashMap<Box<str>, ShardFacts>,
    views: HashMap<Box<str>, Vec<ViewFacts>>,
    ignored: u64,
    /// Name of the entry that holds the shard maps.
    maps: Option<String>,
}

impl Listed {
    /// Processes the manifest: one thread reads it, this thread builds the lists.
    fn of(files: &dyn Files) -> Result<Self> {
        const BATCH: usize = 1000;
        let (root, mut listed) = (files.root(), Self::default());
        std::thread::scope(|scope| {
            let (sender, batches) = std::sync::mpsc::sync_channel(4);
            scope.spawn(move || {
                let mut entries = files.entries();
                loop {
                    let batch: Vec<_> = entries.by_ref().take(BATCH).collect();
                    if batch.is_empty() || sender.send(batch).is_err() {
                        return;
                    }
                }
            });
            for entry in batches.iter().flatten() {
                listed.add(root, entry?);
            }
            Ok(listed)
        })
    }

    fn add(&mut self, root: &str, entry: FileEntry) {
        let path = entry.name.strip_prefix(root);
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
