//! Which files are saved, and from which node.

mod views;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::OnceLock;

use archive::FileStat;
use contents::{Choice, FileProblem, LeftOut, LeftOutKind, NameMatcher, NamePatterns, convert_in_order};
use couchfile::data_dir::{Range, ShardName};
use couchfile::database::Database;
use couchfile::document::DocInfo;
use couchfile::read_at::ReadAt;
use couchfile::ring;
use couchfile::shard_map::ShardMap;
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Result, parallel};

pub(super) use views::{FoundViews, collect_views};

use crate::folder::{MapsBytes, NodeFolder};
use crate::known::{self, Disputed};
use crate::nowhere::Nowhere;
use crate::security::Securities;
use crate::{copies, maps, remote};

/// The shard maps that the backup uses: those of one node, as they were when they were opened.
#[derive(Clone, Copy)]
pub(super) struct Maps<'f> {
    /// The open file.
    pub(super) database: &'f Database<MapsBytes>,
    /// The data directory that it is from.
    pub(super) folder: &'f NodeFolder,
    /// Number of shard maps in the file.
    pub(super) count: u64,
}

/// A shard to be saved.
#[derive(Debug, Clone)]
pub(super) struct PlannedShard {
    /// Path below the data directory.
    pub(super) path: String,
    /// Numbers of the data directories whose node holds a copy; the first one is read first.
    pub(super) folders: Box<[u16]>,
    /// Whether its database is partitioned.
    pub(super) partitioned: bool,
    /// The stat of the copy that is read first, as it was when the files were listed.
    pub(super) stat: Option<FileStat>,
}

/// A view index to be saved.
#[derive(Debug, Clone)]
pub(super) struct PlannedView {
    /// Path below the data directory.
    pub(super) path: String,
    /// Number of the data directory.
    pub(super) folder: u16,
    /// Its stat when the files were listed, if it is on another machine.
    pub(super) stat: Option<FileStat>,
}

/// The data directories that belong to the nodes in a shard map.
struct Holders<'f> {
    by_name: HashMap<&'f str, u16>,
    /// Data directories whose node name is not known: only a search for the file shows what they hold.
    nameless: Vec<u16>,
}

impl<'f> Holders<'f> {
    fn of(folders: &'f [NodeFolder]) -> Self {
        let numbered = || folders.iter().enumerate().map(|(i, folder)| (i as u16, folder));
        Self {
            by_name: numbered().filter_map(|(i, folder)| Some((folder.name.as_deref()?, i))).collect(),
            nameless: numbered().filter(|(_, folder)| folder.name.is_none()).map(|(i, _)| i).collect(),
        }
    }

    fn of_nodes(&self, nodes: &[String]) -> Box<[u16]> {
        let named = nodes.iter().filter_map(|node| self.by_name.get(node.as_str()));
        named.chain(&self.nameless).copied().collect()
    }
}

/// The files that a backup will save.
pub(super) struct Plan<'f> {
    pub(super) maps: Maps<'f>,
    /// The shards, in the order of their paths.
    pub(super) shards: Vec<PlannedShard>,
    /// Number of databases.
    pub(super) databases: u64,
    /// Shard maps that cannot be read.
    pub(super) problems: Vec<FileProblem>,
    /// Databases for which the nodes have different shard maps.
    pub(super) disputed: BTreeMap<String, Disputed>,
    /// Databases that only some nodes know, and that are on none of the given nodes.
    pub(super) unreachable: BTreeSet<String>,
    /// The ranges in use of databases whose shards are being split.
    pub(super) rings: BTreeMap<String, Vec<Range>>,
    /// Shards that are not saved because other shards hold the same documents.
    pub(super) surplus: u64,
    /// Names of all databases with their suffixes.
    pub(super) known: HashSet<Box<str>>,
    /// Databases that the user has not chosen.
    pub(super) not_chosen: u64,
    /// Names of all databases, chosen or not; empty if all are chosen.
    pub(super) all_names: Vec<String>,
    /// Which databases the user has chosen.
    chosen: NameMatcher,
    /// Maps of databases whose shards are being split, until the ranges in use are known.
    splitting: Vec<ShardMap>,
}

impl<'f> Plan<'f> {
    /// Plans with the shard maps of all nodes: those of the node that is not behind the others and, for databases with different
    /// maps, the result that CouchDB would reach.
    ///
    /// Fails if no data directory has readable shard maps, or if the nodes hold no complete ring of a database's ranges.
    pub(super) fn make(
        folders: &'f [NodeFolder],
        chosen: &NamePatterns,
        threads: usize,
        reporter: &dyn Reporter,
    ) -> Result<Self> {
        let (plan, nowhere) = Self::survey(folders, chosen, threads, reporter)?;
        nowhere.refuse(folders)?;
        known::report(&plan.disputed, folders, reporter);
        Ok(plan)
    }

    /// Plans as [`Self::make`] does; also returns the ranges that are on none of the given nodes.
    ///
    /// Fails if no data directory has readable shard maps.
    pub(super) fn survey(
        folders: &'f [NodeFolder],
        chosen: &NamePatterns,
        threads: usize,
        reporter: &dyn Reporter,
    ) -> Result<(Self, Nowhere)> {
        let mut problems = Vec::new();
        let (maps, readable) = maps::best(folders, &mut problems, reporter)?;
        let mut plan = Self {
            disputed: known::disputed(folders, &readable, threads)?,
            maps,
            shards: Vec::new(),
            databases: 0,
            problems,
            unreachable: BTreeSet::new(),
            rings: BTreeMap::new(),
            surplus: 0,
            known: HashSet::new(),
            not_chosen: 0,
            all_names: Vec::new(),
            chosen: chosen.matcher(),
            splitting: Vec::new(),
        };
        let holders = Holders::of(folders);
        let mut nowhere = Nowhere::default();
        if !chosen.is_everything() {
            plan.all_names.extend(plan.disputed.keys().cloned());
        }
        for_each_map(plan.maps.database, threads, |map| {
            if !chosen.is_everything() {
                let name = map.as_ref().map_or_else(|unreadable| &unreadable.db, |map| &map.db);
                if !plan.disputed.contains_key(name) {
                    plan.all_names.push(name.clone());
                }
            }
            match map {
                Ok(map) if plan.disputed.contains_key(&map.db) => {}
                Ok(map) if !plan.takes(&map.db) => plan.pass_over(&map),
                Ok(map) => plan.add(map, &holders, Some(&mut nowhere)),
                Err(unreadable) if !plan.takes(&unreadable.db) => plan.not_chosen += 1,
                Err(unreadable) => plan.problems.push(unreadable.into()),
            }
            Ok(())
        })?;
        let base = readable.first().copied();
        let not_chosen: Vec<String> = plan.disputed.keys().filter(|db| !plan.takes(db)).cloned().collect();
        for db in not_chosen {
            if let Some(winner) = plan.disputed.remove(&db).and_then(|disputed| disputed.winner) {
                plan.pass_over(&winner.map);
            }
        }
        let winners: Vec<(bool, ShardMap)> = plan
            .disputed
            .values()
            .filter_map(|disputed| disputed.winner.as_ref())
            .map(|winner| (Some(winner.folder) == base, winner.map.clone()))
            .collect();
        for (is_of_base, map) in winners {
            plan.add(map, &holders, is_of_base.then_some(&mut nowhere));
        }
        plan.shards.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok((plan, nowhere))
    }

    /// Whether the user has chosen a database.
    pub(super) fn takes(&self, db: &str) -> bool {
        self.chosen.takes(db)
    }

    /// Notes a database that the user has not chosen.
    fn pass_over(&mut self, map: &ShardMap) {
        self.known.insert(format!("{}{}", map.db, map.suffix).into_boxed_str());
        self.not_chosen += 1;
    }

    /// Plans a database. Without `nowhere`, a database whose ranges are on none of the nodes is left out.
    fn add(&mut self, map: ShardMap, holders: &Holders<'_>, nowhere: Option<&mut Nowhere>) {
        self.known.insert(format!("{}{}", map.db, map.suffix).into_boxed_str());
        let held: Vec<(Range, Box<[u16]>)> = map
            .by_range
            .iter()
            .map(|(range, nodes)| (*range, holders.of_nodes(nodes)))
            .filter(|(_, holders)| !holders.is_empty())
            .collect();
        let all_held = held.len() == map.by_range.len();
        if !all_held && ring::of(held.iter().map(|(range, _)| *range)).is_none() {
            let Some(nowhere) = nowhere else {
                self.unreachable.insert(map.db);
                return;
            };
            let wanted = ring::of(map.by_range.keys().copied());
            let missing = |range: &Range| !held.iter().any(|(held, _)| held == range);
            let is_wanted = |range: &Range| wanted.as_ref().is_none_or(|ring| ring.contains(range));
            for (range, nodes) in &map.by_range {
                if missing(range) && is_wanted(range) {
                    let shard = ShardName { range: *range, db: map.db.clone(), suffix: map.suffix.clone() };
                    nowhere.add(&shard, nodes);
                }
            }
        }
        self.databases += 1;
        let partitioned = map.is_partitioned();
        for (range, folders) in held {
            let shard = ShardName { range, db: map.db.clone(), suffix: map.suffix.clone() };
            self.shards.push(PlannedShard { path: shard.path(), folders, partitioned, stat: None });
        }
        if !all_held || !ring::is_closed(map.by_range.keys()) {
            self.splitting.push(map);
        }
    }

    /// Decides which ranges of databases are saved while shards are being split: CouchDB answers from one ring of ranges, so one
    /// ring is saved.
    fn choose_rings(
        &mut self,
        folders: &[NodeFolder],
        threads: usize,
        reporter: &dyn Reporter,
    ) -> Result<()> {
        let mut surplus: HashSet<String> = HashSet::new();
        for map in std::mem::take(&mut self.splitting) {
            let path = |range| ShardName { range, db: map.db.clone(), suffix: map.suffix.clone() }.path();
            let planned: Vec<(Range, &PlannedShard)> =
                map.by_range.keys().filter_map(|range| Some((*range, self.shard(&path(*range))?))).collect();
            let shards: Vec<&PlannedShard> = planned.iter().map(|(_, shard)| *shard).collect();
            let documents = remote::documents(folders, &shards, threads)?;
            let documents: HashMap<Range, u64> = planned
                .iter()
                .zip(documents)
                .filter_map(|((range, _), documents)| Some((*range, documents?)))
                .collect();
            let Some(ring) = ring::counted(&map, |range| documents.get(&range).copied(), Vec::new) else {
                continue;
            };
            let shown: Vec<String> = ring.iter().map(ToString::to_string).collect();
            let text = format!(
                "the shards of {} are being split: of its {} ranges these are saved, which hold all documents: {}",
                map.db,
                map.by_range.len(),
                shown.join(", ")
            );
            reporter.notice(&Notice { severity: Severity::Info, text });
            surplus
                .extend(map.by_range.keys().filter(|range| !ring.contains(range)).map(|range| path(*range)));
            self.rings.insert(map.db.clone(), ring);
        }
        let before = self.shards.len();
        self.shards.retain(|shard| !surplus.contains(&shard.path));
        self.surplus = (before - self.shards.len()) as u64;
        Ok(())
    }

    /// The planned shard with this path.
    pub(super) fn shard(&self, path: &str) -> Option<&PlannedShard> {
        let found = self.shards.binary_search_by(|shard| shard.path.as_str().cmp(path)).ok()?;
        self.shards.get(found)
    }

    /// Chooses the copy of every shard that is not behind any other, and the ranges of databases whose shards are being split.
    /// Returns the copies that differ.
    pub(super) fn choose(
        &mut self,
        folders: &[NodeFolder],
        threads: usize,
        securities: &Securities,
        reporter: &dyn Reporter,
    ) -> Result<Vec<Choice>> {
        let several: Vec<usize> =
            (0..self.shards.len()).filter(|&i| self.shards[i].folders.len() > 1).collect();
        if !several.is_empty() {
            reporter.phase("comparing copies", Some(several.len() as u64));
        }
        let is_remote = |&number: &u16| !folders[usize::from(number)].origin.is_local();
        let (far, several): (Vec<usize>, Vec<usize>) =
            several.into_iter().partition(|&i| self.shards[i].folders.iter().any(is_remote));
        let mut choices = Vec::new();
        if !far.is_empty() {
            let shards: Vec<&PlannedShard> = far.iter().map(|&i| &self.shards[i]).collect();
            let advance = |copies| reporter.advance(copies, 0);
            let ordered = remote::order_all(folders, &shards, threads, securities, advance)?;
            for (i, order) in far.into_iter().zip(ordered.orders) {
                self.shards[i].folders = order;
            }
            choices = ordered.choices;
            if ordered.undecided > 0 {
                reporter.notice(&Notice {
                    severity: Severity::Warning,
                    text: format!(
                        "copies of {} shards have equally many documents on several nodes, and nothing shows whether one is \
                         behind; those of the first node are saved.",
                        ordered.undecided
                    ),
                });
            }
        }
        let chosen: Vec<OnceLock<copies::Order>> = several.iter().map(|_| OnceLock::new()).collect();
        parallel::for_each(threads, &several, |slot, &i| -> Result<()> {
            let order = copies::order(folders, &self.shards[i], securities);
            let _ = chosen[slot].set(order);
            Ok(())
        })?;
        for (i, chosen) in several.into_iter().zip(chosen) {
            if let Some((order, choice)) = chosen.into_inner() {
                self.shards[i].folders = order;
                choices.extend(choice);
            }
        }
        self.choose_rings(folders, threads, reporter)?;
        choices.sort();
        Ok(choices)
    }

    /// The databases that only some nodes know, and that are on none of the given nodes.
    pub(super) fn unreachable(&self, folders: &[NodeFolder]) -> Vec<LeftOut> {
        let left_out = |db: &String| {
            let disputed = self.disputed.get(db)?;
            let winner = disputed.winner.as_ref()?;
            let nodes: BTreeSet<&String> = winner.map.by_range.values().flatten().collect();
            let known_by: Vec<String> =
                disputed.knows.iter().map(|&number| folders[number].node_display_name()).collect();
            let nodes = if nodes.is_empty() { known_by } else { nodes.into_iter().cloned().collect() };
            Some(LeftOut {
                kind: LeftOutKind::UnreachableDatabase,
                name: db.clone(),
                suffix: winner.map.suffix.clone(),
                nodes,
                files: 0,
                bytes: 0,
                documents: None,
            })
        };
        self.unreachable.iter().filter_map(left_out).collect()
    }

    /// The planned ranges of a database; none if its map cannot be read.
    pub(super) fn ranges(&self, db: &str) -> Vec<Range> {
        if let Some(ring) = self.rings.get(db) {
            return ring.clone();
        }
        let of_map = |map: &ShardMap| map.by_range.keys().copied().collect();
        if let Some(winner) = self.disputed.get(db).and_then(|disputed| disputed.winner.as_ref()) {
            return of_map(&winner.map);
        }
        let found = self
            .maps
            .database
            .document(db.as_bytes(), |doc| Ok(contents::shard_map_of(self.maps.database, doc).ok()));
        found.ok().flatten().flatten().as_ref().map(of_map).unwrap_or_default()
    }

    /// Numbers of the data directories of the nodes in a shard map.
    pub(super) fn holders(folders: &[NodeFolder], nodes: &[String]) -> Box<[u16]> {
        Holders::of(folders).of_nodes(nodes)
    }

    /// Names of all databases that the user has chosen.
    pub(super) fn database_names(&self, threads: usize) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for_each_map(self.maps.database, threads, |map| {
            let is_listed = |db: &String| self.takes(db) && !self.disputed.contains_key(db);
            names.extend(map.map(|map| map.db).ok().filter(is_listed));
            Ok(())
        })?;
        let won = self.disputed.iter().filter(|(_, disputed)| disputed.winner.is_some());
        names.extend(won.map(|(db, _)| db.clone()));
        Ok(names)
    }
}

/// A shard map that cannot be read.
pub(super) struct UnreadableMap {
    /// The database.
    pub(super) db: String,
    /// Why.
    pub(super) problem: String,
}

impl From<UnreadableMap> for FileProblem {
    fn from(unreadable: UnreadableMap) -> Self {
        Self { path: format!("_dbs.couch/{}", unreadable.db), problem: unreadable.problem }
    }
}

/// Calls `each` with every shard map of a `_dbs.couch` that is not deleted, in the order of the databases' names.
pub(super) fn for_each_map<R: ReadAt>(
    maps: &Database<R>,
    threads: usize,
    each: impl FnMut(std::result::Result<ShardMap, UnreadableMap>) -> Result<()>,
) -> Result<()> {
    let read = |doc: &DocInfo<'_>| {
        if doc.deleted || doc.id.starts_with(b"_design/") {
            return Ok(None);
        }
        let db = String::from_utf8_lossy(doc.id).into_owned();
        Ok(Some(contents::shard_map_of(maps, doc).map_err(|problem| UnreadableMap {
            db,
            problem: format!("the shard map cannot be read: {problem}"),
        })))
    };
    convert_in_order(maps, threads, "the shard maps (_dbs.couch)", read, each)
}
