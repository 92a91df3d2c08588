//! Files in a spool as sources of the new archive: up to their last valid header, with the facts in that header.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};

use archive::{EntrySource, Facts, Opened};
use contents::{FileProblem, SMALL, SpooledFile, index_header, shard_header};
use couchfile::data_dir::ShardName;
use couchfile::error::CouchFileError;
use couchfile::read_at::{Prefix, ReadAt};
use outcome::Failure;

use super::maps::NewMaps;
use super::now;

/// What the threads find.
#[derive(Debug, Default, Clone)]
pub(super) struct Findings(Arc<Mutex<FoundNow>>);

#[derive(Debug, Default)]
pub(super) struct FoundNow {
    pub(super) shards: u64,
    pub(super) views: u64,
    pub(super) problems: Vec<FileProblem>,
    pub(super) views_left_out: Vec<String>,
}

impl Findings {
    fn note(&self, what: impl FnOnce(&mut FoundNow)) {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn into_inner(self) -> FoundNow {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The shard maps.
pub(super) struct MapsSource {
    pub(super) maps: NewMaps,
}

impl EntrySource for MapsSource {
    fn open(self, _: &mut Vec<u8>) -> Result<Opened, Failure> {
        let NewMaps { content, facts, .. } = self.maps;
        Ok(Opened::Large {
            name: archive::DBS.to_owned(),
            mtime: now(),
            facts,
            seen: None,
            data: Box::new(content),
        })
    }
}

/// A shard.
pub(super) struct ShardSource<'f> {
    pub(super) path: &'f str,
    pub(super) passed: &'f SpooledFile,
    pub(super) shard: &'f ShardName,
    pub(super) findings: &'f Findings,
}

impl EntrySource for ShardSource<'_> {
    fn open(self, buf: &mut Vec<u8>) -> Result<Opened, Failure> {
        match look(self.passed, buf, shard_header)? {
            Ok((header, end)) => {
                self.findings.note(|found| found.shards += 1);
                let facts = header.facts(self.shard.clone(), None);
                Ok(opened(self.path, self.passed, facts, end, buf))
            }
            Err(damage) => {
                let problem = FileProblem { path: self.path.to_owned(), problem: damage.to_string() };
                self.findings.note(|found| found.problems.push(problem));
                Ok(Opened::Skip)
            }
        }
    }
}

/// A view index.
pub(super) struct ViewSource<'f> {
    pub(super) path: String,
    pub(super) passed: SpooledFile,
    pub(super) shard: ShardName,
    pub(super) signature: String,
    pub(super) shards: &'f BTreeMap<String, (ShardName, SpooledFile)>,
    pub(super) findings: &'f Findings,
}

impl EntrySource for ViewSource<'_> {
    fn open(self, buf: &mut Vec<u8>) -> Result<Opened, Failure> {
        let left_out = |why: &str| {
            self.findings.note(|found| found.views_left_out.push(format!("{} ({why})", self.path)));
            Ok(Opened::Skip)
        };
        let Some((_, shard)) = self.shards.get(&self.shard.path()) else {
            return left_out("its shard is not in the archive");
        };
        let (header, end) = match look(&self.passed, buf, index_header)? {
            Ok(found) => found,
            Err(damage) => return left_out(&damage.to_string()),
        };
        if hex::encode(&header.signature) != self.signature {
            return left_out("its signature does not match its name");
        }
        match shard_header(&shard.content) {
            Ok((of_shard, _)) if header.seq <= of_shard.seq && header.purge_seq <= of_shard.purge_seq => {}
            Ok(_) => return left_out("it is ahead of its database"),
            Err(_) => return left_out("its shard cannot be read"),
        }
        self.findings.note(|found| found.views += 1);
        let facts = header.facts(self.shard.clone(), self.signature, None);
        Ok(opened(&self.path, &self.passed, facts, end, buf))
    }
}

/// Reads a small file into the buffer, and returns the facts in its header and where the header ends, or the problem if it has no
/// header.
#[allow(clippy::type_complexity)]
fn look<H>(
    passed: &SpooledFile,
    buf: &mut Vec<u8>,
    header: fn(&dyn ReadAt) -> Result<(H, u64), CouchFileError>,
) -> Result<Result<(H, u64), CouchFileError>, Failure> {
    let found = if passed.content.len() <= SMALL {
        buf.resize(passed.content.len() as usize, 0);
        let read = passed.content.read_exact_at(buf, 0);
        read.map_err(|e| Failure::io("read a file in", passed.content.folder(), e))?;
        header(buf)
    } else {
        header(&passed.content)
    };
    match found {
        // The spool failed, which tells nothing of the file. What points beyond the file's end is the file's own damage.
        Err(CouchFileError::Io { source, .. }) if source.kind() != ErrorKind::UnexpectedEof => {
            Err(Failure::io("read a file in", passed.content.folder(), source))
        }
        other => Ok(other),
    }
}

/// The first `end` bytes of a file as an entry.
fn opened(path: &str, passed: &SpooledFile, facts: Facts, end: u64, buf: &mut Vec<u8>) -> Opened {
    let (name, mtime) = (format!("data/{path}"), passed.mtime);
    if passed.content.len() <= SMALL {
        buf.truncate(end as usize);
        return Opened::Small { name, mtime, facts, seen: None };
    }
    Opened::Large { name, mtime, facts, seen: None, data: Box::new(Prefix::new(passed.content.clone(), end)) }
}
