//! Decides which nodes get the copies of all planned databases, and tells what each node gets.

use std::collections::HashSet;

use couchfile::data_dir::Range;
use couchfile::shard_map::ShardMap;
use serde::Serialize;

use super::{OfDatabase, OfShard, Plan, SLACK};
use crate::RestoreChoices;
use crate::placement::spread::{Holders, Spread, fits, round_robin};

/// What a node gets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NodeShare {
    /// Its name.
    pub node: String,
    /// Its zone, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Databases of which it gets copies.
    pub databases: u64,
    /// Copies of ranges that it gets.
    pub shards: u64,
    /// Bytes that it needs, with what files need beyond their length.
    pub bytes: u64,
}

/// What placing did with the databases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Databases that stay on the nodes that they have in the archive.
    pub(crate) kept: u64,
    /// Databases that get another number of copies than they have in the archive.
    pub(crate) other_copies: u64,
}

/// Chooses the nodes of all databases, the largest ones first. What is left out gets none. `known` are the nodes that the shard maps
/// of the archive name.
///
/// A database stays on its nodes if these are among `nodes`, and hold just the copies that are demanded. That does not apply if
/// there is a node that may hold copies of the database and that no shard map of the archive names: it is to get its share.
pub(super) fn place(
    databases: &mut [OfDatabase],
    known: &HashSet<String>,
    nodes: &[String],
    choices: &RestoreChoices,
) -> Placed {
    let placement = &choices.placement;
    let mut placed = Placed::default();
    let mut spread = Spread::over(nodes.len());
    let is_known: Vec<bool> = nodes.iter().map(|node| known.contains(node)).collect();
    let mut anew = Vec::new();
    for (i, database) in databases.iter_mut().enumerate() {
        if !database.is_written() {
            continue;
        }
        let sizes = database.sizes();
        if placement.is_round_robin() {
            let copies = choices.copies.unwrap_or(database.copies);
            database.put(round_robin(sizes.len(), copies, nodes.len(), first(database, nodes)));
            continue;
        }
        let groups = placement.groups(&database.db, database.copies, choices.copies, nodes);
        let copies: usize = groups.iter().map(|group| group.copies).sum();
        placed.other_copies += u64::from(copies != database.copies);
        let knows_all = groups.iter().flat_map(|group| &group.nodes).all(|&node| is_known[usize::from(node)]);
        match database.holders.take().filter(|holders| fits(holders, &groups)) {
            Some(holders) if placement.keeps() && knows_all => {
                spread.note(&holders, &sizes);
                database.put(holders);
                placed.kept += 1;
            }
            // What an archive says of sizes may be anything.
            _ => anew.push((sizes.iter().map(|&size| u128::from(size)).sum::<u128>() * copies as u128, i)),
        }
    }
    anew.sort_unstable_by(|(one, i), (other, j)| other.cmp(one).then_with(|| i.cmp(j)));
    for (_, i) in anew {
        let database = &mut databases[i];
        let groups = placement.groups(&database.db, database.copies, choices.copies, nodes);
        let holders = spread.place(&database.sizes(), &groups, first(database, nodes));
        database.put(holders);
    }
    placed
}

/// The node that a database begins at: another one for each name, so that small databases do not all begin at the same.
fn first(database: &OfDatabase, nodes: &[String]) -> usize {
    crc32fast::hash(database.name.as_bytes()) as usize % nodes.len().max(1)
}

/// The holders of each range of an archived map as numbers of these nodes; `None` if there are others.
pub(super) fn holders(map: &ShardMap, number: impl Fn(&str) -> Option<u16>) -> Option<Holders> {
    map.by_range.values().map(|holders| holders.iter().map(|node| number(node)).collect()).collect()
}

impl OfDatabase {
    /// Whether it is restored.
    pub(super) fn is_written(&self) -> bool {
        !self.skip && self.problems.is_empty()
    }

    /// Bytes that a copy of each range takes.
    fn sizes(&self) -> Vec<u64> {
        if let Some(reshaped) = &self.reshaped {
            let size = |(range, _): &(Range, _)| reshaped.share(*range).saturating_add(SLACK);
            return reshaped.targets.iter().map(size).collect();
        }
        let size = |shard: &OfShard| shard.size.saturating_add(shard.files() * SLACK);
        self.shards.iter().map(size).collect()
    }

    /// Gives each range its nodes.
    fn put(&mut self, holders: Holders) {
        match &mut self.reshaped {
            Some(reshaped) => {
                for ((_, targets), holders) in reshaped.targets.iter_mut().zip(holders) {
                    *targets = holders;
                }
            }
            None => {
                for (shard, holders) in self.shards.iter_mut().zip(holders) {
                    shard.targets = holders;
                }
            }
        }
    }
}

impl Plan {
    /// Notes that a node gets copies of a database.
    pub(super) fn note_share(&mut self, targets: impl Iterator<Item = u16>) {
        let mut seen = HashSet::new();
        for target in targets {
            let share = &mut self.shares[usize::from(target)];
            share.0 += u64::from(seen.insert(target));
            share.1 += 1;
        }
    }

    /// What each of the nodes gets.
    pub(crate) fn shares(&self, nodes: &[String], choices: &RestoreChoices) -> Vec<NodeShare> {
        let share = |(i, node): (usize, &String)| {
            let (databases, shards) = self.shares.get(i).copied().unwrap_or_default();
            NodeShare {
                node: node.clone(),
                zone: choices.placement.zone_of(node).map(str::to_owned),
                databases,
                shards,
                bytes: self.bytes.get(i).copied().unwrap_or_default(),
            }
        };
        nodes.iter().enumerate().map(share).collect()
    }

    /// The map of a database, which has the ranges in use, on the new nodes; `None` if the plan has no place for a range.
    pub(crate) fn placed(&self, mut map: ShardMap, nodes: &[String]) -> Option<ShardMap> {
        let named = |targets: &[u16]| -> Option<Vec<String>> {
            targets.iter().map(|&target| nodes.get(usize::from(target)).cloned()).collect()
        };
        if let Ok(i) = self.reshaped.binary_search_by(|reshaped| reshaped.db.as_str().cmp(&map.db)) {
            let targets = &self.reshaped[i].targets;
            let range = |(range, targets): &(Range, Box<[u16]>)| Some((*range, named(targets)?));
            map.by_range = targets.iter().map(range).collect::<Option<_>>()?;
            return Some(map);
        }
        let paths: Vec<String> = map.shards().map(|shard| shard.path()).collect();
        for (path, holders) in paths.iter().zip(map.by_range.values_mut()) {
            *holders = named(self.shards.get(path.as_str())?)?;
        }
        Some(map)
    }
}
