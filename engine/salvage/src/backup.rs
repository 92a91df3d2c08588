//! Writes what was recovered as a backup: an archive, or a backup in a repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use archive::{EntrySource, Facts, Opened, Progress};
use contents::{
    ArchivedMaps, BackupSummary, FileProblem, Metadata, ReservedDestination, shard_header, unusable,
};
use couchfile::data_dir::{DataFile, SHARD_MAPS, ShardName, locate};
use couchfile::read_at::FileBytes;
use outcome::report::Reporter;
use outcome::{Failure, Result, parallel};

use crate::report::{Grade, ShardReport};

/// The directory in a backup that holds the data directory.
const ROOT: &str = "data/";

/// Writes a data directory as a backup. What the reports say is lost, and shards of which nothing was found, are recorded as
/// problems of the backup.
pub(crate) fn write(
    data: &Path,
    reserved: ReservedDestination,
    reports: &[ShardReport],
    threads: usize,
    reporter: &dyn Reporter,
) -> Result<()> {
    let maps_path = data.join(SHARD_MAPS);
    let maps = ArchivedMaps::new(Box::new(open(&maps_path)?))?;
    let shards = shards(data)?;
    let (mut nodes, mut databases) = (BTreeSet::new(), 0);
    let mut problems: Vec<FileProblem> = reports.iter().filter_map(problem).collect();
    maps.for_each_map(|map| {
        databases += 1;
        for shard in map.shards() {
            let path = shard.path();
            if !shards.contains_key(&path) {
                problems.push(FileProblem { path, problem: "no file of it was found".into() });
            }
        }
        nodes.extend(map.by_range.into_values().flatten());
        Ok(())
    })?;
    problems.sort();
    let nodes: Vec<String> = nodes.into_iter().collect();
    let metadata = Metadata::now(nodes.clone());
    let now = jiff::Timestamp::now().as_second().unsigned_abs();
    let bytes = total(shards.values().map(|(_, file)| file).chain([&maps_path]))?;
    let mut backup = reserved.begin(&nodes, &[], bytes, parallel::threads(threads))?;
    reporter.phase_of_bytes("writing the backup", Some(shards.len() as u64), Some(bytes));
    let advance = |progress: Progress| reporter.advance(progress.entries, progress.content_bytes);
    backup.add_bytes(archive::METADATA, now, Facts::Metadata, metadata.to_yaml().as_bytes())?;
    let header = maps.database().header();
    let facts = Facts::ShardMaps {
        node: None,
        maps: databases,
        uuid: header.uuid.clone(),
        seq: header.update_seq,
        header: maps.database().header_offset(),
    };
    let maps_file =
        Saved { name: archive::DBS.to_owned(), path: maps_path.clone(), mtime: now, kind: Kind::Maps(facts) };
    let files = shards.iter().map(|(path, (shard, file))| Saved {
        name: format!("{ROOT}{path}"),
        path: file.clone(),
        mtime: now,
        kind: Kind::Shard(shard.clone()),
    });
    backup.add_all(std::iter::once(maps_file).chain(files), &advance, &|| {})?;
    let date = metadata.backup.date;
    backup.finish_with(BackupSummary::is_complete, |documents| BackupSummary {
        nodes,
        date,
        databases,
        shards: shards.len() as u64,
        documents: Some(documents.live),
        deleted_documents: Some(documents.deleted),
        problems,
        ..BackupSummary::default()
    })?;
    Ok(())
}

/// The shards in a data directory with their files, in the order of a backup.
fn shards(data: &Path) -> Result<BTreeMap<String, (ShardName, PathBuf)>> {
    let mut shards = BTreeMap::new();
    let mut folders = vec![data.join("shards")];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(Failure::io("read the directory", folder, e)),
        };
        for entry in entries {
            let path = entry.map_err(|e| Failure::io("read the directory", &folder, e))?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(data).unwrap_or(&path).to_string_lossy().into_owned();
            if let Some((_, DataFile::Shard(shard))) = locate(&name) {
                shards.insert(name, (shard, path));
            }
        }
    }
    Ok(shards)
}

/// What is lost of a shard; `None` if nothing is.
fn problem(report: &ShardReport) -> Option<FileProblem> {
    let documents = &report.documents;
    let all: u64 = Grade::ALL.iter().map(|&grade| documents.of(grade)).sum();
    let lost = all - documents.whole + report.nameless();
    let problem = if lost > 0 {
        format!("salvaged: {lost} of {} documents are not whole", all + report.nameless())
    } else if documents.lost_conflicts > 0 {
        format!("salvaged: {} revisions in conflict are lost", documents.lost_conflicts)
    } else if documents.perhaps_not_newest > 0 || !report.shows_newest_state() {
        "salvaged: the newest changes may be lost".to_owned()
    } else {
        return None;
    };
    Some(FileProblem { path: report.path.clone(), problem })
}

fn open(path: &Path) -> Result<FileBytes> {
    File::open(path).and_then(FileBytes::new).map_err(|e| Failure::io("open", path, e))
}

fn total<'p>(files: impl Iterator<Item = &'p PathBuf>) -> Result<u64> {
    files.map(|file| Ok(std::fs::metadata(file).map_err(|e| Failure::io("open", file, e))?.len())).sum()
}

/// A file of the backup.
struct Saved {
    name: String,
    path: PathBuf,
    mtime: u64,
    kind: Kind,
}

enum Kind {
    Maps(Facts),
    Shard(ShardName),
}

impl EntrySource for Saved {
    fn open(self, _: &mut Vec<u8>) -> Result<Opened> {
        let Self { name, path, mtime, kind } = self;
        let data = open(&path)?;
        let facts = match kind {
            Kind::Maps(facts) => facts,
            Kind::Shard(shard) => {
                let (header, _) = shard_header(&data).map_err(|e| unusable(path.display().to_string(), e))?;
                header.facts(shard, None)
            }
        };
        Ok(Opened::Large { name, mtime, facts, seen: None, data: Box::new(data) })
    }
}
