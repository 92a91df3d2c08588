//! Copies a backup as it is: from an archive into a repository, or the other way round.

use std::collections::HashMap;

use archive::{EntrySource, Glance, Opened, Progress};
use contents::{BackupSummary, Destination, FileEntry, FileProblem, Files, LostFile, Metadata};
use outcome::report::Reporter;
use outcome::{Code, Failure, Result, parallel};
use serde::Serialize;
use store::Place;

/// Files of at most so many bytes are read at once.
const SMALL: u64 = 1 << 20;

/// A backup that was copied.
#[derive(Debug, Clone, Serialize)]
pub struct Transferred {
    /// Where the copy is.
    pub to: String,
    /// Files in it.
    pub files: u64,
    /// Bytes of these files.
    pub content_bytes: u64,
    /// Bytes that were stored for it.
    pub stored_bytes: u64,
    /// Files that were left out because they cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<FileProblem>,
}

/// Copies a backup with all files and its record. Every byte was compared with its hash when the copy is complete.
///
/// With `skip_damaged`, all files are read before, and those that cannot be read are left out and recorded as problems; the shard maps
/// and `metadata.yaml` are not left out. Fails if the backup is an archive that can only be read from beginning to end.
pub fn transfer(
    from: &Place,
    to: &Destination,
    threads: usize,
    skip_damaged: bool,
    reporter: &dyn Reporter,
) -> Result<Transferred> {
    let source = contents::open(from)?;
    let Some(files) = source.files() else {
        return Err(Failure::refused(
            Code::new("CC-A16"),
            format!("{} has no table of contents: another program made it", source.name()),
            "Copy it with `couchcopy unbrand` first: the result has one.",
        ));
    };
    let mut summary = BackupSummary::of(files.record()).ok_or_else(|| {
        Failure::refused(
            Code::new("CC-A17"),
            format!("{} does not record how it was made", source.name()),
            "Copy an archive that `couchcopy backup` made.",
        )
    })?;
    let reserved = to.clone().made_at(summary.date.parse().ok()).reserve()?;
    let recorded = match files.read(archive::METADATA, SMALL)? {
        Some(text) => Metadata::from_yaml(&text).map(|metadata| metadata.backup.source.nodes_names),
        None => None,
    };
    let nodes = recorded.unwrap_or_else(|| summary.nodes.clone());
    let total = files.content_bytes();
    let lost = if skip_damaged { find_lost(files, total, threads, reporter)? } else { HashMap::new() };
    let path = |name: &str| name.strip_prefix(files.root()).unwrap_or(name).to_owned();
    let problem =
        |(name, problem): (&String, &String)| FileProblem { path: path(name), problem: problem.clone() };
    let mut left_out: Vec<FileProblem> = lost.iter().map(problem).collect();
    left_out.sort();
    summary.problems.extend(left_out.iter().cloned());
    let mut backup = reserved.begin(&nodes, &[], total, parallel::threads(threads))?;
    reporter.phase_of_bytes("copying files", None, Some(total));
    let advance = |progress: Progress| reporter.advance(progress.entries, progress.content_bytes);
    // The first error ends the list; it comes out of the source in its place.
    let is_kept =
        |entry: &Result<FileEntry>| !entry.as_ref().is_ok_and(|entry| lost.contains_key(&entry.name));
    let sources = files.entries().filter(is_kept).map(|entry| FileSource { entry: Some(entry), files });
    backup.add_all(sources, &advance, &|| {})?;
    let count = backup.added().entries;
    let finished = backup.finish_with(BackupSummary::is_complete, |_| summary)?;
    let to = match &finished.in_repository {
        Some(added) => format!("{}::{}", to.name(), added.name),
        None => to.name(),
    };
    Ok(Transferred {
        to,
        files: count,
        content_bytes: finished.content_bytes,
        stored_bytes: finished.stored_bytes,
        left_out,
    })
}

/// The files that can be left out and cannot be read, with the reason.
fn find_lost(
    files: &dyn Files,
    total: u64,
    threads: usize,
    reporter: &dyn Reporter,
) -> Result<HashMap<String, String>> {
    reporter.phase_of_bytes("looking for damaged files", None, Some(total));
    let maps = format!("{}{}", files.root(), couchfile::data_dir::SHARD_MAPS);
    let wanted = |name: &str| name != maps && name != archive::METADATA;
    let lost = contents::damaged_files(files, threads, &wanted, &|bytes| reporter.advance(0, bytes))?;
    Ok(lost.into_iter().map(|LostFile { name, problem }| (name, problem)).collect())
}

/// A file of a backup, for another backup.
struct FileSource<'f> {
    entry: Option<Result<FileEntry>>,
    files: &'f dyn Files,
}

impl EntrySource for FileSource<'_> {
    fn glance(&self) -> Option<Glance> {
        let entry = self.entry.as_ref()?.as_ref().ok()?;
        Some(Glance { name: entry.name.clone(), stat: None })
    }

    fn open(self, buf: &mut Vec<u8>) -> Result<Opened> {
        let Some(entry) = self.entry else { return Ok(Opened::Skip) };
        let FileEntry { name, size, facts, .. } = entry?;
        let mtime = jiff::Timestamp::now().as_second().unsigned_abs();
        let missing = || Failure::bug(format!("{name} is listed, but not there"));
        if size <= SMALL {
            *buf = self.files.read(&name, SMALL)?.ok_or_else(missing)?;
            return Ok(Opened::Small { name, mtime, facts, seen: None });
        }
        let opened = self.files.open(&name)?.ok_or_else(missing)?;
        Ok(Opened::Large { name, mtime, facts, seen: None, data: opened.content })
    }
}
