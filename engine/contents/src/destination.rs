//! Where a new backup goes: an archive, or a repository.

use std::path::{Path, PathBuf};

use archive::{ArchiveWriter, Documents, EntrySource, Facts, FileStat, Progress, WriterOptions};
use outcome::Result;
use repository::{Before, Finish, Repository, SnapshotOptions, SnapshotWriter};
use store::{Output, Place, Writing};

use crate::record::BackupSummary;

/// Where a new backup goes.
#[derive(Clone)]
pub enum Destination {
    /// An archive.
    Archive {
        /// Its place.
        place: Place,
        /// Whether to replace an existing archive (only when the new one is complete).
        overwrite: bool,
        /// Level of compression, 0 (fastest) to 12 (smallest).
        level: i32,
    },
    /// A repository.
    Repository {
        /// The repository.
        repository: Repository,
        /// The name of this machine.
        host: String,
        /// Open every file, also those that the file system says are as they were.
        paranoid: bool,
        /// When the backup was made, if it was made before and is only brought here.
        made: Option<jiff::Timestamp>,
        /// Add nothing if nothing has changed.
        only_if_changed: bool,
        /// Seconds for which the store locks objects; `None`: what the repository says.
        object_lock: Option<u64>,
    },
}

impl Destination {
    /// What messages call it.
    pub fn name(&self) -> String {
        match self {
            Self::Archive { place, .. } => place.to_string(),
            Self::Repository { repository, .. } => repository.name(),
        }
    }

    /// The same for a backup that was made before, and is only brought there.
    #[must_use]
    pub fn made_at(mut self, moment: Option<jiff::Timestamp>) -> Self {
        if let Self::Repository { made, only_if_changed, .. } = &mut self {
            (*made, *only_if_changed) = (moment, false);
        }
        self
    }

    /// A directory for files that are needed while the backup is made.
    pub fn temporary_folder(&self) -> PathBuf {
        let beside = match self {
            Self::Archive { place, .. } => place.path().map(Path::parent),
            Self::Repository { .. } => None,
        };
        match beside {
            Some(Some(folder)) if !folder.as_os_str().is_empty() => folder.to_owned(),
            Some(_) => PathBuf::from("."),
            None => std::env::temp_dir(),
        }
    }

    /// Makes sure that something can be written there. Refuses what exists already, unless it may be overwritten.
    pub fn reserve(&self) -> Result<ReservedDestination> {
        Ok(match self {
            Self::Archive { place, overwrite, level } => {
                ReservedDestination::Archive(place.create(*overwrite)?, *level)
            }
            Self::Repository { repository, host, paranoid, made, only_if_changed, object_lock } => {
                let options = SnapshotOptions {
                    host: host.clone(),
                    paranoid: *paranoid,
                    made: *made,
                    only_if_changed: *only_if_changed,
                    object_lock: *object_lock,
                    ..SnapshotOptions::new(Vec::new())
                };
                ReservedDestination::Repository(repository.clone(), options)
            }
        })
    }
}

/// A destination that can be written to. Nothing is there yet.
pub enum ReservedDestination {
    /// An archive, and its level of compression.
    Archive(Output, i32),
    /// A repository.
    Repository(Repository, SnapshotOptions),
}

impl ReservedDestination {
    /// Begins a backup of these nodes, of about `expected` bytes. `source` are the places of their data directories: a path on this
    /// machine, or a machine, a colon and a path.
    pub fn begin(
        self,
        nodes: &[String],
        source: &[String],
        expected: u64,
        threads: usize,
    ) -> Result<NewBackup> {
        Ok(match self {
            Self::Archive(output, level) => {
                let options = WriterOptions { level, threads };
                NewBackup::Archive(Box::new(ArchiveWriter::new(output.begin(expected)?, options)))
            }
            Self::Repository(repository, options) => {
                let here = |place: &String| {
                    if place.starts_with('/') { format!("{}:{place}", options.host) } else { place.clone() }
                };
                let source = source.iter().map(here).collect();
                let options = SnapshotOptions { nodes: nodes.to_vec(), source, threads, ..options };
                NewBackup::Repository(Box::new(SnapshotWriter::begin(&repository, options)?))
            }
        })
    }
}

/// A backup that is being written. It exists when it is finished.
///
/// Files come in the order of an archive: `metadata.yaml` first, then by name.
pub enum NewBackup {
    /// An archive.
    Archive(Box<ArchiveWriter<Writing>>),
    /// In a repository.
    Repository(Box<SnapshotWriter>),
}

impl NewBackup {
    /// Adds a file that is in memory. `mtime` is in seconds since 1970.
    pub fn add_bytes(&mut self, name: &str, mtime: u64, facts: Facts, content: &[u8]) -> Result<()> {
        match self {
            Self::Archive(writer) => Ok(writer.add_bytes(name, mtime, facts, content)?),
            Self::Repository(writer) => writer.add_bytes(name, mtime, facts, content),
        }
    }

    /// Adds files; see [`ArchiveWriter::add_all_waiting`].
    pub fn add_all<S: EntrySource>(
        &mut self,
        sources: impl Iterator<Item = S> + Send,
        progress: &(dyn Fn(Progress) + Sync),
        give_up: &(dyn Fn() + Sync),
    ) -> Result<()> {
        match self {
            Self::Archive(writer) => Ok(writer.add_all_waiting(sources, progress, give_up)?),
            Self::Repository(writer) => writer.add_all_waiting(sources, progress, give_up),
        }
    }

    /// What the new backup knows of these files, in the order of a backup, from the one that it builds on. Nothing of an archive.
    pub fn before(&self, files: &[(String, Option<FileStat>)]) -> Result<Vec<Before>> {
        match self {
            Self::Archive(_) => Ok(vec![Before::Unknown; files.len()]),
            Self::Repository(writer) => writer.before(files),
        }
    }

    /// What was added so far.
    pub fn added(&self) -> Progress {
        match self {
            Self::Archive(writer) => writer.added(),
            Self::Repository(writer) => writer.added(),
        }
    }

    /// Ends the backup. `record` makes what it records about itself from the number of documents.
    pub fn finish_with(
        self,
        complete: impl FnOnce(&BackupSummary) -> bool,
        record: impl FnOnce(Documents) -> BackupSummary,
    ) -> Result<FinishedBackup> {
        match self {
            Self::Archive(writer) => {
                let written = writer.finish_with(|documents| serde_json::to_value(record(documents)))?;
                written.out.commit()?;
                Ok(FinishedBackup {
                    content_bytes: written.content_bytes,
                    stored_bytes: written.archive_bytes,
                    in_repository: None,
                    is_unchanged: false,
                })
            }
            Self::Repository(writer) => {
                let added = writer.finish_with(|documents| {
                    let summary = record(documents);
                    Ok(Finish {
                        complete: complete(&summary),
                        databases: summary.databases,
                        documents: summary.documents,
                        record: serde_json::to_value(summary)?,
                    })
                })?;
                Ok(match added {
                    None => FinishedBackup { is_unchanged: true, ..FinishedBackup::default() },
                    Some(added) => FinishedBackup {
                        content_bytes: added.snapshot.content_bytes,
                        stored_bytes: added.snapshot.added_bytes,
                        in_repository: Some(added),
                        is_unchanged: false,
                    },
                })
            }
        }
    }
}

/// A finished backup.
#[derive(Debug, Clone, Default)]
pub struct FinishedBackup {
    /// Bytes of the files saved.
    pub content_bytes: u64,
    /// Bytes that were stored for it.
    pub stored_bytes: u64,
    /// What the repository records of it, if it is in one.
    pub in_repository: Option<repository::Added>,
    /// Whether nothing was added because nothing has changed.
    pub is_unchanged: bool,
}
