//! Finds out in one pass what a backup without a manifest holds.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use archive::{EntryInfo, LargeSink, Visitor};
use couchfile::data_dir::{DataFile, ShardName};
use couchfile::database::Database;
use couchfile::error::CouchFileError;
use couchfile::read_at::ReadAt;
use outcome::report::{Counter, Reporter};
use outcome::{Failure, Result};

use super::rebuilt::SeenShards;
use super::tail::Tail;
use super::{Contents, no_maps};
use crate::AnySource;
use crate::facts::{ShardFacts, ViewFacts};
use crate::headers::index_header;
use crate::maps::ArchivedMaps;
use crate::metadata::Metadata;
use crate::record::BackupSummary;
use crate::root::Root;
use crate::source::Source;
use crate::spool::Spool;
use crate::unusable::unusable;

/// Reads the complete backup once. With `rebuild`, databases that its shard maps do not name get maps made of their shards.
pub(super) fn read(
    source: Box<dyn Source>,
    rebuild: bool,
    threads: usize,
    reporter: &dyn Reporter,
) -> Result<Contents> {
    reporter.phase("reading the archive (it has no table of contents)", None);
    let pass = Pass {
        found: Mutex::new(Found { seen: rebuild.then(SeenShards::default), ..Found::default() }),
        backup: source.name(),
        reporter,
        progress: Counter::new(reporter),
    };
    let visited = source.visit(threads, &|_| true, &pass)?;
    let found = pass.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let maps = match found.seen {
        Some(seen) => seen.maps(found.maps, threads, reporter)?,
        None => found.maps,
    };
    let maps = maps.ok_or_else(|| no_maps(source.name()))?;
    Ok(Contents {
        metadata: found.metadata,
        summary: visited.record.as_ref().and_then(BackupSummary::of),
        root: found.root.into_name(),
        shards: found.shards,
        views: found.views,
        maps: ArchivedMaps::new(maps)?,
        ignored: found.ignored,
        content_bytes: visited.content_bytes,
        ranges: OnceLock::new(),
        source,
    })
}

#[derive(Default)]
struct Found {
    metadata: Option<Metadata>,
    root: Root,
    shards: HashMap<Box<str>, ShardFacts>,
    views: HashMap<Box<str>, Vec<ViewFacts>>,
    maps: Option<AnySource>,
    ignored: u64,
    /// What shard maps can be made of, if they are to be.
    seen: Option<SeenShards>,
}

struct Pass<'r> {
    found: Mutex<Found>,
    backup: &'r str,
    reporter: &'r dyn Reporter,
    progress: Counter<'r>,
}

impl Pass<'_> {
    fn with<T>(&self, work: impl FnOnce(&mut Found) -> T) -> T {
        work(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the entry is. Remembers its root, which must be the same for all entries.
    fn file(&self, entry: &EntryInfo<'_>) -> Result<Option<DataFile>, Failure> {
        if self.reporter.is_interrupted() {
            return Err(Failure::interrupted());
        }
        self.with(|found| {
            let file = found.root.file(self.backup, entry.name)?;
            if file.is_none() {
                found.ignored += u64::from(!entry.name.starts_with(archive::CONFIG));
            }
            Ok(file)
        })
    }

    fn add_shard(&self, shard: &ShardName, size: u64, content: &dyn ReadAt) -> Result<()> {
        let facts = match shard_facts(size, content) {
            Ok(facts) => facts,
            Err(e @ CouchFileError::Newer { .. }) => {
                return Err(unusable(format!("{} of the archive", shard.path()), e));
            }
            Err(e) => {
                ShardFacts { size, damage: Some(e.to_string().into_boxed_str()), ..ShardFacts::default() }
            }
        };
        self.with(|found| {
            if let Some(seen) = &mut found.seen {
                seen.add(shard, content);
            }
            found.shards.insert(shard.path().into_boxed_str(), facts)
        });
        Ok(())
    }

    fn add_view(&self, shard: &ShardName, signature: &str, size: u64, content: &dyn ReadAt) {
        let mut facts = ViewFacts {
            signature: signature.to_owned(),
            size,
            seq: 0,
            purge_seq: 0,
            node: None,
            damage: None,
        };
        match index_header(content) {
            Ok((header, _)) => {
                facts.seq = header.seq;
                facts.purge_seq = header.purge_seq;
                let named = u128::from_str_radix(signature, 16).map(u128::to_be_bytes);
                if named.is_ok_and(|named| named != *header.signature) {
                    facts.damage = Some("its signature does not match its name".into());
                }
            }
            // Only the end of a large index is at hand here, so its trees are not: that is no damage.
            Err(CouchFileError::Io { .. }) => {
                facts.damage = Some("it is too large to be checked without a manifest".into());
            }
            Err(e) => facts.damage = Some(e.to_string().into_boxed_str()),
        }
        self.with(|found| found.views.entry(shard.path().into_boxed_str()).or_default().push(facts));
    }
}

/// Reads a shard's header.
fn shard_facts(size: u64, content: &dyn ReadAt) -> Result<ShardFacts, CouchFileError> {
    let database = Database::open(content)?;
    let (docs, deleted) = database.counts()?;
    Ok(ShardFacts {
        size,
        seq: database.header().update_seq,
        // Not worth a failure: without it, views count as ahead of their database, and CouchDB rebuilds them.
        purge_seq: database.purge_seq().unwrap_or(0),
        docs,
        deleted,
        node: None,
        damage: None,
    })
}

impl Visitor for Pass<'_> {
    fn small(&self, entry: &EntryInfo<'_>, content: &[u8]) -> Result<()> {
        if entry.name == archive::METADATA {
            self.with(|found| found.metadata = Metadata::from_yaml(content));
            return Ok(());
        }
        self.progress.add(1, entry.size);
        match self.file(entry)? {
            Some(DataFile::ShardMaps) => {
                let copy: AnySource = Box::new(content.to_vec());
                self.with(|found| found.maps = Some(copy));
            }
            Some(DataFile::Shard(shard)) => self.add_shard(&shard, entry.size, &content)?,
            Some(DataFile::View { shard, signature }) => {
                self.add_view(&shard, &signature, entry.size, &content);
            }
            None => {}
        }
        Ok(())
    }

    fn large<'a>(&'a self, entry: &EntryInfo<'_>) -> Result<Option<Box<dyn LargeSink + 'a>>, Failure> {
        let size = entry.size;
        self.progress.add(1, 0);
        Ok(match self.file(entry)? {
            None => {
                self.progress.add(0, size);
                None
            }
            Some(DataFile::ShardMaps) => Some(Box::new(SpooledMaps { pass: self, spool: Spool::new()? })),
            Some(file) => Some(Box::new(End { pass: self, file, size, tail: Mutex::new(Tail::new(size)) })),
        })
    }
}

/// Shard maps too large for memory.
struct SpooledMaps<'p> {
    pass: &'p Pass<'p>,
    spool: Spool,
}

impl LargeSink for SpooledMaps<'_> {
    fn chunk(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.pass.progress.add(0, bytes.len() as u64);
        self.spool.put(offset, bytes)
    }

    fn finish(&self, _: &archive::Hash) -> Result<()> {
        let source: AnySource = Box::new(self.spool.content()?);
        self.pass.with(|found| found.maps = Some(source));
        Ok(())
    }
}

/// Keeps the end of a large file, which holds its header.
struct End<'p> {
    pass: &'p Pass<'p>,
    file: DataFile,
    size: u64,
    tail: Mutex<Tail>,
}

impl LargeSink for End<'_> {
    fn chunk(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.pass.progress.add(0, bytes.len() as u64);
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).put(offset, bytes);
        Ok(())
    }

    fn finish(&self, _: &archive::Hash) -> Result<()> {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.file {
            DataFile::Shard(shard) => self.pass.add_shard(shard, self.size, &*tail)?,
            DataFile::View { shard, signature } => {
                self.pass.add_view(shard, signature, self.size, &*tail);
            }
            DataFile::ShardMaps => {}
        }
        Ok(())
    }
}
