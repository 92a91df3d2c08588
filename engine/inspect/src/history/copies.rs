//! The files of a database in several backups.
//!
//! CouchDB only appends to a file until a compaction replaces it. Where a repository holds the same file several times, the newest
//! one begins with all older ones, and only that one is read; the others are marks in it that show when it was how long.

use std::sync::Arc;

use contents::{AnySource, unusable};
use couchfile::data_dir::Range;
use couchfile::database::Database;
use couchfile::states::State;
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Failure, Result, with_causes};
use snapshot::SnapshotDatabase;

/// The backups in which the files of a database are looked for, the newest first.
pub trait Backups {
    /// How many they are.
    fn count(&self) -> usize;

    /// What messages call a backup.
    fn name(&self, backup: usize) -> String;

    /// When a backup began, if it is one of several.
    fn begun(&self, backup: usize) -> Option<&str>;

    /// The database in a backup; `None` if the backup does not hold it.
    fn database(&self, backup: usize, reporter: &dyn Reporter) -> Result<Option<Arc<SnapshotDatabase>>>;

    /// The only file, if there is no backup but a single file.
    fn alone(&self) -> Option<&Database<AnySource>> {
        None
    }
}

/// The files of a database in some backups.
pub(super) struct Copies<'b> {
    backups: &'b dyn Backups,
}

/// A file in one backup.
#[derive(Debug, Clone)]
pub(super) struct Copy {
    /// Number of the backup.
    pub(super) backup: usize,
    /// Number of the shard in the backup.
    pub(super) shard: usize,
    /// Its path below the data directory.
    pub(super) path: String,
    pub(super) range: Option<Range>,
}

/// A file, with the shorter copies of it in older backups.
#[derive(Debug, Clone)]
pub(super) struct Lineage {
    pub(super) copy: Copy,
    /// The newest state of each copy, the newest first; the first one is that of `copy`.
    pub(super) marks: Vec<Mark>,
}

/// The newest state of a file in a backup.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    /// Offset of the header.
    pub(super) offset: u64,
    /// Number of the backup.
    pub(super) backup: usize,
}

impl<'b> Copies<'b> {
    /// The files in these backups.
    pub(super) fn of(backups: &'b dyn Backups) -> Self {
        Self { backups }
    }

    /// The files of all shards in the order of their ranges, and for each range the newest file first; or the files that may hold a
    /// document, the newest first. `None` if no backup holds the database. Backups and files that cannot be read are reported.
    pub(super) fn lineages(
        &self,
        document: Option<&str>,
        reporter: &dyn Reporter,
    ) -> Result<Option<Vec<Lineage>>> {
        if let Some(file) = self.backups.alone() {
            let copy = Copy { backup: 0, shard: 0, path: self.name_of(0), range: None };
            let marks = vec![Mark { offset: file.header_offset(), backup: 0 }];
            return Ok(Some(vec![Lineage { copy, marks }]));
        }
        let mut lineages: Vec<Lineage> = Vec::new();
        let mut is_found = false;
        for backup in 0..self.backups.count() {
            let database = match self.backups.database(backup, reporter) {
                Ok(Some(database)) => database,
                Ok(None) => continue,
                Err(e) if self.backups.count() > 1 => {
                    problem(reporter, &e);
                    continue;
                }
                Err(e) => return Err(e),
            };
            is_found = true;
            let numbers: Vec<usize> = match document {
                Some(id) => database.shards_of(id).collect(),
                None => (0..database.shards().count()).collect(),
            };
            for shard in numbers {
                let Some(name) = database.shards().nth(shard) else { continue };
                let copy = Copy { backup, shard, path: name.path(), range: Some(name.range) };
                match database.shard(shard) {
                    Ok(file) => self.place_in(&mut lineages, copy, &file.state(), reporter)?,
                    Err(e) if e.is_damage() => problem(reporter, &e.into()),
                    Err(e) => return Err(e.into()),
                }
            }
        }
        if !is_found {
            return Ok(None);
        }
        // Stable: the newest one of each range stays the first. Those that may hold a document follow each other in time, even if
        // shards were split between two backups.
        if document.is_none() {
            lineages.sort_by_key(|lineage| lineage.copy.range);
        }
        Ok(Some(lineages))
    }

    /// Adds a file to the newer file that begins with it, or as a new one.
    fn place_in(
        &self,
        lineages: &mut Vec<Lineage>,
        copy: Copy,
        newest: &State,
        reporter: &dyn Reporter,
    ) -> Result<()> {
        let mark = Mark { offset: newest.offset, backup: copy.backup };
        // The last one of this range: files that a compaction has replaced do not come back.
        if let Some(lineage) = lineages.iter_mut().rev().find(|lineage| lineage.copy.range == copy.range) {
            let same = self.with(&lineage.copy, reporter, |newer| {
                let state = newer.state_at(mark.offset).map_err(|e| unusable(&*lineage.copy.path, e))?;
                Ok(state.is_some_and(|state| state.is_same(newest)))
            })?;
            if same {
                lineage.marks.push(mark);
                return Ok(());
            }
        }
        lineages.push(Lineage { copy, marks: vec![mark] });
        Ok(())
    }

    /// Calls `work` with the file of a copy.
    pub(super) fn with<T>(
        &self,
        copy: &Copy,
        reporter: &dyn Reporter,
        work: impl FnOnce(&Database<AnySource>) -> Result<T>,
    ) -> Result<T> {
        if let Some(alone) = self.backups.alone() {
            return work(alone);
        }
        let gone = || Failure::bug("a database that was open is not in its backup any more");
        let database = self.backups.database(copy.backup, reporter)?.ok_or_else(gone)?;
        work(database.shard(copy.shard)?)
    }

    /// What messages call a backup.
    pub(super) fn name_of(&self, backup: usize) -> String {
        self.backups.name(backup)
    }

    /// When a backup began, if it is one of several.
    pub(super) fn begun(&self, backup: usize) -> Option<&str> {
        self.backups.begun(backup)
    }

    /// Whether there is a choice of backups.
    pub(super) fn is_repository(&self) -> bool {
        (0..self.backups.count()).any(|backup| self.begun(backup).is_some())
    }
}

fn problem(reporter: &dyn Reporter, failure: &Failure) {
    reporter.notice(&Notice { severity: Severity::Problem, text: with_causes(failure) });
}
