//! What nodes were started on, to tell what CouchDB then made of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::lab::{ShardState, ViewState, check_untouched, shards, views};

/// The files of one node as they were when it was started.
#[derive(Debug)]
pub struct Frozen {
    shards: BTreeMap<String, ShardState>,
    views: BTreeMap<String, ViewState>,
    /// Length of the log then.
    pub log_length: usize,
    data: PathBuf,
}

impl Frozen {
    /// Reads what a start has kept in the folder of a node.
    pub(super) fn read(folder: &Path, data: &Path) -> Result<Self> {
        // Copies, as files grow in place; and other names of the same files, as only those have their inodes.
        let (copies, links) = (folder.join("frozen"), folder.join("links"));
        let inode = |path: &String| -> Result<u64> { Ok(fs::metadata(links.join(path))?.ino()) };
        let (mut shards, mut views) = (shards(&copies)?, views(&copies)?);
        for (path, state) in &mut shards {
            state.inode = inode(path)?;
        }
        for (path, state) in &mut views {
            state.inode = inode(path)?;
        }
        let log_length = fs::read_to_string(folder.join("log-length"))?.trim().parse()?;
        Ok(Self { shards, views, log_length, data: data.to_owned() })
    }

    /// Numbers of shards and view indexes.
    pub fn counts(&self) -> (usize, usize) {
        (self.shards.len(), self.views.len())
    }

    /// Fails unless CouchDB has left all of them as they were, and made none.
    pub fn check_untouched(&self) -> Result<()> {
        check_untouched(&self.shards, &shards(&self.data)?)?;
        check_untouched(&self.views, &views(&self.data)?)
    }
}
