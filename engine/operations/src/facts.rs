//! The backups at a place.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use contents::BackupSummary;
use jiff::Timestamp;
use outcome::{Code, Failure, Result};
use repository::{ListedBackup, Repository};
use serde::Serialize;
use store::Place;

use crate::records::{Records, RunRecord, Verification};

/// The most archives that are opened to find one that is complete.
const OPENED: usize = 5;
/// What the name of an archive ends in.
const ENDINGS: [&str; 4] = [".tar.gz", ".tgz", ".tar.gz.age", ".tgz.age"];

/// The backups at a place.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Facts {
    /// The repository, or the directory of archives.
    pub place: String,
    /// Each source on its own: the same nodes, with their data directories in the same places.
    pub sources: Vec<SourceFacts>,
    /// Backups that cannot be read, or lack something.
    pub damaged: Vec<String>,
    /// Bytes that are free in the file system, if it is a directory of this machine.
    pub free_bytes: Option<u64>,
}

/// The backups of one source.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SourceFacts {
    /// Names of the nodes.
    pub nodes: Vec<String>,
    /// Where their data directories are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source: Vec<String>,
    /// Backups that are there.
    pub backups: u64,
    /// The newest one.
    pub newest: Option<BackupFacts>,
    /// The newest complete one.
    pub complete: Option<BackupFacts>,
    /// The last verification on this machine.
    pub verification: Option<Verification>,
    /// When nothing was found to be new since the newest complete backup, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<i64>,
}

impl SourceFacts {
    /// The latest moment whose state the newest complete backup holds, in seconds since 1970.
    pub fn fresh(&self) -> Option<i64> {
        let complete = self.complete.as_ref()?;
        Some(self.unchanged.map_or(complete.begun, |unchanged| unchanged.max(complete.begun)))
    }
}

/// A backup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BackupFacts {
    /// Its id, or the name of the archive.
    pub id: String,
    /// When it began, in seconds since 1970.
    pub begun: i64,
    /// When it was complete, in seconds since 1970.
    pub ended: i64,
    /// Bytes of all files in it.
    pub content_bytes: u64,
    /// Bytes of content that were new, if this is recorded.
    pub new_bytes: Option<u64>,
    /// Bytes that were stored for it.
    pub stored_bytes: u64,
}

impl Facts {
    /// The backups in a repository. With `of`, only those of this node, machine or data directory.
    pub fn of_repository(
        repository: &Repository,
        of: Option<&str>,
        records: Option<&Records>,
    ) -> Result<Self> {
        let mut facts = Self { place: repository.name(), ..Self::default() };
        for ListedBackup { name, snapshot, lacks } in repository.list()? {
            let Ok(snapshot) = snapshot else {
                facts.damaged.push(name.to_string());
                continue;
            };
            if of.is_some_and(|of| !snapshot.is_of(of)) {
                continue;
            }
            let is_damaged = !lacks.is_empty();
            if is_damaged {
                facts.damaged.push(name.to_string());
            }
            let backup = BackupFacts {
                id: name.to_string(),
                begun: second(&snapshot.begun).unwrap_or_else(|| name.second()),
                ended: second(&snapshot.committed).unwrap_or_else(|| name.second()),
                content_bytes: snapshot.content_bytes,
                new_bytes: Some(snapshot.new_bytes),
                stored_bytes: snapshot.added_bytes,
            };
            let is_complete = snapshot.complete && !is_damaged;
            facts.add(snapshot.nodes, snapshot.source, backup, is_complete);
        }
        for source in &mut facts.sources {
            source.verification =
                records.and_then(|records| records.last_verification(repository.id(), &source.nodes));
        }
        Ok(facts)
    }

    /// The archives in a directory: files whose names end as those of archives do. `place` is the directory, with the keys that
    /// open them.
    pub fn of_folder(place: &Place, records: Option<&Records>) -> Result<Self> {
        let Some(folder) = place.path().map(Path::to_owned) else {
            return Err(Failure::refused(
                Code::new("CC-M10"),
                format!("{} is neither a repository nor a directory of this machine", place.location()),
                "Name a repository, or a directory that holds archives.",
            ));
        };
        let mut facts = Self { place: folder.display().to_string(), ..Self::default() };
        let mut archives = archives_in(&folder)?;
        // The newest first.
        archives.sort_by(|one, other| other.cmp(one));
        let mut source = SourceFacts { backups: archives.len() as u64, ..SourceFacts::default() };
        // Archives of other programs record nothing, and neither does what is left of one that was cut short.
        let (mut unrecorded, mut has_records) = (None, false);
        for (modified, path, length) in archives.into_iter().take(OPENED) {
            let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let mut backup = BackupFacts {
                id,
                begun: modified,
                ended: modified,
                stored_bytes: length,
                ..BackupFacts::default()
            };
            let opened =
                place.same_stores(&path.display().to_string()).and_then(|place| contents::open(&place));
            let is_complete = match opened {
                // Without its key, an archive counts by its date: only complete ones get their names.
                Err(failure) if failure.kind() == outcome::FailureKind::Refused => true,
                Err(_) => {
                    facts.damaged.push(backup.id.clone());
                    false
                }
                Ok(opened) => {
                    if source.verification.is_none() {
                        source.verification =
                            records.and_then(|records| records.last_verification(opened.identity(), &[]));
                    }
                    let summary = opened.files().and_then(|files| {
                        backup.content_bytes = files.content_bytes();
                        BackupSummary::of(files.record())
                    });
                    if let Some(summary) = &summary {
                        has_records = true;
                        source.nodes.clone_from(&summary.nodes);
                        backup.begun = second(&summary.date).unwrap_or(modified);
                    } else {
                        unrecorded.get_or_insert_with(|| backup.clone());
                    }
                    summary.is_some_and(|summary| summary.is_complete())
                }
            };
            source.newest.get_or_insert_with(|| backup.clone());
            if is_complete {
                source.complete = Some(backup);
                break;
            }
        }
        if !has_records && source.complete.is_none() {
            source.complete = unrecorded;
        }
        facts.sources.push(source);
        Ok(facts)
    }

    /// The same with the free space of the file system, if the place is a directory of this machine.
    #[must_use]
    pub fn with_free_space(mut self, place: &Place) -> Self {
        let space = place.path().and_then(|path| rustix::fs::statvfs(path).ok());
        self.free_bytes = space.map(|space| space.f_bavail.saturating_mul(space.f_frsize));
        self
    }

    /// The same with what the last runs found: a backup that adds nothing because nothing has changed leaves no other trace.
    #[must_use]
    pub fn with_runs(mut self, runs: &[RunRecord]) -> Self {
        for run in runs.iter().filter(|run| run.is_unchanged) {
            for source in self.sources.iter_mut().filter(|source| source.nodes == run.nodes) {
                if source.newest == source.complete {
                    source.unchanged = source.unchanged.max(second(&run.begun));
                }
            }
        }
        self
    }

    fn add(&mut self, nodes: Vec<String>, source: Vec<String>, backup: BackupFacts, is_complete: bool) {
        let known = self.sources.iter().position(|of| of.nodes == nodes && of.source == source);
        let at = known.unwrap_or_else(|| {
            self.sources.push(SourceFacts { nodes, source, ..SourceFacts::default() });
            self.sources.len() - 1
        });
        let Some(of) = self.sources.get_mut(at) else { return };
        of.backups += 1;
        if is_complete {
            of.complete = Some(backup.clone());
        }
        of.newest = Some(backup);
    }
}

/// A moment in seconds since 1970.
pub(crate) fn second(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

/// The archives in a directory: when each was changed, in seconds since 1970, its path and its length.
fn archives_in(folder: &Path) -> Result<Vec<(i64, PathBuf, u64)>> {
    let failed = |error| Failure::io("list", folder, error);
    let mut archives = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let is_archive =
            name.to_str().is_some_and(|name| ENDINGS.iter().any(|ending| name.ends_with(ending)));
        if !is_archive {
            continue;
        }
        // It may have been deleted since.
        let Ok(facts) = fs::metadata(entry.path()) else { continue };
        if facts.is_file() {
            let since = facts.modified().ok().and_then(|modified| modified.duration_since(UNIX_EPOCH).ok());
            let modified = since.map_or(0, |since| since.as_secs() as i64);
            archives.push((modified, entry.path(), facts.len()));
        }
    }
    Ok(archives)
}
