//! Findings about shard maps.

use std::collections::{BTreeMap, BTreeSet};

use couchfile::ring;
use couchfile::shard_map::ShardMap;

use super::finding::{Finding, FindingKind};
use super::verdict::{Area, Notebook};
use crate::folder::{MISSING_MAPS, NodeFolder};
use crate::known::Disputed;

/// Notes nodes whose shard maps cannot be read.
pub(super) fn readable(folders: &[NodeFolder], notes: &Notebook<'_>) {
    for folder in folders {
        let Some(problem) = folder.maps_problem() else { continue };
        let kind = if problem == MISSING_MAPS { FindingKind::MapsMissing } else { FindingKind::MapsDamaged };
        notes.note(
            Area::Maps,
            Finding::new(kind, problem).on(folder.node_display_name()).file(couchfile::data_dir::SHARD_MAPS),
        );
    }
}

/// Notes databases for which the nodes have different maps, or several.
pub(super) fn disputed(folders: &[NodeFolder], disputed: &BTreeMap<String, Disputed>, notes: &Notebook<'_>) {
    let nodes = |numbers: &[usize]| -> String {
        let names =
            numbers.iter().filter_map(|&number| folders.get(number)).map(NodeFolder::node_display_name);
        names.collect::<Vec<_>>().join(", ")
    };
    for (db, disputed) in disputed {
        if disputed.live > 1 {
            let suffix = disputed.winner.as_ref().map_or("", |winner| winner.map.suffix.as_str());
            let losing: BTreeSet<&str> = disputed.losing.iter().map(|map| map.suffix.as_str()).collect();
            let losing: Vec<&str> = losing.into_iter().collect();
            let found = if losing.is_empty() {
                format!(
                    "{} shard maps in conflict, which name the same files (suffix {suffix}) on different nodes",
                    disputed.live
                )
            } else {
                format!(
                    "{} shard maps in conflict: CouchDB uses the files with the suffix {suffix}, not those with {}",
                    disputed.live,
                    losing.join(", ")
                )
            };
            notes.note(Area::Maps, Finding::new(FindingKind::MapConflict, found).of(db));
        }
        if !disputed.lacks.is_empty() {
            let (knows, lacks) = (nodes(&disputed.knows), nodes(&disputed.lacks));
            let found = if disputed.winner.is_some() {
                format!("the shard map on {knows} is missing there, or an older one is there")
            } else {
                format!("the database was deleted on {knows}; its shard map is still there")
            };
            notes.note(Area::Maps, Finding::new(FindingKind::MapsDiffer, found).of(db).on(lacks));
        }
    }
}

/// Checks maps one by one.
pub(super) struct Checked<'c> {
    given: BTreeSet<&'c str>,
    members: &'c BTreeSet<String>,
    notes: &'c Notebook<'c>,
    /// Nodes that maps name and that are no members: ranges, and the first database.
    unknown: BTreeMap<String, (u64, String)>,
    /// Nodes that maps name and that are not given: ranges.
    absent: BTreeMap<String, u64>,
}

impl<'c> Checked<'c> {
    pub(super) fn new(
        folders: &'c [NodeFolder],
        members: &'c BTreeSet<String>,
        notes: &'c Notebook<'c>,
    ) -> Self {
        let given = folders.iter().filter_map(|folder| folder.name.as_deref()).collect();
        Self { given, members, notes, unknown: BTreeMap::new(), absent: BTreeMap::new() }
    }

    /// Checks the map of a database.
    pub(super) fn check(&mut self, map: &ShardMap) {
        let is_closed = ring::is_closed(map.by_range.keys());
        if !is_closed && !map.covers_everything() {
            let ranges: Vec<String> = map.by_range.keys().map(ToString::to_string).collect();
            let found = format!("the shard map names only these ranges: {}", ranges.join(", "));
            self.notes.note(Area::Maps, Finding::new(FindingKind::MapGap, found).of(&map.db));
        } else if !is_closed {
            let found = format!("the shard map names {} ranges that overlap", map.by_range.len());
            self.notes.note(Area::Maps, Finding::new(FindingKind::Splitting, found).of(&map.db));
        } else {
            self.check_copies(map);
        }
        for node in map.by_range.values().flatten() {
            if self.given.contains(node.as_str()) {
                continue;
            }
            if self.members.is_empty() || self.members.contains(node) {
                *self.absent.entry(node.clone()).or_default() += 1;
            } else {
                self.unknown.entry(node.clone()).or_insert_with(|| (0, map.db.clone())).0 += 1;
            }
        }
    }

    fn check_copies(&self, map: &ShardMap) {
        let most = map.by_range.values().map(Vec::len).max().unwrap_or(0);
        for (range, nodes) in map.by_range.iter().filter(|(_, nodes)| nodes.len() < most) {
            let found =
                format!("the shard map names {} of this range, and {most} of others", copies(nodes.len()));
            let finding = Finding::new(FindingKind::TooFewCopies, found).of(&map.db).in_range(range);
            self.notes.note(Area::Maps, finding);
        }
    }

    /// Notes the nodes that maps name and that were not examined.
    pub(super) fn finish(self) {
        let Self { given, members, notes, unknown, mut absent } = self;
        for (node, (ranges, db)) in unknown {
            let found = format!(
                "shard maps assign {} to this node, which is not a member of the cluster; the first one is of {db}",
                copies(ranges as usize)
            );
            notes.note(Area::Maps, Finding::new(FindingKind::UnknownNode, found).on(node));
        }
        for member in members.iter().filter(|member| !given.contains(member.as_str())) {
            absent.entry(member.clone()).or_default();
        }
        for (node, ranges) in absent {
            let found =
                format!("shard maps assign {} to this node, which is not given", copies(ranges as usize));
            notes.note_at_once(Finding::new(FindingKind::NodeNotGiven, found).on(node));
        }
    }
}

fn copies(n: usize) -> String {
    if n == 1 { "1 copy".to_owned() } else { format!("{n} copies") }
}
