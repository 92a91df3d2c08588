//! Checks shards while they are saved (`--check`): trees, bodies and attachments, as `verify` does.

use std::path::PathBuf;

use contents::integrity::Checker;
use contents::{ShardHeader, Spool};
use couchfile::check::{Placement, Report};
use couchfile::data_dir::ShardName;
use couchfile::read_at::{FileBytes, Prefix, ReadAt};
use outcome::{Failure, Result};

use crate::file::{self, Content, FileFailure};
use crate::limited::Limited;
use crate::remote::Passing;

/// Bytes read at a time from another machine.
const PIECE: usize = 1 << 20;

/// Checks shards on the threads that save them.
pub(super) struct Checking {
    checker: Checker,
    /// Keeps files of other machines that are read twice.
    folder: PathBuf,
}

impl Checking {
    /// `folder` is for files of other machines that are read twice.
    pub(super) fn new(threads: usize, folder: PathBuf) -> Self {
        Self { checker: Checker::new(threads), folder }
    }

    /// The damage of a shard; `None` if it is intact.
    ///
    /// Fails if the file cannot be read.
    pub(super) fn damage(
        &self,
        shard: &ShardName,
        partitioned: bool,
        content: &dyn ReadAt,
    ) -> Result<Option<Report>, FileFailure> {
        let placement = Placement { range: shard.range, partitioned };
        let report = self.checker.database(content, Some(placement), None).map_err(file::failure)?;
        Ok((!report.is_whole()).then_some(report))
    }

    /// A large shard from another machine, in a temporary file next to the archive: the check reads at any offset, and data that
    /// is already in the archive cannot be removed from it.
    pub(super) fn whole(
        &self,
        passing: &Passing,
        mtime: u64,
    ) -> Result<Result<Content<ShardHeader>, FileFailure>> {
        let spool = Spool::within(&self.folder)?;
        let mut piece = vec![0; PIECE];
        let mut offset = 0;
        while offset < passing.len() {
            let count = (passing.len() - offset).min(PIECE as u64) as usize;
            let piece = &mut piece[..count];
            passing
                .read_exact_at(piece, offset)
                .map_err(|e| Failure::io("read", "a file of another machine", e))?;
            spool.put(offset, piece)?;
            offset += count as u64;
        }
        let bytes: FileBytes = spool.content()?;
        Ok(contents::shard_header(&bytes).map_err(file::failure).map(|(header, len)| Content {
            header,
            mtime,
            stat: None,
            large: Some(Limited::new(Prefix::new(bytes, len), None)),
        }))
    }
}
