//! The copies of a database.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use contents::SecurityTerm;
use contents::integrity::Checker;
use couchfile::check::Placement;
use couchfile::data_dir::{Range, ShardName};
use couchfile::database::Database;
use couchfile::error::CouchFileError;
use couchfile::shard_map::ShardMap;
use outcome::report::Counter;
use outcome::{Failure, Lock as _, Result, parallel};
use serde_json::Value;

use super::contents_of_copies;
use super::copy::Copy;
use super::finding::{Finding, FindingKind, counted};
use super::round::Round;
use super::verdict::{Area, Notebook};
use crate::far::{BATCH, Bytes, Far, Opened};
use crate::file::{self, FileFailure};
use crate::limited::Limited;

/// The most problems of a copy that are spelled out.
const TOLD: usize = 5;
/// At least so many databases are examined at the same time if files are on other machines: most of it is waiting.
const FAR_THREADS: usize = 8;

/// Bytes of small files of other machines that are held at once, to be checked completely.
const SMALL_BYTES: u64 = 32 << 20;

/// Files of other machines that were opened for several databases at once, by number of the data directory and path.
type Fetched = HashMap<(usize, String), Mutex<Option<Opened<Bytes>>>>;

/// Examines databases.
pub(super) struct Examination<'e> {
    round: &'e Round<'e>,
    by_name: &'e HashMap<&'e str, usize>,
    notes: &'e Notebook<'e>,
    /// Checks files completely, if that is wanted.
    checker: Option<Checker>,
    progress: Counter<'e>,
}

/// What the copies of a database should have in common.
struct Common {
    folder: usize,
    range: Range,
    security: Option<SecurityTerm>,
    revs_limit: u64,
    purge_infos_limit: u64,
}

impl<'e> Examination<'e> {
    pub(super) fn new(
        round: &'e Round<'e>,
        by_name: &'e HashMap<&'e str, usize>,
        notes: &'e Notebook<'e>,
    ) -> Self {
        let checker = round.options.deep.then(|| Checker::new(round.threads));
        Self { round, by_name, notes, checker, progress: Counter::new(round.reporter) }
    }

    /// Examines the copies of these databases.
    pub(super) fn batch(&self, maps: &[ShardMap]) -> Result<()> {
        let is_far = self.round.folders.iter().any(|folder| !folder.origin.is_local());
        let fetched = if is_far { self.fetch(maps)? } else { Fetched::new() };
        let threads = if is_far { self.round.threads.max(FAR_THREADS) } else { self.round.threads };
        parallel::for_each_large(threads, maps, |_, map| self.database(map, &fetched))
    }

    fn node(&self, folder: usize) -> String {
        self.round.folders.get(folder).map_or_else(String::new, crate::folder::NodeFolder::node_display_name)
    }

    /// The numbers of the given data directories whose nodes hold a range.
    fn holders<'m>(&'m self, nodes: &'m [String]) -> impl Iterator<Item = usize> + 'm {
        nodes.iter().filter_map(|node| self.by_name.get(node.as_str()).copied())
    }

    /// Opens the copies on other machines, those of each machine together; if they are checked completely, the small ones only.
    fn fetch(&self, maps: &[ShardMap]) -> Result<Fetched> {
        let mut paths: Vec<Vec<String>> = vec![Vec::new(); self.round.folders.len()];
        for map in maps {
            for (range, nodes) in &map.by_range {
                for folder in self.holders(nodes) {
                    if self.round.folders[folder].origin.far().is_some() {
                        paths[folder].push(shard(map, *range).path());
                    }
                }
            }
        }
        let nodes = paths.len().max(1) as u64;
        let fetched =
            parallel::all_at_once(&paths, |number, paths| -> Result<Vec<(String, Opened<Bytes>)>> {
                let folder = &self.round.folders[number];
                let Some(files) = folder.origin.far() else { return Ok(Vec::new()) };
                let far = Far::new(files, &folder.path);
                let mut all = Vec::with_capacity(paths.len());
                if self.checker.is_some() {
                    // Those that are large, or do not arrive, are fetched one by one.
                    let small = far.small(paths, SMALL_BYTES / nodes)?;
                    all.extend(small.into_iter().map(|(path, bytes)| (path, Ok(bytes))));
                    return Ok(all);
                }
                for paths in paths.chunks(BATCH) {
                    let opened = far.open(paths)?;
                    all.extend(paths.iter().cloned().zip(opened));
                }
                Ok(all)
            });
        let mut all = Fetched::new();
        for (number, fetched) in fetched.into_iter().enumerate() {
            for (path, opened) in fetched? {
                all.insert((number, path), Mutex::new(Some(opened)));
            }
        }
        Ok(all)
    }

    /// Examines a database.
    fn database(&self, map: &ShardMap, fetched: &Fetched) -> Result<()> {
        let mut common = Vec::new();
        for (range, nodes) in &map.by_range {
            self.round.refuse_interrupted()?;
            self.range(map, *range, nodes, fetched, &mut common)?;
        }
        self.compare_security(map, &common);
        let revs: Vec<_> = common.iter().map(|copy| (copy, copy.revs_limit)).collect();
        self.compare_limits(map, "_revs_limit", &revs);
        let purges: Vec<_> = common.iter().map(|copy| (copy, copy.purge_infos_limit)).collect();
        self.compare_limits(map, "_purged_infos_limit", &purges);
        Ok(())
    }

    /// Examines the copies of a range.
    fn range(
        &self,
        map: &ShardMap,
        range: Range,
        nodes: &[String],
        fetched: &Fetched,
        common: &mut Vec<Common>,
    ) -> Result<()> {
        let path = shard(map, range).path();
        let finding = |kind, folder, found: String| {
            let finding = Finding::new(kind, found).of(&map.db).in_range(range);
            finding.on(self.node(folder)).file(path.as_str())
        };
        let note = |kind, folder, found| self.notes.note(Area::Copies, finding(kind, folder, found));
        let mut copies = Vec::new();
        for folder in self.holders(nodes) {
            let opened = self.open(folder, &path, fetched)?;
            let is_distant = self.checker.is_none() && !self.round.folders[folder].origin.is_local();
            let opened = opened
                .and_then(|database| Copy::of(folder, range, database, is_distant).map_err(file::failure));
            match opened {
                Ok(copy) => copies.push(copy),
                Err(failure @ (FileFailure::Missing | FileFailure::OnlyCompaction { .. })) => {
                    note(FindingKind::MissingCopy, folder, format!("the shard map names it, and {failure}"));
                }
                Err(FileFailure::Damaged(e @ CouchFileError::Newer { .. })) => {
                    note(FindingKind::NewerFormat, folder, e.to_string());
                }
                Err(FileFailure::Unreadable(e)) if e.kind() == std::io::ErrorKind::PermissionDenied => {
                    return Err(Failure::io("read", self.round.folders[folder].path.join(&path), e));
                }
                Err(failure) => note(FindingKind::DamagedCopy, folder, failure.to_string()),
            }
            self.progress.add(1, 0);
        }
        let bytes = copies.iter().map(|copy| copy.database.header_end()).sum::<u64>();
        self.notes.count(|diagnosis| {
            diagnosis.copies += copies.len() as u64;
            diagnosis.checked_bytes += if self.checker.is_some() { bytes } else { 0 };
        });
        if let Some(checker) = &self.checker {
            for copy in &copies {
                self.check(checker, copy, map, &note)?;
                self.progress.add(0, copy.database.header_end());
            }
        }
        for copy in &copies {
            if copy.partitioned.is_some_and(|partitioned| partitioned != map.is_partitioned()) {
                let found = if map.is_partitioned() {
                    "the shard map says that the database is partitioned, and the file says that it is not"
                } else {
                    "the file says that the database is partitioned, and the shard map says that it is not"
                };
                note(FindingKind::PropertiesDiffer, copy.folder, found.to_owned());
            }
        }
        self.compare_uuids(map, range, &copies);
        contents_of_copies::compare(map, &copies, self.checker.is_some(), self.notes, &finding);
        common.extend(copies.into_iter().map(|copy| Common {
            folder: copy.folder,
            range,
            revs_limit: copy.database.header().revs_limit,
            purge_infos_limit: copy.database.header().purge_infos_limit,
            security: copy.security,
        }));
        Ok(())
    }

    /// Checks a copy completely.
    fn check(
        &self,
        checker: &Checker,
        copy: &Copy,
        map: &ShardMap,
        note: &impl Fn(FindingKind, usize, String),
    ) -> Result<()> {
        let placement = Placement { range: copy.range, partitioned: map.is_partitioned() };
        match checker.database(copy.database.source(), Some(placement), None) {
            Ok(report) => {
                if let Some(damage) = report.damage_in_words(TOLD) {
                    note(FindingKind::DamagedCopy, copy.folder, damage);
                }
                if report.misplaced.count > 0 {
                    let ids = report.misplaced.ids.join(", ");
                    let more =
                        if report.misplaced.count > report.misplaced.ids.len() as u64 { ", …" } else { "" };
                    let found = format!(
                        "{} of other ranges: {ids}{more}",
                        counted(report.misplaced.count, "document")
                    );
                    note(FindingKind::MisplacedDocuments, copy.folder, found);
                }
            }
            Err(CouchFileError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                let folder = &self.round.folders[copy.folder];
                return Err(Failure::io("read", folder.path.join(shard(map, copy.range).path()), source));
            }
            Err(e) => note(FindingKind::DamagedCopy, copy.folder, outcome::with_causes(&e)),
        }
        Ok(())
    }

    /// Opens a copy.
    fn open(&self, folder: usize, path: &str, fetched: &Fetched) -> Result<Opened<Database<Bytes>>> {
        let of_node = &self.round.folders[folder];
        let Some(files) = of_node.origin.far() else {
            let path = of_node.path.join(path);
            let wrap = |bytes| Box::new(Limited::new(bytes, of_node.limiter.clone())) as Bytes;
            // In the first look nothing is waited for: what is missing is looked at again.
            return Ok(if self.notes.suspects().are_few() {
                file::open_shard_through(&path, &of_node.patience, wrap)
            } else {
                file::open_shard_at_once(&path, wrap)
            });
        };
        let known = fetched.get(&(folder, path.to_owned())).and_then(|known| known.locked().take());
        let far = Far::new(files, &of_node.path);
        let opened = match known {
            Some(opened) => opened,
            None if self.checker.is_some() => far.spool(path, &self.round.options.temporary_folder)?,
            None => far.open(&[path.to_owned()])?.pop().unwrap_or(Err(FileFailure::Missing)),
        };
        Ok(opened.and_then(|bytes| Database::open(bytes).map_err(file::failure)))
    }

    fn compare_uuids(&self, map: &ShardMap, range: Range, copies: &[Copy]) {
        let mut by_uuid: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for copy in copies {
            if let Some(uuid) = copy.database.header().uuid.as_deref() {
                by_uuid.entry(uuid).or_default().push(copy.folder);
            }
        }
        for (uuid, folders) in by_uuid.into_iter().filter(|(_, folders)| folders.len() > 1) {
            let nodes: Vec<String> = folders.into_iter().map(|folder| self.node(folder)).collect();
            let found = format!("{} copies have the uuid {uuid}", nodes.len());
            let finding = Finding::new(FindingKind::SharedUuid, found).of(&map.db).in_range(range);
            self.notes.note(Area::Copies, finding.on(nodes.join(", ")).file(shard(map, range).path()));
        }
    }

    fn compare_security(&self, map: &ShardMap, copies: &[Common]) {
        let objects = copies.iter().filter_map(|copy| {
            let object = copy.security.as_ref()?.object()?;
            Some((copy, if object.is_null() { default_security() } else { object }.to_string()))
        });
        let Some(found) = self.different(objects) else { return };
        self.notes.note(Area::Copies, Finding::new(FindingKind::SecurityDiffers, found).of(&map.db));
    }

    fn compare_limits(&self, map: &ShardMap, name: &str, limits: &[(&Common, u64)]) {
        let Some(found) = self.different(limits.iter().map(|(copy, limit)| (*copy, limit.to_string())))
        else {
            return;
        };
        let finding = Finding::new(FindingKind::LimitsDiffer, format!("{name}: {found}")).of(&map.db);
        self.notes.note(Area::Copies, finding.file(name));
    }

    /// What copies have, if they do not all have the same: the most frequent first, with an example of each other.
    fn different<'c>(&self, values: impl Iterator<Item = (&'c Common, String)>) -> Option<String> {
        let mut by_value: BTreeMap<String, (usize, &Common)> = BTreeMap::new();
        for (copy, value) in values {
            by_value.entry(value).or_insert((0, copy)).0 += 1;
        }
        if by_value.len() < 2 {
            return None;
        }
        let mut found: Vec<_> = by_value.into_iter().collect();
        found.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
        let told = found.iter().take(TOLD).map(|(value, (count, copy))| {
            format!(
                "{value} in {} (such as {} on {})",
                counted(*count as u64, "shard"),
                copy.range,
                self.node(copy.folder)
            )
        });
        Some(told.collect::<Vec<_>>().join("; "))
    }
}

/// CouchDB's default: what a file without a security object has.
fn default_security() -> Value {
    serde_json::json!({"members": {"roles": ["_admin"]}, "admins": {"roles": ["_admin"]}})
}

/// The shard of a range.
pub(super) fn shard(map: &ShardMap, range: Range) -> ShardName {
    ShardName { range, db: map.db.clone(), suffix: map.suffix.clone() }
}
