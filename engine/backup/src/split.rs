//! Saves shards, and the parts of shards that were split before they were read.

use std::collections::{BTreeMap, BTreeSet};

use archive::Progress;
use contents::NewBackup;
use couchfile::data_dir::{Range, ShardName};
use couchfile::ring;
use outcome::Result;
use outcome::report::Reporter;

use crate::adding::add_all;
use crate::checking::Checking;
use crate::drift::{self, LatestMaps};
use crate::folder::NodeFolder;
use crate::plan::{Plan, PlannedShard};
use crate::remote::{self, Candidate};
use crate::source::{self, Findings, ShardSource};

/// The most rounds for parts of shards that are split again in the meantime.
const ROUNDS: u8 = 5;

/// The data for all rounds.
pub(super) struct Saving<'s, 'f> {
    pub(super) folders: &'f [NodeFolder],
    pub(super) plan: &'s Plan<'f>,
    pub(super) findings: &'s Findings,
    /// The checker, if more than headers is read.
    pub(super) checking: Option<&'s Checking>,
    pub(super) reporter: &'s dyn Reporter,
    pub(super) advance: &'s (dyn Fn(Progress) + Sync),
}

impl Saving<'_, '_> {
    /// Saves these shards, in the order of their paths.
    pub(super) fn save(
        &self,
        writer: &mut NewBackup,
        shards: Vec<PlannedShard>,
        latest: &LatestMaps,
        round: Option<u8>,
    ) -> Result<()> {
        let first_holder = |shard: &PlannedShard| shard.folders.first().copied().unwrap_or_default();
        // What is as it was is not fetched.
        let stat = |shard: &PlannedShard| shard.stat.filter(|_| self.checking.is_none());
        let candidates = shards.iter().map(|shard| Candidate {
            folder: first_holder(shard),
            path: &shard.path,
            name: source::shard_name(&shard.path, round),
            stat: stat(shard),
        });
        let wanted = remote::wanted(writer, self.folders, candidates)?;
        let streams = remote::Streams::start(self.folders, wanted)?;
        let sources = shards.into_iter().map(|shard| ShardSource {
            shard,
            folders: self.folders,
            maps: &self.plan.maps,
            latest,
            findings: self.findings,
            streams: &streams,
            checking: self.checking,
            round,
        });
        add_all(writer, sources, &streams, self.reporter, self.advance)
    }

    /// Saves the parts of shards that were split before they were read. Returns the ranges of their databases that were saved.
    pub(super) fn save_split(
        &self,
        writer: &mut NewBackup,
        latest: &LatestMaps,
    ) -> Result<BTreeMap<String, Vec<String>>> {
        let mut rings: BTreeMap<String, Vec<Range>> = BTreeMap::new();
        for round in 1..=ROUNDS {
            let split = self.findings.take_split();
            if split.is_empty() {
                break;
            }
            let mut parts = Vec::new();
            let databases: BTreeSet<(&str, &str)> =
                split.iter().map(|shard| (shard.db.as_str(), shard.suffix.as_str())).collect();
            for (db, suffix) in databases {
                let gone = |range: &Range| {
                    let shard = ShardName { range: *range, db: db.to_owned(), suffix: suffix.to_owned() };
                    split.contains(&shard)
                };
                let mut saved = rings.remove(db).unwrap_or_else(|| self.plan.ranges(db));
                saved.retain(|range| !gone(range));
                match self.parts(db, suffix, &saved, gone)? {
                    Some((ring, wanted)) => {
                        parts.extend(wanted);
                        rings.insert(db.to_owned(), ring);
                    }
                    None => self.give_up(split.iter().filter(|shard| shard.db == db)),
                }
            }
            parts.sort_unstable_by(|a, b| a.path.cmp(&b.path));
            self.save(writer, parts, latest, Some(round))?;
        }
        self.give_up(self.findings.take_split().iter());
        let shown = |ring: Vec<Range>| ring.iter().map(ToString::to_string).collect();
        Ok(rings.into_iter().map(|(db, ring)| (db, shown(ring))).collect())
    }

    /// A ring of the saved ranges of a database and the ranges that its maps now name, and the part of it that is still to be
    /// saved.
    fn parts(
        &self,
        db: &str,
        suffix: &str,
        saved: &[Range],
        gone: impl Fn(&Range) -> bool,
    ) -> Result<Option<(Vec<Range>, Vec<PlannedShard>)>> {
        let mut named: BTreeMap<Range, Box<[u16]>> = BTreeMap::new();
        let mut partitioned = false;
        for map in drift::maps_of(self.folders, db)?.into_iter().filter(|map| map.suffix == suffix) {
            partitioned |= map.is_partitioned();
            for (range, nodes) in map.by_range.iter().filter(|(range, _)| !gone(range)) {
                let holders = Plan::holders(self.folders, nodes);
                if !holders.is_empty() {
                    named.insert(*range, holders);
                }
            }
        }
        // As much as possible of what is in the archive already.
        let weight = |range: Range| {
            if saved.contains(&range) { u64::from(range.end - range.begin) + 1 } else { 0 }
        };
        let Some(ring) = ring::heaviest(named.keys().chain(saved).copied(), weight) else { return Ok(None) };
        let wanted = ring
            .iter()
            .filter(|range| !saved.contains(range))
            .filter_map(|range| {
                let shard = ShardName { range: *range, db: db.to_owned(), suffix: suffix.to_owned() };
                Some(PlannedShard {
                    path: shard.path(),
                    folders: named.get(range)?.clone(),
                    partitioned,
                    stat: None,
                })
            })
            .collect();
        Ok(Some((ring, wanted)))
    }

    fn give_up<'n>(&self, shards: impl Iterator<Item = &'n ShardName>) {
        for shard in shards {
            let why =
                "it was split while the backup ran, and its parts could not be found on the given nodes";
            self.findings.problem(shard.path(), why.to_owned());
        }
    }
}
