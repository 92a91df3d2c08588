//! Builds the folders, all processors at work.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use couchfile::data_dir::Range;

use crate::document::Documents;
use crate::error::{Result, ScaleDataError};
use crate::plan::Plan;
use crate::shard::{self, Copy, Written};
use crate::shard_maps;
use crate::words::Words;

/// Where a node's data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFolder {
    /// The node's name.
    pub node: String,
    /// Its data folder.
    pub path: PathBuf,
}

/// What was built.
#[derive(Debug, Clone)]
pub struct Built {
    /// The nodes' data folders, in the plan's order.
    pub folders: Vec<NodeFolder>,
    /// Databases.
    pub databases: u64,
    /// Documents, each counted once.
    pub documents: u64,
    /// Shard files, every copy counted.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// Builds what the plan says in `dir`, which must be new or empty.
///
/// The shards come first and `_dbs.couch` last, so that a folder without it is an unfinished one. Nothing is synced.
pub fn build(plan: &Plan, dir: &Path) -> Result<Built> {
    plan.validate()?;
    let folders = make_folders(plan, dir)?;
    let written = write_shards(plan, &folders)?;
    shard_maps::write(plan, &folders)?;
    Ok(Built {
        folders,
        databases: plan.total(),
        documents: written.documents,
        files: plan.total() * u64::from(plan.q) * plan.copies as u64,
        bytes: written.bytes,
    })
}

fn make_folders(plan: &Plan, dir: &Path) -> Result<Vec<NodeFolder>> {
    fs::create_dir_all(dir).map_err(ScaleDataError::write(dir))?;
    if fs::read_dir(dir).map_err(ScaleDataError::write(dir))?.next().is_some() {
        return Err(ScaleDataError::NotEmpty(dir.to_owned()));
    }
    let mut folders = Vec::new();
    for node in &plan.nodes {
        let path = if plan.nodes.len() == 1 { dir.to_owned() } else { dir.join(node) };
        // View indexes have their folder on every node that ever had one, and tools take it for granted.
        let mut wanted = vec![path.join(".shards"), path.join("shards")];
        wanted.extend(Range::split(plan.q).iter().map(|range| path.join(format!("shards/{range}"))));
        for folder in &wanted {
            fs::create_dir_all(folder).map_err(ScaleDataError::write(folder))?;
        }
        folders.push(NodeFolder { node: node.clone(), path });
    }
    Ok(folders)
}

/// Every range of every database is a task of its own, so that one large database keeps all processors busy too.
fn write_shards(plan: &Plan, folders: &[NodeFolder]) -> Result<Written> {
    let words = Words::new(plan.seed);
    let ranges = Range::split(plan.q);
    let tasks = plan.total() * u64::from(plan.q);
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let mut total = Written::default();
        loop {
            let task = next.fetch_add(1, Ordering::Relaxed);
            if task >= tasks || failed.load(Ordering::Relaxed) {
                return Ok(total);
            }
            let (database, range) = (task / u64::from(plan.q), (task % u64::from(plan.q)) as usize);
            match write_range(plan, folders, &words, database, ranges[range]) {
                Ok(written) => {
                    total.documents += written.documents;
                    total.bytes += written.bytes;
                }
                Err(error) => {
                    failed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut total = Written::default();
        for worker in workers {
            let written = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            total.documents += written.documents;
            total.bytes += written.bytes;
        }
        Ok(total)
    })
}

fn write_range(
    plan: &Plan,
    folders: &[NodeFolder],
    words: &Words,
    database: u64,
    range: Range,
) -> Result<Written> {
    let map = plan.map(database);
    let holders = map.by_range.get(&range).map_or(&[][..], Vec::as_slice);
    let copies: Vec<Copy<'_>> = folders
        .iter()
        .filter(|folder| holders.contains(&folder.node))
        .map(|folder| Copy { node: &folder.node, folder: &folder.path })
        .collect();
    let shard =
        map.shards().find(|shard| shard.range == range).expect("a map holds the ranges it was made of");
    shard::write(plan, &Documents::new(plan, words, &map.db), plan.docs(database), &shard, &copies)
}
