//! The plan of one node's copies. Where they are, the running nodes of its cluster know; the archive has the contents.

use std::collections::{BTreeMap, HashSet};

use contents::{Contents, FileProblem, MapDocument};
use couchfile::data_dir::{Range, ShardName};
use outcome::{Result, parallel};

use super::{Plan, SLACK, misread};

/// What a node holds of a database, according to the running nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    /// What follows the database's name in file names.
    pub(crate) suffix: String,
    /// The ranges of which the node holds a copy.
    pub(crate) ranges: Vec<Range>,
    /// Whether documents are placed by partition.
    pub(crate) partitioned: bool,
    /// Ranges that no other node holds.
    pub(crate) only_here: Vec<Range>,
}

/// A shard that the archive does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blank {
    pub(crate) shard: ShardName,
    pub(crate) partitioned: bool,
    /// Whether no other node holds a copy.
    pub(crate) only_here: bool,
}

impl Plan {
    /// Plans the copies of one node, and those that the archive lacks. Nothing is left out: what is damaged in the archive comes
    /// from the other nodes, too.
    pub(crate) fn of_one_node(
        contents: &Contents,
        held: &BTreeMap<String, Held>,
        threads: usize,
    ) -> Result<(Self, Vec<Blank>)> {
        let mut plan = Self { bytes: vec![0], ..Self::default() };
        let mut blanks = Vec::new();
        let mut archived: HashSet<String> = HashSet::new();
        let convert = |document: MapDocument| {
            let held = held.get(&document.id).filter(|held| !held.ranges.is_empty())?;
            Some((document.id, document.map.ok()?.suffix, held))
        };
        contents.maps.convert(parallel::threads(threads), convert, |found| {
            let Some((db, suffix, held)) = found else { return Ok(()) };
            plan.databases += 1;
            for &range in &held.ranges {
                let shard = ShardName { range, db: db.clone(), suffix: suffix.clone() };
                if !plan.take(contents, &shard) {
                    blanks.push(held.blank(&db, range));
                }
            }
            if held.partitioned {
                plan.partitioned.insert(db.as_str().into());
            }
            if suffix != held.suffix {
                plan.suffix_of.insert(db.as_str().into(), held.suffix.clone());
            }
            archived.insert(db);
            Ok(())
        })?;
        for (db, held) in held.iter().filter(|(db, _)| !archived.contains(*db)) {
            blanks.extend(held.ranges.iter().map(|range| held.blank(db, *range)));
            plan.databases += u64::from(!held.ranges.is_empty());
        }
        for db in held.keys() {
            // Other nodes are being written to: how many documents there are is not known.
            plan.promised.add(db, 0);
        }
        plan.bytes[0] += blanks.len() as u64 * SLACK;
        Ok((plan, blanks))
    }

    /// Plans one shard with its view indexes; `false` if the archive does not have it, or only damaged.
    fn take(&mut self, contents: &Contents, shard: &ShardName) -> bool {
        let path = shard.path();
        let Some(facts) = contents.shards.get(path.as_str()) else { return false };
        if let Some(damage) = &facts.damage {
            self.left_out.push(FileProblem { path, problem: format!("{damage}; the other nodes have it") });
            return false;
        }
        let mut size = facts.size;
        let mut views = HashSet::new();
        for view in contents.views.get(path.as_str()).into_iter().flatten() {
            match view.unfit_for(facts) {
                None => {
                    size += view.size;
                    views.insert(view.signature.clone());
                }
                Some(problem) => {
                    self.views_left_out
                        .push(FileProblem { path: format!("{path} {}", view.signature), problem });
                }
            }
        }
        self.bytes[0] += size + (1 + views.len() as u64) * SLACK;
        self.content_bytes += size;
        if let Some(name) = misread(&path, shard) {
            self.misread.insert(path.as_str().into(), name);
        }
        let path: Box<str> = path.into();
        if !views.is_empty() {
            self.views.insert(path.clone(), views);
        }
        self.shards.insert(path, [0].into());
        true
    }
}

impl Held {
    fn blank(&self, db: &str, range: Range) -> Blank {
        Blank {
            shard: ShardName { range, db: db.to_owned(), suffix: self.suffix.clone() },
            partitioned: self.partitioned,
            only_here: self.only_here.contains(&range),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use outcome::report::Silent;

    use super::*;

    #[test]
    fn documents_of_a_partitioned_database_are_looked_for_by_partition() {
        let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/couchcopy-0.2.4.tar.gz");
        let contents = Contents::open(&archive.as_path().into(), 1, &Silent).unwrap();
        let mut held = BTreeMap::new();
        contents
            .maps
            .convert(
                1,
                |document| Some((document.id, document.map.ok()?)),
                |found| {
                    let Some((db, map)) = found else { return Ok(()) };
                    let ranges = map.by_range.keys().copied().collect();
                    let partitioned = map.is_partitioned();
                    held.insert(db, Held { suffix: map.suffix, ranges, partitioned, only_here: Vec::new() });
                    Ok(())
                },
            )
            .unwrap();
        let (plan, blanks) = Plan::of_one_node(&contents, &held, 1).unwrap();
        assert_eq!(blanks, []);
        assert_eq!(plan.partitioned, HashSet::from(["parts".into()]));
    }
}
