//! From an archive without table of contents: its files come in any order, and wait for their turn in a file without name.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use archive::{ArchiveWriter, EntryInfo, Facts, LargeSink, Progress, SequentialArchive, Visitor};
use couchfile::data_dir::{DataFile, ShardName, locate};

use super::sources::{Findings, MapsSource, ShardSource, ViewSource};
use super::{UnbrandOptions, UnbrandResult, described, maps, now, writer_options};
use crate::backup::BackupSummary;
use crate::backup::output::Output;
use crate::metadata::Metadata;
use crate::spool::{Spool, SpoolPart};
use crate::survey::{ArchivedMaps, no_maps, note_root, summary_of};
use outcome::report::Reporter;
use outcome::{Failure, Result};

/// A file that has passed by.
#[derive(Debug, Clone)]
pub(super) struct Passed {
    pub(super) content: SpoolPart,
    /// Where the spool lies, for messages.
    pub(super) folder: Arc<Path>,
    /// Time of its last change, in seconds since 1970.
    pub(super) mtime: u64,
}

/// What has passed by.
#[derive(Default)]
pub(super) struct Found {
    metadata: Option<Metadata>,
    root: Option<String>,
    maps: Option<Passed>,
    /// By path below the data folder, in the order of the new archive.
    pub(super) shards: BTreeMap<String, (ShardName, Passed)>,
    views: BTreeMap<String, (ShardName, String, Passed)>,
    ignored: u64,
    files: u64,
    bytes: u64,
}

/// Reads the archive once and writes the new one.
pub(super) fn write(
    archive: &SequentialArchive,
    node: String,
    options: &UnbrandOptions,
    output: Output,
    reporter: &dyn Reporter,
) -> Result<UnbrandResult> {
    reporter.phase("reading the archive (it has no table of contents)", None);
    let pass = Pass {
        spool: Spool::within(&options.temporary)?,
        folder: Arc::from(options.temporary.as_path()),
        end: AtomicU64::new(0),
        found: Mutex::default(),
        reporter,
    };
    let visited = archive.visit(options.threads, &pass).map_err(Failure::from)?;
    let mut found = pass.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let summary = visited.toc.as_ref().and_then(|toc| summary_of(&toc.summary)).unwrap_or_default();

    let old_maps = found.maps.take().ok_or_else(|| no_maps(archive.name()))?;
    reporter.phase("rewriting the shard maps", None);
    let old_maps = ArchivedMaps::new(Box::new(old_maps.content))?;
    let nodes = if summary.nodes.is_empty() { named(&old_maps)? } else { summary.nodes.clone() };
    let maps = maps::write(&old_maps, &node, &summary.deleted_meanwhile, options)?;

    let metadata = described(found.metadata.take(), &node);
    let mut writer = ArchiveWriter::new(output.writer()?, writer_options(options));
    writer.add_bytes(archive::METADATA, now(), Facts::Metadata, metadata.to_yaml().as_bytes())?;
    let findings = Findings::default();
    let count = maps.count;
    reporter.phase("writing the archive", Some(found.files));
    let told = |progress: Progress| reporter.advance(progress.entries, progress.content_bytes);
    let views = std::mem::take(&mut found.views);
    let shards = std::mem::take(&mut found.shards);
    writer
        .add_all(
            views.into_iter().map(|(path, (shard, signature, passed))| ViewSource {
                path,
                passed,
                shard,
                signature,
                shards: &shards,
                findings: &findings,
            }),
            &told,
        )
        .map_err(Failure::from)?;
    writer.add_all(std::iter::once(MapsSource { maps }), &told).map_err(Failure::from)?;
    writer
        .add_all(
            shards.iter().map(|(path, (shard, passed))| ShardSource {
                path,
                passed,
                shard,
                findings: &findings,
            }),
            &told,
        )
        .map_err(Failure::from)?;

    let found_now = findings.into_inner();
    let mut problems = summary.problems;
    problems.extend(found_now.problems);
    problems.sort();
    problems.dedup();
    let mut views_left_out = summary.views_left_out;
    views_left_out.extend(found_now.views_left_out);
    views_left_out.sort();
    let summary = BackupSummary {
        nodes,
        date: metadata.backup.date,
        databases: count,
        shards: found_now.shards,
        views: found_now.views,
        problems,
        views_left_out,
        // Configuration files are no data: they are not taken along.
        config: Vec::new(),
        ..summary
    };
    let value = serde_json::to_value(&summary).map_err(|e| Failure::bug(e.to_string()))?;
    let written = writer.finish(value)?;
    output.commit(written.out)?;
    Ok(UnbrandResult {
        node,
        databases: count,
        copied: false,
        content_bytes: written.content_bytes,
        archive_bytes: written.archive_bytes,
        problems: summary.problems,
        views_left_out: summary.views_left_out,
        ignored_files: found.ignored,
    })
}

/// The nodes that shard maps name.
fn named(maps: &ArchivedMaps) -> Result<Vec<String>> {
    let mut nodes = std::collections::BTreeSet::new();
    maps.for_each_map(|map| {
        for node in map.by_range.into_values().flatten() {
            if !nodes.contains(&node) {
                nodes.insert(node);
            }
        }
        Ok(())
    })?;
    Ok(nodes.into_iter().collect())
}

struct Pass<'r> {
    spool: Spool,
    folder: Arc<Path>,
    /// Where the spool ends.
    end: AtomicU64,
    found: Mutex<Found>,
    reporter: &'r dyn Reporter,
}

impl Pass<'_> {
    fn with<T>(&self, work: impl FnOnce(&mut Found) -> T) -> T {
        work(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes room for a file in the spool and notes it; gives where. `None` where no backup needs the file.
    fn note(&self, entry: &EntryInfo<'_>) -> Result<Option<u64>> {
        let located = locate(entry.name);
        self.with(|found| {
            found.bytes += entry.size;
            let Some((root, file)) = located else {
                found.ignored += 1;
                return Ok(None);
            };
            found.files += 1;
            self.reporter.advance(found.files, found.bytes);
            note_root(&mut found.root, root)?;
            let offset = self.end.fetch_add(entry.size, Ordering::Relaxed);
            let passed = Passed {
                content: self.spool.part(offset, entry.size),
                folder: Arc::clone(&self.folder),
                mtime: entry.mtime,
            };
            let path = file.path();
            match file {
                DataFile::ShardMaps => found.maps = Some(passed),
                DataFile::Shard(shard) => {
                    found.shards.insert(path, (shard, passed));
                }
                DataFile::View { shard, signature } => {
                    found.views.insert(path, (shard, signature, passed));
                }
            }
            Ok(Some(offset))
        })
    }
}

impl Visitor for Pass<'_> {
    fn small(&self, entry: &EntryInfo<'_>, content: &[u8]) -> Result<()> {
        if entry.name == archive::METADATA {
            self.with(|found| found.metadata = Metadata::from_yaml(content));
            return Ok(());
        }
        if let Some(offset) = self.note(entry)? {
            self.spool.put(offset, content)?;
        }
        Ok(())
    }

    fn large<'a>(&'a self, entry: &EntryInfo<'_>) -> Result<Option<Box<dyn LargeSink + 'a>>, Failure> {
        let Some(begin) = self.note(entry)? else { return Ok(None) };
        Ok(Some(Box::new(Spooling { spool: &self.spool, begin })))
    }
}

/// A large file on its way into the spool.
struct Spooling<'s> {
    spool: &'s Spool,
    begin: u64,
}

impl LargeSink for Spooling<'_> {
    fn chunk(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        Ok(self.spool.put(self.begin + offset, bytes)?)
    }

    fn finish(&self, _: &archive::Hash) -> Result<()> {
        Ok(())
    }
}
