//! Which shard goes to which nodes.

mod names;
mod one_node;
mod placing;
mod refusals;
mod reshaped;

use std::collections::{HashMap, HashSet};

use cluster::agreement::Promised;
use contents::{
    Contents, Counted, FileProblem, MapDocument, NamePatterns, RANGES_FOR_COUCHDB_1, ShardFacts, unreadable,
};
use couchfile::data_dir::{DataFile, Range, ShardName};
use couchfile::shard_map::ShardMap;
use outcome::{Result, parallel};

use super::RestoreOptions;
use super::suffix::{Suffixes, TakenSuffixes, now};
use crate::RestoreChoices;
use crate::one_node::Properties;
use crate::placement::spread::Holders;
use crate::selection::Chosen;

pub(crate) use one_node::{Blank, Held};
pub use placing::NodeShare;
pub(crate) use placing::Placed;
use refusals::damaged;
pub(crate) use reshaped::Reshaped;
use reshaped::{Anew, Ring};

/// Bytes that a file may take on disk in addition to its length: its last block and what an edit appends.
const SLACK: u64 = 8192;

/// The files to be written.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Nodes that get a copy, by the shard's path. The first copy keeps its uuid, unless all copies get new ones.
    pub(crate) shards: HashMap<Box<str>, Box<[u16]>>,
    /// View indexes that are restored with their shard, by the shard's path.
    pub(crate) views: HashMap<Box<str>, HashSet<String>>,
    /// Number of databases.
    pub(crate) databases: u64,
    /// Bytes that each target needs.
    pub(crate) bytes: Vec<u64>,
    /// Databases and copies of ranges that each target gets.
    shares: Vec<(u64, u64)>,
    /// How the databases were placed.
    pub(crate) placed: Placed,
    /// Bytes of the files in the archive, each as often as it is written.
    pub(crate) content_bytes: u64,
    pub(crate) left_out: Vec<FileProblem>,
    pub(crate) views_left_out: Vec<FileProblem>,
    pub(crate) deleted_meanwhile: Vec<String>,
    /// Shards in the archive that no map names.
    pub(crate) orphans: u64,
    /// Partitioned databases of the archive.
    pub(crate) partitioned: HashSet<Box<str>>,
    /// The number of documents that each database should hold.
    pub(crate) promised: Promised,
    /// The nodes that the archive's shard maps name.
    pub(crate) sources: HashSet<String>,
    /// Which databases are selected.
    pub(crate) chosen: Chosen,
    /// Which databases of the nodes the backup was to hold, if not all of them.
    pub(crate) backed_up: NamePatterns,
    /// Nodes whose configuration files are in the archive; these files are not restored.
    pub(crate) configured: Vec<String>,
    /// The ranges of databases whose maps in the archive have others: they were saved during shard splitting, or get another
    /// number of ranges.
    rings: HashMap<String, Ring>,
    /// Databases that are written anew, document by document, in the order of their names in the archive: they get another number of
    /// ranges, or their documents pass through a filter.
    pub(crate) reshaped: Vec<Reshaped>,
    /// Their shards in the archive, by path.
    to_reshape: HashSet<Box<str>>,
    /// Selected databases whose maps are not written.
    skipped: HashSet<String>,
    /// The new suffix of the databases, if it changes.
    pub(crate) new_suffix: Option<String>,
    /// The suffixes of databases that have another one in a running cluster, by name.
    pub(crate) suffix_of: HashMap<Box<str>, String>,
    /// Properties of databases in a running cluster, which count more than the archive's, by name.
    pub(crate) properties: HashMap<Box<str>, Properties>,
    /// The suffixes that databases have in the archive.
    pub(crate) suffixes: TakenSuffixes,
    /// Names of the selected databases with their suffixes in the archive.
    pub(crate) with_suffixes: HashSet<Box<str>>,
    /// Shards whose file name, read without their map, gives another name or suffix than the map, by their path in the archive.
    misread: HashMap<Box<str>, ShardName>,
}

impl Plan {
    /// Plans the restore of the selected databases of an archive.
    ///
    /// Fails if a shard is missing or damaged and such databases are not to be left out, or if the selection does not fit this
    /// archive.
    pub(crate) fn make(contents: &Contents, options: &RestoreOptions) -> Result<Self> {
        let targets = options.targets.len();
        let mut plan = Self { bytes: vec![0; targets], shares: vec![(0, 0); targets], ..Self::default() };
        let chosen = Chosen::of(&options.choices.selection, || present(contents))?;
        let summary = contents.summary.iter();
        plan.configured = summary.flat_map(|summary| &summary.config).map(|of| of.node.clone()).collect();
        plan.skipped.extend(contents.deleted_meanwhile().iter().cloned());
        plan.backed_up = contents.summary.as_ref().map(|summary| summary.chosen.clone()).unwrap_or_default();
        let nodes = options.node_names();
        let numbers: HashMap<&str, u16> =
            nodes.iter().enumerate().map(|(i, node)| (node.as_str(), i as u16)).collect();
        options.choices.ranges.check(|| present(contents))?;
        options.choices.placement.places().check(|| present(contents))?;
        options.choices.placement.check(&nodes, options.choices.copies)?;
        let mut mapped = 0;
        let mut databases = Vec::new();
        let convert = |document: MapDocument| -> Result<Option<OfDatabase>> {
            let MapDocument { id, map, .. } = document;
            if id.starts_with("_design/") {
                return Ok(None);
            }
            let Some(name) = chosen.name_of(&id) else { return Ok(None) };
            let map = map.map_err(|problem| unreadable(&id, &problem))?;
            let skip = contents.deleted_meanwhile().contains(&map.db);
            Ok(Some(OfDatabase::plan(contents, map, name, skip, &options.choices, &numbers)))
        };
        contents.maps.convert(parallel::threads(options.threads), convert, |planned| {
            let Some(mut planned) = planned? else { return Ok(()) };
            // Not kept with every database.
            let sources = std::mem::take(&mut planned.sources);
            if planned.is_written() {
                plan.sources.extend(sources);
            }
            mapped += planned.archived;
            databases.push(planned);
            Ok(())
        })?;
        plan.placed = placing::place(&mut databases, &plan.sources, &nodes, &options.choices);
        for planned in databases {
            plan.add(planned);
        }
        plan.reshaped.sort_by(|one, other| one.db.cmp(&other.db));
        // Of a selection nobody expects that it is everything.
        if options.choices.selection.is_everything() {
            plan.deleted_meanwhile = contents.deleted_meanwhile().to_vec();
            plan.orphans = contents.shards.len() as u64 - mapped;
        }
        plan.chosen = chosen;
        if !plan.left_out.is_empty() && !options.choices.skip_damaged {
            return Err(damaged(&plan.left_out));
        }
        Ok(plan)
    }

    /// Decides which suffix databases get. A new suffix, if it is `needed` or requested, differs from their own suffixes and from
    /// those in `taken`.
    pub(crate) fn choose_suffix(&mut self, suffixes: &Suffixes, needed: bool, taken: &TakenSuffixes) {
        let is_new = match suffixes {
            Suffixes::AsNeeded => needed,
            Suffixes::New => true,
            Suffixes::Keep => false,
            Suffixes::Chosen(suffix) => {
                self.new_suffix = Some(suffix.clone());
                return;
            }
        };
        let mut all = taken.clone();
        all.note_all(&self.suffixes);
        self.new_suffix = is_new.then(|| all.next(now()));
    }

    fn add(&mut self, planned: OfDatabase) {
        let OfDatabase {
            db,
            name,
            skip,
            problems,
            shards,
            documents,
            partitioned,
            suffix,
            ring,
            reshaped,
            ..
        } = planned;
        self.suffixes.note(&suffix);
        if skip {
            return;
        }
        if !problems.is_empty() {
            self.skipped.insert(db.clone());
            self.left_out.push(FileProblem { path: db, problem: problems.join("; ") });
            return;
        }
        self.databases += 1;
        self.with_suffixes.insert(format!("{name}{suffix}").into());
        if let Some(ring) = ring {
            self.rings.insert(db.clone(), ring);
        }
        if partitioned {
            self.partitioned.insert(db.into_boxed_str());
        }
        // How many pass through a filter is known when they have.
        let passes = reshaped.as_ref().is_some_and(|reshaped| reshaped.is_filtered);
        self.promised.add(&name, if passes { 0 } else { documents });
        if let Some(reshaped) = reshaped {
            self.add_reshaped(reshaped);
        }
        self.note_share(shards.iter().flat_map(|shard| shard.targets.iter().copied()));
        for shard in shards {
            let files = shard.files();
            for &target in &shard.targets {
                self.bytes[usize::from(target)] += shard.size + files * SLACK;
                self.content_bytes += shard.size;
            }
            self.views_left_out.extend(shard.views_left_out);
            if !shard.views.is_empty() {
                self.views.insert(shard.path.clone(), shard.views);
            }
            if let Some(name) = shard.misread {
                self.misread.insert(shard.path.clone(), name);
            }
            self.shards.insert(shard.path, shard.targets);
        }
    }
}

/// The names of the databases that can be restored from an archive.
fn present(contents: &Contents) -> Result<Vec<String>> {
    let mut names = contents.maps.names()?;
    let deleted: HashSet<&String> = contents.deleted_meanwhile().iter().collect();
    names.retain(|name| !deleted.contains(name));
    Ok(names)
}

/// The files to be written of one database; computed on any thread.
struct OfDatabase {
    /// Its name in the archive.
    db: String,
    /// Its new name.
    name: String,
    /// Whether the database is not restored.
    skip: bool,
    problems: Vec<String>,
    shards: Vec<OfShard>,
    /// Number of documents, including deleted ones.
    documents: u64,
    /// Whether the database is partitioned.
    partitioned: bool,
    /// The nodes in its archived map, until the plan has them.
    sources: Vec<String>,
    /// Copies of each range in its archived map.
    copies: usize,
    /// The nodes of each range in its archived map, if all of them are targets and the ranges stay.
    holders: Option<Holders>,
    /// Its suffix in the archive.
    suffix: String,
    /// Its shards in the archive, including those not in use.
    archived: u64,
    /// The ranges in use, if these are not all ranges, or the new ones.
    ring: Option<Ring>,
    /// How its documents move, if it gets another number of ranges or passes through a filter. There are no `shards` then.
    reshaped: Option<Reshaped>,
}

struct OfShard {
    /// In the archive.
    path: Box<str>,
    /// The name in its map, if it differs from its file name.
    misread: Option<ShardName>,
    /// Nodes that get a copy; none before all databases are known.
    targets: Box<[u16]>,
    views: HashSet<String>,
    views_left_out: Vec<FileProblem>,
    /// Bytes of a copy with its view indexes.
    size: u64,
}

impl OfShard {
    /// The files of a copy.
    fn files(&self) -> u64 {
        1 + self.views.len() as u64
    }
}

impl OfDatabase {
    fn plan(
        contents: &Contents,
        map: ShardMap,
        name: &str,
        skip: bool,
        choices: &RestoreChoices,
        numbers: &HashMap<&str, u16>,
    ) -> Self {
        let Counted { map, ring, surplus } = contents.counted(map);
        let mut planned = Self {
            db: map.db.clone(),
            name: name.to_owned(),
            skip,
            problems: Vec::new(),
            shards: Vec::with_capacity(map.by_range.len()),
            documents: 0,
            partitioned: map.is_partitioned(),
            sources: Vec::new(),
            copies: map.copies(),
            holders: None,
            suffix: map.suffix.clone(),
            archived: surplus.len() as u64,
            ring: ring.map(Ring::in_use),
            reshaped: None,
        };
        for node in map.by_range.values().flatten() {
            if !planned.sources.contains(node) {
                planned.sources.push(node.clone());
            }
        }
        if !map.covers_everything() {
            planned.problems.push("its ranges leave gaps".to_owned());
        }
        // A file of CouchDB 1.x is always written anew, in the form of today.
        let is_old = contents::is_of_couchdb_1(&map);
        let wanted = choices.ranges.of(&map.db).or(is_old.then_some(RANGES_FOR_COUCHDB_1)).map(Range::split);
        let other = wanted.filter(|wanted| is_old || !map.by_range.keys().eq(wanted));
        let anew = Anew { has_other_ranges: other.is_some(), is_filtered: !choices.transformation.is_none() };
        if anew.has_other_ranges || anew.is_filtered {
            let ranges = other.unwrap_or_else(|| map.by_range.keys().copied().collect());
            planned.reshape(contents, &map, ranges, anew);
            return planned;
        }
        planned.holders = placing::holders(&map, |node| numbers.get(node).copied());
        for shard in map.shards() {
            let path = shard.path();
            let Some(facts) = planned.shard(contents, &shard) else { continue };
            let mut of_shard = OfShard {
                targets: Box::default(),
                views: HashSet::new(),
                views_left_out: Vec::new(),
                size: facts.size,
                misread: misread(&path, &shard),
                path: path.into_boxed_str(),
            };
            for view in contents.views.get(&of_shard.path).into_iter().flatten() {
                match view.unfit_for(facts) {
                    None => {
                        of_shard.size += view.size;
                        of_shard.views.insert(view.signature.clone());
                    }
                    Some(problem) => of_shard
                        .views_left_out
                        .push(FileProblem { path: format!("{} {}", of_shard.path, view.signature), problem }),
                }
            }
            planned.shards.push(of_shard);
        }
        planned
    }

    /// Takes a shard into account; `None` if the archive does not have it.
    fn shard<'c>(&mut self, contents: &'c Contents, shard: &ShardName) -> Option<&'c ShardFacts> {
        let path = shard.path();
        let Some(facts) = contents.shards.get(path.as_str()) else {
            self.problems.push(format!("the range {} is not in the archive", shard.range));
            return None;
        };
        self.archived += 1;
        self.documents += facts.docs + facts.deleted;
        if let Some(damage) = &facts.damage {
            self.problems.push(format!("{path} is damaged: {damage}"));
        }
        Some(facts)
    }
}

/// The shard, if its file name alone means something else: a database without a suffix may have a name that ends like a suffix.
fn misread(path: &str, shard: &ShardName) -> Option<ShardName> {
    let as_read = DataFile::parse(path);
    (as_read != Some(DataFile::Shard(shard.clone()))).then(|| shard.clone())
}
