//! The files of a database in all backups at a place.
//!
//! CouchDB only appends to a file until a compaction replaces it. Where a repository holds the same file several times, the newest
//! one begins with all older ones, and only that one is read; the others are marks in it that show when it was how long.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use contents::{AnySource, BackupOfRepository, backups_in, unusable};
use couchfile::data_dir::Range;
use couchfile::database::Database;
use couchfile::states::State;
use lru::LruCache;
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Code, Failure, Lock as _, Result, with_causes};
use snapshot::SnapshotDatabase;
use store::Place;

use crate::documents;

/// Backups that are kept open.
const OPEN: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// The files of a database in the backups at a place.
pub(super) struct Copies {
    place: Place,
    db: String,
    threads: usize,
    /// The newest first. An archive is the only one.
    backups: Vec<Backup>,
    opened: Mutex<LruCache<usize, Option<Arc<SnapshotDatabase>>>>,
    /// The only file, if the place is one.
    alone: Option<Database<AnySource>>,
}

struct Backup {
    place: Place,
    begun: Option<String>,
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

impl Copies {
    /// Opens a `.couch` file, an archive, a backup in a repository, or all backups of a repository.
    pub(super) fn open(place: &Place, db: Option<&str>, threads: usize) -> Result<Self> {
        let backups = match (db, backups_in(place)?) {
            (None, _) => Vec::new(),
            (Some(_), None) => vec![Backup { place: place.clone(), begun: None }],
            (Some(_), Some(backups)) => backups
                .into_iter()
                .map(|BackupOfRepository { place, begun }| Backup { place, begun: Some(begun) })
                .collect(),
        };
        let alone = if db.is_none() {
            let source: AnySource = Box::new(place.open()?.source);
            Some(Database::open(source).map_err(|e| unusable(place.to_string(), e))?)
        } else {
            None
        };
        Ok(Self {
            place: place.clone(),
            db: db.unwrap_or_default().to_owned(),
            threads,
            backups,
            opened: Mutex::new(LruCache::new(OPEN)),
            alone,
        })
    }

    /// The files of all shards, or of those that may hold a document: in the order of their ranges, and for each range the newest
    /// file first. Backups and files that cannot be read are reported.
    pub(super) fn lineages(&self, document: Option<&str>, reporter: &dyn Reporter) -> Result<Vec<Lineage>> {
        if let Some(file) = &self.alone {
            let copy = Copy { backup: 0, shard: 0, path: self.place.to_string(), range: None };
            let marks = vec![Mark { offset: file.header_offset(), backup: 0 }];
            return Ok(vec![Lineage { copy, marks }]);
        }
        let mut lineages: Vec<Lineage> = Vec::new();
        let mut is_found = false;
        for backup in 0..self.backups.len() {
            let database = match self.database(backup, reporter) {
                Ok(Some(database)) => database,
                Ok(None) => continue,
                Err(e) if self.backups.len() > 1 => {
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
            return Err(Failure::refused(
                Code::new("CC-H09"),
                format!("no backup in {} holds a database {}", self.place, self.db),
                "`couchcopy ls BACKUP` lists the databases.",
            ));
        }
        // Stable: the newest one of each range stays the first.
        lineages.sort_by_key(|lineage| lineage.copy.range);
        Ok(lineages)
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
        if let Some(alone) = &self.alone {
            return work(alone);
        }
        let gone = || Failure::bug("a database that was open is not in its backup any more");
        let database = self.database(copy.backup, reporter)?.ok_or_else(gone)?;
        work(database.shard(copy.shard)?)
    }

    /// The database in a backup; `None` if the backup does not hold it.
    fn database(&self, backup: usize, reporter: &dyn Reporter) -> Result<Option<Arc<SnapshotDatabase>>> {
        if let Some(known) = self.opened.locked().get(&backup) {
            return Ok(known.clone());
        }
        let place = &self.backups[backup].place;
        let snapshot = documents::open(place, Some(vec![self.db.clone()]), None, self.threads, reporter)?;
        let database = snapshot.database(&self.db)?;
        self.opened.locked().push(backup, database.clone());
        Ok(database)
    }

    /// What messages call a backup.
    pub(super) fn name_of(&self, backup: usize) -> String {
        self.backups.get(backup).map_or_else(|| self.place.to_string(), |backup| backup.place.to_string())
    }

    /// When a backup began, if it is one of a repository.
    pub(super) fn begun(&self, backup: usize) -> Option<&str> {
        self.backups.get(backup)?.begun.as_deref()
    }

    /// Whether there is a choice of backups.
    pub(super) fn is_repository(&self) -> bool {
        self.backups.iter().any(|backup| backup.begun.is_some())
    }
}

fn problem(reporter: &dyn Reporter, failure: &Failure) {
    reporter.notice(&Notice { severity: Severity::Problem, text: with_causes(failure) });
}
