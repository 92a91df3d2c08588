//! Which shards of an archive count.

use std::collections::HashMap;

use couchfile::data_dir::{DataFile, Range, ShardName};
use couchfile::ring;
use couchfile::shard_map::ShardMap;

use super::Contents;

/// A database's shard map, held against the files of the archive.
#[derive(Debug)]
pub struct Counted {
    /// The map with the ranges that count: a ring. Their files are in the archive, unless that misses some.
    pub map: ShardMap,
    /// The ring, where it is not all that the archived map names.
    pub ring: Option<Vec<Range>>,
    /// Ranges of the archived map whose files are in the archive, too, and hold the same documents again.
    pub surplus: Vec<Range>,
}

impl Contents {
    /// Holds a shard map of the archive against the files: in the middle of shard splitting there are old and new ranges, and only
    /// one ring of them counts.
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

    /// The ranges of all files of a database, whatever its map says.
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
