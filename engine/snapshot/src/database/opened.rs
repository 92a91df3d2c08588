//! The open files of a database. They do not know their snapshot, which keeps them while it lives: neither holds the other for ever.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use contents::AnySource;
use couchfile::data_dir::{Range, ShardName};
use couchfile::database::Database;
use couchfile::ring;
use couchfile::shard_map::ShardMap;
use serde_json::Value;

use crate::error::Result;
use crate::snapshot::Snapshot;

/// The open files of a database.
pub(crate) struct Opened {
    pub(super) map: ShardMap,
    pub(super) shards: Vec<ShardFile>,
    /// `_revs_limit` and `_purged_infos_limit` as CouchDB reported them, if it was queried.
    pub(super) limits: (Option<u64>, Option<u64>),
    /// Whether its files were unpacked.
    pub(super) unpacked: bool,
    /// Bytes of memory that its open shards take, and those that all databases of the snapshot take together.
    held: AtomicU64,
    held_by_all: Arc<AtomicU64>,
}

pub(super) struct ShardFile {
    pub(super) name: ShardName,
    pub(super) file: OnceLock<Database<AnySource>>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.held_by_all.fetch_sub(self.held.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl Opened {
    /// Combines the shards in use: one ring of them if the database was saved during shard splitting. `others` are ranges that
    /// were saved although the map does not name them.
    pub(crate) fn new(snapshot: &Snapshot, map: ShardMap, others: &[Range], limits: &Value) -> Result<Self> {
        let map = counted(snapshot, map, others)?;
        // Those of an earlier moment are in the files.
        let limits = if snapshot.moment().is_some() { &Value::Null } else { limits };
        Ok(Self {
            shards: closed(map.shards()),
            map,
            limits: (limits["revs_limit"].as_u64(), limits["purged_infos_limit"].as_u64()),
            unpacked: false,
            held: AtomicU64::new(0),
            held_by_all: Arc::clone(snapshot.held()),
        })
    }

    /// The same database with no file open.
    pub(super) fn closed(&self, unpacked: bool) -> Self {
        Self {
            map: self.map.clone(),
            shards: closed(self.shards.iter().map(|shard| shard.name.clone())),
            limits: self.limits,
            unpacked,
            held: AtomicU64::new(0),
            held_by_all: Arc::clone(&self.held_by_all),
        }
    }

    /// Adds to the bytes in memory.
    pub(super) fn hold(&self, bytes: u64) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        self.held_by_all.fetch_add(bytes, Ordering::Relaxed);
    }
}

fn closed(names: impl Iterator<Item = ShardName>) -> Vec<ShardFile> {
    names.map(|name| ShardFile { name, file: OnceLock::new() }).collect()
}

/// The map with the ranges in use. Reads files only if ranges overlap or are missing.
fn counted(snapshot: &Snapshot, map: ShardMap, others: &[Range]) -> Result<ShardMap> {
    if ring::is_closed(map.by_range.keys()) && others.is_empty() {
        return Ok(map);
    }
    let mut documents = HashMap::new();
    for range in map.by_range.keys().chain(others) {
        let path = ShardName { range: *range, db: map.db.clone(), suffix: map.suffix.clone() }.path();
        let Some(file) = snapshot.files().open(&path)? else { continue };
        // One that is damaged is told when it is needed: where no other files make a ring.
        if let Ok((live, deleted)) = Database::open(file.content).and_then(|file| file.counts()) {
            documents.insert(*range, live.saturating_add(deleted));
        }
    }
    let ring = ring::counted(&map, |range| documents.get(&range).copied(), || others.to_vec());
    Ok(match ring {
        Some(ring) => map.with_ranges(&ring),
        None => map,
    })
}
