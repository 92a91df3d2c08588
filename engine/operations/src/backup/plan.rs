//! Which files are saved, and from which node.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use couchfile::data_dir::{DataFile, Range, ShardName};
use couchfile::database::Database;
use couchfile::document::DocInfo;
use couchfile::error::CouchFileError;
use couchfile::read_at::ReadAt;
use couchfile::shard_map::ShardMap;

use super::FileProblem;
use super::copies;
use super::folder::{MapsBytes, NodeFolder};
use super::remote;
use crate::documents::convert_in_order;
use crate::error::{OperationError, Result};
use crate::parallel;
use crate::report::{Notice, Reporter, Severity};

/// The shard maps that the backup goes by: those of one node, as they were when it was opened.
#[derive(Clone, Copy)]
pub(super) struct Maps<'f> {
    /// The open file.
    pub(super) database: &'f Database<MapsBytes>,
    /// The folder that it is from.
    pub(super) folder: &'f NodeFolder,
    /// Number of shard maps in it.
    pub(super) count: u64,
}

/// A shard to be saved.
#[derive(Debug, Clone)]
pub(super) struct PlannedShard {
    /// Path below the data folder.
    pub(super) path: String,
    /// Numbers of the folders whose node holds a copy, the one to be read first in front.
    pub(super) folders: Box<[u16]>,
    /// Whether its documents are placed by the first part of their ids.
    pub(super) partitioned: bool,
}

/// A view index to be saved.
#[derive(Debug, Clone)]
pub(super) struct PlannedView {
    /// Path below the data folder.
    pub(super) path: String,
    /// Number of the folder.
    pub(super) folder: u16,
}

/// What a backup will save.
pub(super) struct Plan<'f> {
    pub(super) maps: Maps<'f>,
    /// In the order of their paths.
    pub(super) shards: Vec<PlannedShard>,
    /// Number of databases.
    pub(super) databases: u64,
    /// Shard maps that cannot be read.
    pub(super) problems: Vec<FileProblem>,
}

impl<'f> Plan<'f> {
    /// Plans by the shard maps of the node that is not behind the others.
    ///
    /// Fails where no folder has readable shard maps, or a range lies on none of the nodes.
    pub(super) fn make(folders: &'f [NodeFolder], threads: usize, reporter: &dyn Reporter) -> Result<Self> {
        let maps = best_maps(folders, reporter)?;
        let by_name: HashMap<&str, u16> = folders
            .iter()
            .enumerate()
            .filter_map(|(i, folder)| folder.name.as_deref().map(|name| (name, i as u16)))
            .collect();
        let mut shards = Vec::new();
        let mut databases = 0;
        let mut problems = Vec::new();
        let mut nowhere = Nowhere::default();
        for_each_map(maps.database, threads, |map| {
            let map = match map {
                Ok(map) => map,
                Err(problem) => {
                    problems.push(problem);
                    return Ok(());
                }
            };
            databases += 1;
            for (range, nodes) in &map.by_range {
                let mut holders: Vec<u16> =
                    nodes.iter().filter_map(|node| by_name.get(node.as_str()).copied()).collect();
                // A folder whose node nobody knows the name of can only be asked for the file.
                holders.extend((0..folders.len() as u16).filter(|&i| folders[usize::from(i)].name.is_none()));
                let shard = ShardName { range: *range, db: map.db.clone(), suffix: map.suffix.clone() };
                if holders.is_empty() {
                    nowhere.add(&shard, nodes);
                }
                shards.push(PlannedShard {
                    path: shard.path(),
                    folders: holders.into_boxed_slice(),
                    partitioned: map.is_partitioned(),
                });
            }
            Ok(())
        })?;
        nowhere.refuse(folders)?;
        shards.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { maps, shards, databases, problems })
    }

    /// Chooses, where several folders hold a shard, the copy that lags behind no other.
    pub(super) fn choose(
        &mut self,
        folders: &[NodeFolder],
        threads: usize,
        quiet: impl FnOnce() -> bool,
        reporter: &dyn Reporter,
    ) -> Result<()> {
        let several: Vec<usize> =
            (0..self.shards.len()).filter(|&i| self.shards[i].folders.len() > 1).collect();
        if several.is_empty() {
            return Ok(());
        }
        reporter.phase("comparing copies", Some(several.len() as u64));
        let is_remote = |&number: &u16| folders[usize::from(number)].remote.is_some();
        let (far, several): (Vec<usize>, Vec<usize>) =
            several.into_iter().partition(|&i| self.shards[i].folders.iter().any(is_remote));
        if !far.is_empty() {
            let shards: Vec<&PlannedShard> = far.iter().map(|&i| &self.shards[i]).collect();
            let advance = |copies| reporter.advance(copies, 0);
            let ordered = remote::order_all(folders, &shards, threads, quiet, advance)?;
            for (i, order) in far.into_iter().zip(ordered.orders) {
                self.shards[i].folders = order;
            }
            if ordered.undecided > 0 {
                reporter.notice(&Notice {
                    severity: Severity::Warning,
                    text: format!(
                        "copies of {} shards have equally many documents on several nodes, and nothing tells whether one \
                         is behind; the first node's are saved. Name and password of a server admin would tell, if no \
                         node has anything left to replicate.",
                        ordered.undecided
                    ),
                });
            }
        }
        let chosen: Vec<std::sync::OnceLock<Box<[u16]>>> =
            several.iter().map(|_| std::sync::OnceLock::new()).collect();
        parallel::for_each(threads, &several, |slot, &i| -> Result<()> {
            let shard = &self.shards[i];
            let order = copies::order(folders, shard);
            let _ = chosen[slot].set(order);
            Ok(())
        })?;
        for (i, chosen) in several.into_iter().zip(chosen) {
            if let Some(order) = chosen.into_inner() {
                self.shards[i].folders = order;
            }
        }
        Ok(())
    }

    /// Names of all databases.
    pub(super) fn database_names(&self, threads: usize) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for_each_map(self.maps.database, threads, |map| {
            names.extend(map.map(|map| map.db));
            Ok(())
        })?;
        Ok(names)
    }

    /// The view indexes of the chosen copies, in the order of their paths.
    pub(super) fn views(&self, folders: &[NodeFolder]) -> Result<Vec<PlannedView>> {
        let mut views = Vec::new();
        for (number, folder) in folders.iter().enumerate() {
            let found = match &folder.remote {
                None => {
                    let mut found = Vec::new();
                    collect_views(&folder.path, ".shards", &mut found)?;
                    found
                }
                Some(files) => remote::find_views(&**files, &folder.path)?,
            };
            for path in found {
                let Some(DataFile::View { shard, .. }) = DataFile::parse(&path) else { continue };
                let shard_path = shard.path();
                let Ok(i) = self.shards.binary_search_by(|shard| shard.path.as_str().cmp(&shard_path)) else {
                    continue;
                };
                if self.shards[i].folders.first() == Some(&(number as u16)) {
                    views.push(PlannedView { path, folder: number as u16 });
                }
            }
        }
        views.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(views)
    }
}

/// Calls `each` with every shard map of a `_dbs.couch` that is not deleted, in the order of the databases' names.
pub(super) fn for_each_map<R: ReadAt>(
    maps: &Database<R>,
    threads: usize,
    each: impl FnMut(std::result::Result<ShardMap, FileProblem>) -> Result<()>,
) -> Result<()> {
    let read = |doc: &DocInfo<'_>| {
        if doc.deleted || doc.id.starts_with(b"_design/") {
            return Ok(None);
        }
        let db = String::from_utf8_lossy(doc.id).into_owned();
        Ok(Some(crate::survey::shard_map_of(maps, doc, &db).map_err(|problem| FileProblem {
            path: format!("_dbs.couch/{db}"),
            problem: format!("the shard map cannot be read: {problem}"),
        })))
    };
    convert_in_order(maps, threads, "the shard maps (_dbs.couch)", read, each)
}

/// The shard maps of the node that is not behind the others: one that was away does not know what was created meanwhile,
/// and still knows what was deleted.
fn best_maps<'f>(folders: &'f [NodeFolder], reporter: &dyn Reporter) -> Result<Maps<'f>> {
    let mut readable = Vec::new();
    let mut counts = Vec::new();
    for folder in folders {
        match &folder.maps {
            Ok(database) => {
                let what = || folder.shown_file("_dbs.couch");
                counts.push(database.counts().map_err(|e| OperationError::database(what(), e))?);
                readable.push((folder, database));
            }
            Err(CouchFileError::Newer { offset, what }) => {
                let newer = CouchFileError::Newer { offset: *offset, what: what.clone() };
                return Err(OperationError::database(folder.shown_file("_dbs.couch"), newer));
            }
            Err(e) => reporter.notice(&Notice {
                severity: Severity::Problem,
                text: format!(
                    "{} cannot be used: {e}.{}",
                    folder.shown_file("_dbs.couch"),
                    if folders.len() > 1 { " The shard maps of the other nodes given are used." } else { "" }
                ),
            }),
        }
    }
    let databases: Vec<&Database<MapsBytes>> = readable.iter().map(|(_, database)| *database).collect();
    let best = copies::rank(&databases).first().map(|&i| {
        let (folder, database) = readable[i];
        Maps { database, folder, count: counts[i].0 }
    });
    if counts.iter().any(|count| Some(count) != counts.first()) {
        let told: Vec<String> =
            counts.iter().map(|(live, deleted)| format!("{live} and {deleted} deleted ones")).collect();
        reporter.notice(&Notice {
            severity: Severity::Warning,
            text: format!(
                "the nodes do not know the same databases ({}); those of {} are saved",
                told.join(", "),
                best.as_ref().map(|maps| maps.folder.shown()).unwrap_or_default()
            ),
        });
    }
    best.ok_or_else(|| {
        OperationError::incomplete(
            "none of the given nodes has readable shard maps (_dbs.couch), without which nothing can be restored",
            "Give the data folder of another node of the cluster, too.",
        )
    })
}

/// Ranges that no given node holds.
#[derive(Debug, Default)]
struct Nowhere {
    count: usize,
    /// Of the first few: database, range, nodes.
    examples: Vec<(String, Range, Vec<String>)>,
    /// How many of them each absent node holds.
    nodes: BTreeMap<String, usize>,
}

impl Nowhere {
    fn add(&mut self, shard: &ShardName, nodes: &[String]) {
        self.count += 1;
        if self.examples.len() < 3 {
            self.examples.push((shard.db.clone(), shard.range, nodes.to_vec()));
        }
        for node in nodes {
            *self.nodes.entry(node.clone()).or_default() += 1;
        }
    }

    fn refuse(self, folders: &[NodeFolder]) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let examples: Vec<String> = self
            .examples
            .iter()
            .map(|(db, range, nodes)| format!("{db} {range} (on {})", nodes.join(", ")))
            .collect();
        let given: Vec<&str> =
            folders.iter().map(|folder| folder.name.as_deref().unwrap_or("of unknown name")).collect();
        let nodes: Vec<&str> = self.nodes.keys().map(String::as_str).collect();
        Err(OperationError::incomplete(
            format!(
                "{} ranges lie on none of the given nodes ({}): {}{}",
                self.count,
                given.join(", "),
                examples.join("; "),
                if self.count > 3 { "; …" } else { "" }
            ),
            format!(
                "Give the data folders of more nodes: these ranges are on {}. If a folder is one of them under \
                 another name, give that name after it: HOST,DIR,NODENAME.",
                nodes.join(", ")
            ),
        ))
    }
}

/// Paths of all view indexes below `.shards`. Folders may vanish meanwhile.
fn collect_views(root: &Path, folder: &str, found: &mut Vec<String>) -> Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let path = root.join(&folder);
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(OperationError::io("list", path, e)),
        };
        for entry in entries {
            let entry = entry.map_err(|e| OperationError::io("list", &path, e))?;
            let Ok(kind) = entry.file_type() else { continue };
            let Ok(name) = entry.file_name().into_string() else { continue };
            let below = format!("{folder}/{name}");
            if kind.is_dir() {
                folders.push(below);
            } else if kind.is_file() {
                found.push(below);
            }
        }
    }
    Ok(())
}
