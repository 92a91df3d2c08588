//! Compares the files below `shards` on the nodes with all their shard maps: files that no map names may be the last copies of
//! databases.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Duration;

use cluster::on_each;
use couchfile::data_dir::split_suffix;
use node::Node;
use outcome::{Failure, Result};

use super::{Learned, Proofs};
use crate::folders::suffix::TakenSuffixes;

/// What a restore finds below `shards` of a node. Paths are relative to the data directory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holdings {
    /// Suffixes of databases, including deleted databases whose files still exist.
    pub(crate) suffixes: TakenSuffixes,
    /// Names of the databases in the node's shard maps, with their suffixes.
    pub(crate) databases: HashSet<Box<str>>,
    /// Files of deleted databases that CouchDB has kept.
    pub(crate) soft_deleted: Vec<String>,
    /// All other files that belong to no database of any node.
    pub(crate) orphans: Vec<String>,
}

/// Pause before a second check: a database that is just being created or deleted has a file but no map for a moment.
const SETTLING: Duration = Duration::from_secs(2);
/// The most names in a message.
const TOLD: usize = 5;

/// Inspects the files and shard maps of all nodes.
pub(super) fn look(nodes: &[Node]) -> Result<Vec<Holdings>> {
    let mut found = look_once(nodes)?;
    if found.iter().any(|of_node| !of_node.orphans.is_empty()) {
        std::thread::sleep(SETTLING);
        let again = look_once(nodes)?;
        for (of_node, again) in found.iter_mut().zip(again) {
            let still: HashSet<String> = again.orphans.into_iter().collect();
            of_node.orphans.retain(|path| still.contains(path));
        }
    }
    Ok(found)
}

fn look_once(nodes: &[Node]) -> Result<Vec<Holdings>> {
    // What one node's maps do not name another one's may: a copy that has been moved is left behind, say.
    let maps = on_each(nodes, |_, node| {
        let (mut known, mut holdings) = (HashSet::new(), Holdings::default());
        node.http.for_each_shard_map(|map| {
            holdings.suffixes.note(&map.suffix);
            holdings.databases.insert(format!("{}{}", map.name, map.suffix).into());
            let shard = |range: String| format!("{range}/{}{}", map.name, map.suffix).into_boxed_str();
            known.extend(map.ranges.into_iter().map(shard));
        })?;
        Ok((known, holdings))
    });
    let (mut known, mut all) = (HashSet::<Box<str>>::new(), Vec::with_capacity(nodes.len()));
    for of_node in maps {
        let (of_node, holdings) = of_node?;
        known.extend(of_node);
        all.push(holdings);
    }
    let found = on_each(nodes, |_, node| Ok(node.files.paths(&node.data.join("shards"))?));
    for (holdings, paths) in all.iter_mut().zip(found) {
        holdings.sort(paths?, &known);
    }
    Ok(all)
}

/// Whether a path below `shards` is a file that CouchDB has kept of a deleted database:
/// `RANGE/NAME.SUFFIX.YYYYMMDD.HHMMSS.deleted.couch`.
///
/// Source: `couch_file.erl`, `deleted_filename/1`.
pub(crate) fn is_soft_deleted(path: &str) -> bool {
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    path.strip_suffix(".deleted.couch").is_some_and(|rest| {
        let mut parts = rest.rsplitn(3, '.');
        let (time, date, name) = (parts.next(), parts.next(), parts.next());
        time.is_some_and(|time| digits(time, 6))
            && date.is_some_and(|date| digits(date, 8))
            && name.is_some_and(|name| !name.is_empty())
    })
}

impl Holdings {
    /// Sorts the files below `shards`; `known` are the shards that maps name, without `.couch`.
    pub(crate) fn sort(&mut self, paths: Vec<String>, known: &HashSet<Box<str>>) {
        let mut incomplete = Vec::new();
        for path in paths {
            let (base, rest) = path.rfind(".couch").map_or((path.as_str(), ""), |at| path.split_at(at));
            if known.contains(base) {
                continue;
            }
            if is_soft_deleted(&path) {
                let name = path.trim_end_matches(".deleted.couch");
                self.suffixes.note(split_suffix(&name[..name.len().saturating_sub(16)]).1);
                self.soft_deleted.push(format!("shards/{path}"));
            } else if rest.starts_with(".couch.compact") {
                incomplete.push(path);
            } else {
                self.suffixes.note(split_suffix(base).1);
                self.orphans.push(format!("shards/{path}"));
            }
        }
        // What a compaction has left goes with its file; where that is missing, it may be all that is left.
        let files: HashSet<String> = self.orphans.iter().cloned().collect();
        self.orphans.extend(incomplete.into_iter().map(|path| format!("shards/{path}")).filter(|path| {
            let file = path.rfind(".couch").map_or("", |at| &path[..at + ".couch".len()]);
            !files.contains(file)
        }));
        self.soft_deleted.sort_unstable();
        self.orphans.sort_unstable();
    }
}

/// The first of these names.
pub(crate) fn some_of(paths: &[String]) -> String {
    let mut text = paths.iter().take(TOLD).cloned().collect::<Vec<_>>().join(", ");
    if paths.len() > TOLD {
        let _ = write!(text, " and {} more", paths.len() - TOLD);
    }
    text
}

/// Inspects the files, and reports what a restore keeps and what it would remove.
pub(super) fn prove(nodes: &[Node], learned: &mut [Learned], remove_orphans: bool, proofs: &mut Proofs) {
    // Where a node cannot be asked, that has been said.
    if learned.iter().any(|learned| learned.membership.is_none() || learned.free.is_none()) {
        return;
    }
    let found = match look(nodes) {
        Ok(found) => found,
        Err(error) => return proofs.failed_on(nodes, &error),
    };
    for ((node, learned), holdings) in nodes.iter().zip(learned).zip(found) {
        if !holdings.soft_deleted.is_empty() {
            let found = format!(
                "{} files of deleted databases stay in place: {}",
                holdings.soft_deleted.len(),
                some_of(&holdings.soft_deleted)
            );
            proofs.fine(node, "deleted databases", found);
        }
        if !holdings.orphans.is_empty() {
            let mut found = format!(
                "{} files below shards belong to no database: {}; a restore removes them with the old data",
                holdings.orphans.len(),
                some_of(&holdings.orphans)
            );
            if holdings.databases.is_empty() {
                found.push_str(". The node's shard maps (_dbs.couch) name no database at all");
            }
            let remedy = format!(
                "They may be the last copies of databases. Move them out of {} if they may be needed, or give --remove-orphans \
                 to let the restore remove them.",
                node.data.join("shards").display()
            );
            if remove_orphans {
                proofs.warning(node, "orphans", found, remedy);
            } else {
                proofs.problem(node, "orphans", found, remedy);
            }
        }
        learned.holdings = holdings;
    }
}

impl Proofs {
    fn failed_on(&mut self, nodes: &[Node], error: &Failure) {
        if let Some(node) = nodes.first() {
            let remedy = error.remedy().unwrap_or_default();
            self.problem(node, "shards", error.to_string(), remedy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_deleted_files_are_recognised() {
        let range = "00000000-ffffffff";
        for (path, wanted) in [
            ("a.1795355234.20261128.181500.deleted.couch", true),
            ("team/a.1795355234.20261128.181500.deleted.couch", true),
            ("old.20261128.181500.deleted.couch", true),
            ("a.1795355234.couch", false),
            ("a.1795355234.deleted.couch", false),
            ("a.1795355234.20261128.1815.deleted.couch", false),
            ("a.1795355234.20261128.181500.deleted.couch.compact.data", false),
        ] {
            assert_eq!(is_soft_deleted(&format!("{range}/{path}")), wanted, "{path}");
        }
    }

    #[test]
    fn files_are_held_against_the_maps() {
        let range = "00000000-ffffffff";
        let known: HashSet<Box<str>> =
            [format!("{range}/a.1795355234").into(), format!("{range}/old").into()].into();
        let paths = [
            "a.1795355234.couch",
            "a.1795355234.couch.compact.data",
            "old.couch.compact",
            "b.1795355235.couch",
            "b.1795355235.couch.compact.meta",
            "c.1795355236.couch.compact.data",
            "d.1795355237.20261128.181500.deleted.couch",
            "notes.txt",
        ];
        let mut holdings = Holdings::default();
        holdings.sort(paths.iter().map(|path| format!("{range}/{path}")).collect(), &known);
        let below = |path: &str| format!("shards/{range}/{path}");
        assert_eq!(holdings.soft_deleted, [below("d.1795355237.20261128.181500.deleted.couch")]);
        assert_eq!(
            holdings.orphans,
            [below("b.1795355235.couch"), below("c.1795355236.couch.compact.data"), below("notes.txt")]
        );
        assert_eq!(holdings.suffixes.next(1_795_355_000), ".1795355238");
    }
}
