//! Which shards of an archive are in use.

use std::collections::HashMap;

use couchfile::data_dir::{DataFile, Range, ShardName};
use couchfile::ring;
use couchfile::shard_map::ShardMap;

use super::Contents;

/// A database's shard map, compared with the files of the archive.
#[derive(Debug)]
pub struct Counted {
    /// The map with the ranges that are in use: a ring. Their files are in the archive unless some are missing.
    pub map: ShardMap,
    /// The ring, if it is not everything that the archived map names.
    pub ring: Option<Vec<Range>>,
    /// Other ranges of the archived map whose files are in the archive and hold the same documents again.
    pub surplus: Vec<Range>,
}

impl Contents {
    /// Compares a shard map of the archive with the files: during shard splitting there are old and new ranges, and only one ring
    /// of them is in use.
    pub fn counted(&self, map: ShardMap) -> Counted {
        let file = |range| {
            let shard = ShardName { range, db: map.db.clone(), suffix: map.suffix.clone() };
            self.shards.get(shard.path().as_str())
        };
        let documents = |range| {
            file(range).filter(|facts| facts.damage.is_none()).map(|facts| facts.docs + facts.deleted)
        };
        let Some(ring) = ring::counted(&map, documents, || self.ranges_of(&map.db, &map.suffix)) else {
            return Counted { map, ring: None, surplus: Vec::new() };
        };
        let surplus = map.by_range.keys().copied();
        let surplus = surplus.filter(|range| !ring.contains(range) && file(*range).is_some()).collect();
        Counted { map: map.with_ranges(&ring), ring: Some(ring), surplus }
    }

    /// The ranges of all files of a database, regardless of its map.
    fn ranges_of(&self, db: &str, suffix: &str) -> Vec<Range> {
        let index = self.ranges.get_or_init(|| {
            let mut index: HashMap<Box<str>, Vec<Range>> = HashMap::new();
            for path in self.shards.keys() {
                if let Some(DataFile::Shard(shard)) = DataFile::parse(path) {
                    let name = format!("{}{}", shard.db, shard.suffix).into_boxed_str();
                    index.entry(name).or_default().push(shard.range);
                }
            }
            index
        });
        index.get(format!("{db}{suffix}").as_str()).cloned().unwrap_or_default()
    }
}
