//! Converts a backup that can only be read from beginning to end: its files come in any order and are kept in a temporary file
//! until they are written.

use std::collections::BTreeMap;

use archive::{ArchiveWriter, Facts, Progress};
use contents::{ArchivedMaps, BackupSummary, Files, Metadata, Source, SpooledFile, SpooledFiles, no_maps};
use couchfile::data_dir::{DataFile, ShardName};
use couchfile::read_at::ReadAt;
use outcome::report::Reporter;
use outcome::{Failure, Result};
use store::Output;

use super::sources::{Findings, MapsSource, ShardSource, ViewSource};
use super::{UnbrandOptions, UnbrandResult, described, maps, now, writer_options};

/// Reads the archive once and writes the new one.
pub(super) fn write(
    source: &dyn Source,
    node: String,
    options: &UnbrandOptions,
    output: Output,
    reporter: &dyn Reporter,
) -> Result<UnbrandResult> {
    reporter.phase("reading the archive (it has no table of contents)", None);
    let mut spooled = SpooledFiles::read(source, options.threads, &options.temporary, &|_| true, reporter)?;
    let summary = BackupSummary::of(spooled.record()).unwrap_or_default();
    let old_metadata = spooled.metadata.take().as_deref().and_then(Metadata::from_yaml);
    let (ignored, files) = (spooled.ignored, spooled.files.len() as u64);
    let bytes = spooled.content_bytes();
    let Sorted { maps: old_maps, shards, views } = Sorted::of(spooled);

    let old_maps = old_maps.ok_or_else(|| no_maps(source.name()))?;
    reporter.phase("rewriting the shard maps", None);
    let old_maps = ArchivedMaps::new(Box::new(old_maps.content))?;
    let nodes = if summary.nodes.is_empty() { named(&old_maps)? } else { summary.nodes.clone() };
    let maps = maps::write(&old_maps, &node, &summary.deleted_meanwhile, options)?;

    let metadata = described(old_metadata, &node);
    let mut writer = ArchiveWriter::new(output.begin(bytes)?, writer_options(options));
    writer.add_bytes(archive::METADATA, now(), Facts::Metadata, metadata.to_yaml().as_bytes())?;
    let findings = Findings::default();
    let count = maps.count;
    let sizes = shards.values().map(|(_, shard)| shard).chain(views.values().map(|(.., view)| view));
    let bytes = maps.content.len() + sizes.map(|file| file.content.len()).sum::<u64>();
    reporter.phase_of_bytes("writing the archive", Some(files), Some(bytes));
    let before = writer.added();
    let told = |progress: Progress| {
        let new = progress.since(before);
        reporter.advance(new.entries, new.content_bytes);
    };
    writer.add_all(
        views.into_iter().map(|(path, (shard, signature, passed))| ViewSource {
            path,
            passed,
            shard,
            signature,
            shards: &shards,
            findings: &findings,
        }),
        &told,
    )?;
    writer.add_all(std::iter::once(MapsSource { maps }), &told)?;
    writer.add_all(
        shards.iter().map(|(path, (shard, passed))| ShardSource { path, passed, shard, findings: &findings }),
        &told,
    )?;
    told(writer.added());

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
    written.out.commit()?;
    Ok(UnbrandResult {
        node,
        databases: count,
        copied: false,
        content_bytes: written.content_bytes,
        archive_bytes: written.archive_bytes,
        problems: summary.problems,
        views_left_out: summary.views_left_out,
        ignored_files: ignored,
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

/// The files of a backup by kind, each in the order of the new archive.
#[derive(Default)]
struct Sorted {
    maps: Option<SpooledFile>,
    shards: BTreeMap<String, (ShardName, SpooledFile)>,
    views: BTreeMap<String, (ShardName, String, SpooledFile)>,
}

impl Sorted {
    fn of(spooled: SpooledFiles) -> Self {
        let mut sorted = Self::default();
        for (path, spooled) in spooled.files {
            match spooled.file.clone() {
                DataFile::ShardMaps => sorted.maps = Some(spooled),
                DataFile::Shard(shard) => {
                    sorted.shards.insert(path, (shard, spooled));
                }
                DataFile::View { shard, signature } => {
                    sorted.views.insert(path, (shard, signature, spooled));
                }
            }
        }
        sorted
    }
}
