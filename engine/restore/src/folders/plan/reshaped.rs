//! The plan of a database that is written anew, document by document.

use contents::Contents;
use couchfile::data_dir::{DataFile, Range, ShardName};
use couchfile::shard_map::ShardMap;

use super::{OfDatabase, Plan, SLACK};

/// Why a database is written anew.
#[derive(Debug, Clone, Copy)]
pub(super) struct Anew {
    /// Whether it gets another number of ranges, or is one of CouchDB 1.x.
    pub(super) has_other_ranges: bool,
    /// Whether its documents pass through a filter.
    pub(super) is_filtered: bool,
}

/// A database whose documents move to other ranges or pass through a filter.
#[derive(Debug, Clone)]
pub(crate) struct Reshaped {
    /// Its name in the archive.
    pub(crate) db: String,
    /// Its new name.
    pub(crate) name: String,
    pub(crate) partitioned: bool,
    /// Whether its ranges are others than in the archive.
    has_other_ranges: bool,
    /// Whether its documents pass through the filter.
    pub(crate) is_filtered: bool,
    /// Its shards in the archive, in the order of their ranges.
    pub(crate) sources: Vec<ShardName>,
    /// The new ranges, in their order, each with the nodes that get a copy; none before all databases are known.
    pub(crate) targets: Vec<(Range, Box<[u16]>)>,
    /// Bytes of the shards in the archive.
    pub(crate) bytes: u64,
}

impl Reshaped {
    /// Bytes of a copy of one of the new ranges, which gets about its share of all documents.
    pub(super) fn share(&self, range: Range) -> u64 {
        let hashes = u128::from(range.end - range.begin) + 1;
        ((u128::from(self.bytes) * hashes) >> 32) as u64
    }
}

/// Ranges that replace those of an archived map.
#[derive(Debug, Clone)]
pub(crate) struct Ring {
    ranges: Vec<Range>,
    /// The number of copies of each; `None`: as many as hold a part of it.
    copies: Option<usize>,
}

impl Ring {
    /// The ranges of an archived map that are in use.
    pub(super) fn in_use(ranges: Vec<Range>) -> Self {
        Self { ranges, copies: None }
    }

    /// The map with these ranges.
    pub(super) fn of(&self, map: &ShardMap) -> ShardMap {
        let mut map = map.with_ranges(&self.ranges);
        if let Some(copies) = self.copies {
            map.by_range.values_mut().for_each(|holders| holders.truncate(copies));
        }
        map
    }
}

impl OfDatabase {
    /// Plans the move to these ranges. `map` has the ranges in use.
    pub(super) fn reshape(&mut self, contents: &Contents, map: &ShardMap, ranges: Vec<Range>, anew: Anew) {
        let mut bytes = 0;
        for shard in map.shards() {
            let size = self.shard(contents, &shard).map(|facts| facts.size);
            bytes += size.unwrap_or(0);
        }
        self.reshaped = Some(Reshaped {
            db: self.db.clone(),
            name: self.name.clone(),
            partitioned: self.partitioned,
            has_other_ranges: anew.has_other_ranges,
            is_filtered: anew.is_filtered,
            sources: map.shards().collect(),
            targets: ranges.iter().map(|range| (*range, Box::default())).collect(),
            bytes,
        });
        self.ring = Some(Ring { ranges, copies: Some(map.copies()) });
    }
}

impl Plan {
    /// Adds a database that gets other ranges.
    pub(super) fn add_reshaped(&mut self, reshaped: Reshaped) {
        self.note_share(reshaped.targets.iter().flat_map(|(_, holders)| holders.iter().copied()));
        for (range, holders) in &reshaped.targets {
            for &target in holders {
                self.bytes[usize::from(target)] += reshaped.share(*range) + SLACK;
            }
        }
        self.to_reshape.extend(reshaped.sources.iter().map(|shard| shard.path().into()));
        self.reshaped.push(reshaped);
    }

    /// The archive's name of the first database that is written anew.
    pub(crate) fn first_reshaped(&self) -> Option<&str> {
        self.reshaped.first().map(|reshaped| reshaped.db.as_str())
    }

    /// Number of databases that get another number of ranges.
    pub(crate) fn with_other_ranges(&self) -> u64 {
        self.reshaped.iter().filter(|reshaped| reshaped.has_other_ranges).count() as u64
    }

    /// The new name of a range's file on the nodes.
    pub(crate) fn new_shard(&self, reshaped: &Reshaped, range: Range) -> ShardName {
        let archived = reshaped.sources.first().map(|shard| shard.suffix.clone()).unwrap_or_default();
        let suffix = self.new_suffix.clone().unwrap_or(archived);
        ShardName { range, db: reshaped.name.clone(), suffix }
    }

    /// Whether a file of the archive is a shard of a database that gets other ranges.
    pub(crate) fn reshapes(&self, file: &DataFile) -> bool {
        matches!(file, DataFile::Shard(shard) if self.to_reshape.contains(shard.path().as_str()))
    }
}
