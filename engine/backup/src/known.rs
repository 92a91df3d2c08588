//! Which databases the given nodes know, according to all their shard maps.
//!
//! Nodes may know different databases: one was down, or they do not see each other. The result is the one that CouchDB reaches
//! when the nodes see each other again: revisions are merged, a leaf that another node has replaced or deleted is ignored, and of
//! several leaves the greatest wins.

use std::collections::{BTreeMap, BTreeSet};

use contents::{convert_in_order, unusable};
use couchfile::btree::{Key, TreeKind};
use couchfile::compare::{Pair, in_step};
use couchfile::database::Database;
use couchfile::document::DocInfo;
use couchfile::read_at::ReadAt;
use couchfile::revtree::Stored;
use couchfile::shard_map::ShardMap;
use couchfile::term::Decoder;
use outcome::Result;
use outcome::report::{Notice, Reporter, Severity};

use crate::folder::{MapsBytes, NodeFolder};

/// The most databases that a notice names.
const NAMED: usize = 10;

/// A database for which the nodes have different shard maps.
#[derive(Debug, Default)]
pub(super) struct Disputed {
    /// The winning map; `None` if the database is deleted.
    pub(super) winner: Option<Winner>,
    /// Maps that lose against it.
    pub(super) losing: Vec<ShardMap>,
    /// Number of live maps, when the nodes' versions are merged.
    pub(super) live: usize,
    /// Data directories whose nodes have the winning map.
    pub(super) knows: Vec<usize>,
    /// Data directories whose nodes have another live map, or none.
    pub(super) lacks: Vec<usize>,
}

/// The winning map.
#[derive(Debug)]
pub(super) struct Winner {
    /// Number of the data directory that it is from.
    pub(super) folder: usize,
    /// Generation and id of its revision.
    pub(super) revision: (u64, Vec<u8>),
    /// Its body: an object as an Erlang term, without the version byte.
    pub(super) body: Vec<u8>,
    /// The parsed map.
    pub(super) map: ShardMap,
}

/// Finds the databases for which the nodes have different maps, or that have several live maps, by their names.
///
/// `readable` are the numbers of data directories with readable maps, the default one first.
pub(super) fn disputed(
    folders: &[NodeFolder],
    readable: &[usize],
    threads: usize,
) -> Result<BTreeMap<String, Disputed>> {
    let maps: Vec<(usize, &Database<MapsBytes>)> = readable
        .iter()
        .filter_map(|&number| Some((number, folders.get(number)?.maps.as_ref().ok()?)))
        .collect();
    let Some(((_, base), others)) = maps.split_first() else { return Ok(BTreeMap::new()) };
    let failed = |number: usize, e| unusable(folders[number].file_display_name("_dbs.couch"), e);
    let mut ids: BTreeSet<Vec<u8>> = BTreeSet::new();
    let several = |doc: &DocInfo<'_>| Ok((live_leaves(doc).len() > 1).then(|| doc.id.to_vec()));
    convert_in_order(base, threads, "the shard maps (_dbs.couch)", several, |id| {
        ids.insert(id);
        Ok(())
    })?;
    for (number, other) in others {
        in_step(*base, *other, TreeKind::Id, |pair| {
            let (entry, is_same) = match pair {
                Pair::Both(one, other) => {
                    let (one_doc, other_doc) = (DocInfo::from_id_tree(one), DocInfo::from_id_tree(other));
                    let same = match (&one_doc, &other_doc) {
                        (Ok(one), Ok(other)) => live_leaves(one) == live_leaves(other),
                        _ => false,
                    };
                    (one, same)
                }
                Pair::One(entry) | Pair::Other(entry) => {
                    (entry, DocInfo::from_id_tree(entry).is_ok_and(|doc| doc.deleted))
                }
            };
            if let (false, Key::Bytes(id)) = (is_same, &entry.key) {
                ids.insert(id.to_vec());
            }
            Ok(())
        })
        .map_err(|e| failed(*number, e))?;
    }
    let mut disputed = BTreeMap::new();
    for id in ids {
        // Design documents stand among the maps.
        if id.starts_with(b"_design/") {
            continue;
        }
        let name = String::from_utf8_lossy(&id).into_owned();
        let mut states = Vec::new();
        for (number, database) in &maps {
            states.push((*number, state(database, &id).map_err(|e| failed(*number, e))?));
        }
        let settled = settle(&name, &states);
        // A map that cannot be read is no deleted one.
        let has_leaf = states.iter().any(|(_, state)| state.leaves.values().any(Option::is_none));
        if settled.winner.is_some() || !has_leaf {
            disputed.insert(name, settled);
        }
    }
    Ok(disputed)
}

/// Revisions of a document: generation and id.
type Revision = (u64, Vec<u8>);

/// A node's version of a shard map's document.
#[derive(Debug, Default)]
struct State {
    /// Live leaves with their bodies, if these can be read.
    leaves: BTreeMap<Revision, Option<Vec<u8>>>,
    /// Revisions that were replaced or deleted.
    past: BTreeSet<Revision>,
}

fn live_leaves(doc: &DocInfo<'_>) -> BTreeSet<Revision> {
    let tree = doc.revisions.as_ref().into_iter().flat_map(couchfile::revtree::RevTree::leaves);
    let live = tree.filter(|leaf| leaf.stored.is_none_or(|stored| !stored.deleted));
    live.map(|leaf| (leaf.generation, leaf.id.0.to_vec())).collect()
}

fn state<R: ReadAt>(maps: &Database<R>, id: &[u8]) -> couchfile::error::Result<State> {
    let body =
        |stored: &Stored<'_>| maps.summary(stored).ok().map(|summary| summary.body.as_slice().to_vec());
    let found = maps.document(id, |doc| {
        let mut state = State::default();
        for revision in doc.revisions.as_ref().map_or(&[][..], |tree| tree.revisions()) {
            let key = (revision.generation, revision.id.0.to_vec());
            match &revision.stored {
                Some(stored) if revision.children == 0 && !stored.deleted => {
                    state.leaves.insert(key, body(stored));
                }
                _ => {
                    state.past.insert(key);
                }
            }
        }
        Ok(state)
    })?;
    Ok(found.unwrap_or_default())
}

/// Merges the nodes' versions as CouchDB would.
fn settle(name: &str, states: &[(usize, State)]) -> Disputed {
    let is_past = |revision: &Revision| states.iter().any(|(_, state)| state.past.contains(revision));
    let mut live: BTreeMap<&Revision, Winner> = BTreeMap::new();
    for (number, state) in states {
        for (revision, body) in state.leaves.iter().filter(|(revision, _)| !is_past(revision)) {
            let Some(body) = body else { continue };
            let Ok(map) = ShardMap::decode(name, &mut Decoder::new(body)) else { continue };
            live.entry(revision).or_insert_with(|| Winner {
                folder: *number,
                revision: revision.clone(),
                body: body.clone(),
                map,
            });
        }
    }
    let count = live.len();
    let winner = live.pop_last();
    let (knows, lacks): (Vec<_>, Vec<_>) = states.iter().partition(|(_, state)| match &winner {
        Some((revision, _)) => state.leaves.contains_key(*revision),
        None => state.leaves.is_empty(),
    });
    let numbers = |states: Vec<&(usize, State)>| states.into_iter().map(|(number, _)| *number).collect();
    let (knows, lacks) = (numbers(knows), numbers(lacks));
    let winner = winner.map(|(_, winner)| winner);
    let suffix = winner.as_ref().map(|winner| winner.map.suffix.clone());
    let losing = live.into_values().map(|loser| loser.map).filter(|map| Some(&map.suffix) != suffix.as_ref());
    Disputed { losing: losing.collect(), live: count, winner, knows, lacks }
}

/// Reports the nodes that know different databases, by name.
pub(super) fn report(disputed: &BTreeMap<String, Disputed>, folders: &[NodeFolder], reporter: &dyn Reporter) {
    let nodes = |numbers: &[usize]| -> String {
        let shown =
            numbers.iter().filter_map(|&number| folders.get(number)).map(NodeFolder::node_display_name);
        shown.collect::<Vec<_>>().join(", ")
    };
    let mut by_nodes: BTreeMap<(bool, String, String), Vec<&str>> = BTreeMap::new();
    for (name, disputed) in disputed.iter().filter(|(_, disputed)| !disputed.lacks.is_empty()) {
        let key = (disputed.winner.is_some(), nodes(&disputed.knows), nodes(&disputed.lacks));
        by_nodes.entry(key).or_default().push(name);
    }
    for ((exists, knows, lacks), names) in by_nodes {
        let named = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
        let more = if names.len() > NAMED { ", …" } else { "" };
        let count = names.len();
        let text = if exists {
            format!(
                "the nodes do not know the same databases: the shard maps of {count} are saved as on {knows}; {lacks} has \
                 no such map, or an older one: {named}{more}. Are the nodes connected (GET /_membership)?"
            )
        } else {
            format!(
                "the nodes do not know the same databases: {count} were deleted on {knows} and are not saved; {lacks} \
                 still has their shard maps: {named}{more}"
            )
        };
        reporter.notice(&Notice { severity: Severity::Warning, text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(suffix: &str) -> Vec<u8> {
        ShardMap::new("a", suffix, 1, 1, &["n@h".into()]).encode()
    }

    fn at(generation: u64, id: u8) -> Revision {
        (generation, vec![id; 16])
    }

    fn with(leaves: &[(Revision, &str)], past: &[Revision]) -> State {
        State {
            leaves: leaves.iter().map(|(revision, suffix)| (revision.clone(), Some(body(suffix)))).collect(),
            past: past.iter().cloned().collect(),
        }
    }

    fn suffix(settled: &Disputed) -> Option<&str> {
        settled.winner.as_ref().map(|winner| winner.map.suffix.as_str())
    }

    #[test]
    fn what_one_node_deleted_is_deleted() {
        let states = [(0, with(&[(at(1, 1), ".1")], &[])), (1, with(&[], &[at(1, 1), at(2, 9)]))];
        assert_eq!(suffix(&settle("a", &states)), None);
    }

    #[test]
    fn what_only_one_node_knows_is_there() {
        let states = [(0, State::default()), (1, with(&[(at(1, 1), ".1")], &[]))];
        let settled = settle("a", &states);
        assert_eq!(
            (suffix(&settled), &settled.knows[..], &settled.lacks[..]),
            (Some(".1"), &[1][..], &[0][..])
        );
    }

    #[test]
    fn of_two_maps_the_greater_revision_wins_and_the_other_one_loses() {
        let states = [(0, with(&[(at(1, 1), ".1"), (at(1, 2), ".2")], &[]))];
        let settled = settle("a", &states);
        assert_eq!(suffix(&settled), Some(".2"));
        assert_eq!(settled.losing.iter().map(|map| map.suffix.as_str()).collect::<Vec<_>>(), [".1"]);
        // Two nodes that made the same database without seeing each other.
        let states = [(0, with(&[(at(1, 1), ".1")], &[])), (1, with(&[(at(1, 2), ".2")], &[]))];
        let settled = settle("a", &states);
        assert_eq!((suffix(&settled), settled.losing.len()), (Some(".2"), 1));
    }

    #[test]
    fn a_newer_placement_of_the_same_database_is_no_loss() {
        let states = [(0, with(&[(at(1, 1), ".1")], &[])), (1, with(&[(at(2, 7), ".1")], &[at(1, 1)]))];
        let settled = settle("a", &states);
        assert_eq!((suffix(&settled), settled.losing.len(), &settled.knows[..]), (Some(".1"), 0, &[1][..]));
    }
}
