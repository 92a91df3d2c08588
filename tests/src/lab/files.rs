//! What stands in the files below a node's data folder, to tell whether a node left them as they were.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use couchfile::data_dir::DataFile;
use couchfile::read_at::FileBytes;
use couchfile::view::ViewIndex;

use crate::{Result, content, fixtures};

/// A shard's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardState {
    /// The inode: another one after a compaction.
    pub inode: u64,
    /// The database's uuid.
    pub uuid: Option<String>,
    /// Its update sequence.
    pub seq: u64,
    /// The number of documents, and of deleted ones.
    pub counts: (u64, u64),
}

/// A view index's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewState {
    /// Path of its shard.
    pub shard: String,
    /// The inode.
    pub inode: u64,
    /// The update sequence up to which it is built.
    pub seq: u64,
    /// The purge sequence up to which it is built.
    pub purge_seq: u64,
    /// Where its trees are.
    pub roots: Vec<u64>,
}

/// All shards of a data folder by their paths below it.
pub fn shards(data: &Path) -> Result<BTreeMap<String, ShardState>> {
    let mut found = BTreeMap::new();
    for path in fixtures::files_below(data)? {
        if !matches!(DataFile::parse(&path), Some(DataFile::Shard(_))) {
            continue;
        }
        let file = data.join(&path);
        let database = content::open(&file)?;
        let header = database.header();
        let state = ShardState {
            inode: fs::metadata(&file)?.ino(),
            uuid: header.uuid.clone(),
            seq: header.update_seq,
            counts: database.counts()?,
        };
        found.insert(path, state);
    }
    Ok(found)
}

/// All view indexes of a data folder by their paths below it.
pub fn views(data: &Path) -> Result<BTreeMap<String, ViewState>> {
    let mut found = BTreeMap::new();
    for path in fixtures::files_below(data)? {
        let Some(DataFile::View { shard, .. }) = DataFile::parse(&path) else { continue };
        let file = data.join(&path);
        let index =
            ViewIndex::open(FileBytes::new(File::open(&file)?)?).map_err(|e| format!("{path}: {e}"))?;
        let state = ViewState {
            shard: shard.path(),
            inode: fs::metadata(&file)?.ino(),
            seq: index.header.update_seq,
            purge_seq: index.header.purge_seq,
            roots: index.header.roots,
        };
        found.insert(path, state);
    }
    Ok(found)
}

/// Fails where a file is new, gone or has another state.
pub fn check_untouched<T: PartialEq + std::fmt::Debug>(
    before: &BTreeMap<String, T>,
    after: &BTreeMap<String, T>,
) -> Result<()> {
    let mut wrong = Vec::new();
    for (path, state) in before {
        match after.get(path) {
            None => wrong.push(format!("{path} is gone")),
            Some(now) if now != state => wrong.push(format!("{path} was {state:?} and is {now:?}")),
            Some(_) => {}
        }
    }
    wrong
        .extend(after.keys().filter(|path| !before.contains_key(*path)).map(|path| format!("{path} is new")));
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}
