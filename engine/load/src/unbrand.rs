//! Makes an archive whose shard maps name one node with a new, random name.
//!
//! The Python couchcopy starts a CouchDB on such an archive under the name in the archive, and then has no shard map to change.
//! The shard maps are a file of the archive, so they can be changed without a CouchDB, and nothing else of an archive with a
//! table of contents is read.

mod maps;
mod sequential;
mod sources;

use std::path::PathBuf;

use archive::{Facts, IndexedArchive, Progress, Replacement, WriterOptions};
use contents::{ArchivedMaps, BackupSummary, FileProblem, Metadata, Program, no_maps, unusable};
use couchfile::read_at::ReadAt;
use couchfile::writer::random_uuid;
use outcome::report::Reporter;
use outcome::{Result, parallel};
use serde::Serialize;
use store::{Output, Place};

/// Random characters in the name of a node.
const RANDOM: usize = 10;

/// The options of unbrand.
#[derive(Debug, Clone)]
pub struct UnbrandOptions {
    /// The archive, which is not changed.
    pub archive: Place,
    /// The new archive.
    pub new: Place,
    /// Whether to replace an existing archive (only when the new one is complete).
    pub overwrite: bool,
    /// Compression level of what is compressed again, 0 (fastest) to 12 (smallest).
    pub level: i32,
    /// Number of threads; 0: the number of cores.
    pub threads: usize,
    /// Directory for the files of an archive without a table of contents until they are written.
    pub temporary: PathBuf,
}

/// A finished archive.
#[derive(Debug, Clone, Default, Serialize)]
pub struct UnbrandResult {
    /// The node that its shard maps name.
    pub node: String,
    /// Number of shard maps that name the node.
    pub databases: u64,
    /// Whether the files were copied without being compressed again.
    pub copied: bool,
    /// Bytes of the files.
    pub content_bytes: u64,
    /// Length of the archive in bytes.
    pub archive_bytes: u64,
    /// Shards that are missing or damaged, and why: those that the backup recorded and those that were found now.
    pub problems: Vec<FileProblem>,
    /// View indexes that were left out. CouchDB rebuilds them.
    pub views_left_out: Vec<String>,
    /// Files that a backup does not need; they are not in the new archive.
    pub ignored_files: u64,
}

impl UnbrandResult {
    /// Whether every shard that the archive should hold is in it.
    pub fn is_complete(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Makes the archive. Its path names a complete archive or the previous file at any time.
pub fn unbrand(options: &UnbrandOptions, reporter: &dyn Reporter) -> Result<UnbrandResult> {
    let output = options.new.create(options.overwrite)?;
    let node = node_name()?;
    let source = contents::open(&options.archive)?;
    match source.members() {
        Some(archive) => copy(archive, node, options, output, reporter),
        None => sequential::write(&*source, node, options, output, reporter),
    }
}

/// A name like those that the Python couchcopy generates.
fn node_name() -> Result<String> {
    let random = random_uuid().map_err(|e| unusable("a new shard map", e))?;
    Ok(format!("couchcopy-{}@127.0.0.1", random.get(..RANDOM).unwrap_or(&random)))
}

/// The metadata of the new archive: the time of the backup stays, the origin is the new node.
fn described(old: Option<Metadata>, node: &str) -> Metadata {
    let now = Metadata::now(vec![node.to_owned()]);
    let Some(mut metadata) = old else { return now };
    if metadata.backup.date.is_empty() {
        metadata.backup.date = now.backup.date;
    }
    metadata.backup.source = now.backup.source;
    let Program { version, implementation } = now.couchcopy;
    metadata.couchcopy = Program { version, implementation };
    metadata
}

fn writer_options(options: &UnbrandOptions) -> WriterOptions {
    WriterOptions { level: options.level, threads: parallel::threads(options.threads) }
}

fn now() -> u64 {
    jiff::Timestamp::now().as_second().unsigned_abs()
}

/// From an archive with a table of contents: two entries are rewritten, all others copied.
fn copy(
    archive: &IndexedArchive,
    node: String,
    options: &UnbrandOptions,
    output: Output,
    reporter: &dyn Reporter,
) -> Result<UnbrandResult> {
    let summary = BackupSummary::of(&archive.toc().summary).unwrap_or_default();
    let mut replaced_bytes = 0;
    let old = match archive.find(archive::METADATA)? {
        Some(entry) => {
            replaced_bytes += entry.size;
            Metadata::from_yaml(&archive.read(&entry, 1 << 20)?)
        }
        None => None,
    };
    let entry = archive.find(archive::DBS)?.ok_or_else(|| no_maps(archive.name()))?;
    replaced_bytes += entry.size;
    let old_maps = ArchivedMaps::new(Box::new(archive.open_entry(&entry)?))?;
    reporter.phase("rewriting the shard maps", None);
    let maps = maps::write(&old_maps, &node, &summary.deleted_meanwhile, options)?;
    let description = described(old, &node).to_yaml().into_bytes();
    let new_bytes = maps.content.len() as u64 + description.len() as u64;
    let bytes = archive.toc().bytes.saturating_sub(replaced_bytes).saturating_add(new_bytes);
    let replacements = vec![
        Replacement {
            name: archive::METADATA.to_owned(),
            mtime: now(),
            facts: Facts::Metadata,
            data: Box::new(description),
        },
        Replacement {
            name: archive::DBS.to_owned(),
            mtime: now(),
            facts: maps.facts.clone(),
            data: Box::new(maps.content),
        },
    ];
    reporter.phase_of_bytes("copying", Some(archive.toc().entries), Some(bytes));
    let told = |progress: Progress| reporter.advance(progress.entries, progress.content_bytes);
    let written = archive::rewrite(
        archive,
        replacements,
        output.begin(archive.toc().bytes)?,
        writer_options(options),
        archive.toc().summary.clone(),
        &told,
    )?;
    written.out.commit()?;
    let BackupSummary { problems, views_left_out, .. } = summary;
    Ok(UnbrandResult {
        node,
        databases: maps.count,
        copied: true,
        content_bytes: written.content_bytes,
        archive_bytes: written.archive_bytes,
        problems,
        views_left_out,
        ignored_files: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_and_differ() {
        let (a, b) = (node_name().unwrap(), node_name().unwrap());
        assert_ne!(a, b);
        assert_eq!(a.len(), "couchcopy-0123456789@127.0.0.1".len());
    }

    #[test]
    fn the_date_of_the_backup_stays() {
        let old = b"backup:\n  date: '2026-11-22T13:47:46.202160'\n  source:\n    nodes-names: [a@h, b@h]\n";
        let metadata = described(Metadata::from_yaml(old), "x@h");
        assert_eq!(metadata.backup.date, "2026-11-22T13:47:46.202160");
        assert_eq!(metadata.backup.source.nodes_names, ["x@h"]);
        assert_eq!(metadata.couchcopy.implementation.as_deref(), Some("rust"));
        assert!(!described(None, "x@h").backup.date.is_empty());
    }
}
