//! The backups at a place, as a command line names it.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use contents::{AnySource, BackupId, RepositoryBackups, unusable};
use couchfile::database::Database;
use lru::LruCache;
use outcome::report::Reporter;
use outcome::{Code, Failure, Lock as _, Result};
use snapshot::SnapshotDatabase;
use store::Place;

use super::copies::{Backups, Copies, Lineage};
use crate::documents;

/// Backups that are kept open: the one that holds the file, the one that is compared with it, and one more.
const OPEN: NonZeroUsize = NonZeroUsize::new(3).unwrap();

/// A database in the backups at a place: a `.couch` file, an archive, a backup in a repository, or all backups of a repository.
pub(super) struct Places {
    place: Place,
    db: String,
    threads: usize,
    repository: Option<RepositoryBackups>,
    /// The backups of the repository, the newest first, each with the time when it began. Nothing of an archive.
    backups: Vec<(BackupId, String)>,
    opened: Mutex<LruCache<usize, Option<Arc<SnapshotDatabase>>>>,
    /// The only file, if the place is one.
    alone: Option<Database<AnySource>>,
}

impl Places {
    /// Finds the backups. `db` is `None` if the place is a `.couch` file.
    pub(super) fn open(place: &Place, db: Option<&str>, threads: usize) -> Result<Self> {
        let repository = if db.is_some() { RepositoryBackups::at(place)? } else { None };
        let backups = match &repository {
            None => Vec::new(),
            Some(repository) => {
                let mut names = repository.names()?;
                names.reverse();
                let described = repository.described(&names).into_iter();
                described.map(|(name, backup)| Ok((name, backup?.begun))).collect::<Result<_>>()?
            }
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
            repository,
            backups,
            opened: Mutex::new(LruCache::new(OPEN)),
            alone,
        })
    }

    /// As [`Copies::lineages`].
    ///
    /// Fails if no backup holds the database.
    pub(super) fn lineages(
        &self,
        copies: &Copies<'_>,
        document: Option<&str>,
        reporter: &dyn Reporter,
    ) -> Result<Vec<Lineage>> {
        copies.lineages(document, reporter)?.ok_or_else(|| {
            Failure::refused(
                Code::new("CC-H09"),
                format!("no backup in {} holds a database {}", self.place, self.db),
                "`couchcopy ls BACKUP` lists the databases.",
            )
        })
    }
}

impl Backups for Places {
    fn count(&self) -> usize {
        if self.repository.is_some() { self.backups.len() } else { 1 }
    }

    fn name(&self, backup: usize) -> String {
        match self.backups.get(backup) {
            Some((name, _)) => format!("{}::{name}", self.place),
            None => self.place.to_string(),
        }
    }

    fn begun(&self, backup: usize) -> Option<&str> {
        Some(self.backups.get(backup)?.1.as_str())
    }

    fn database(&self, backup: usize, reporter: &dyn Reporter) -> Result<Option<Arc<SnapshotDatabase>>> {
        if let Some(known) = self.opened.locked().get(&backup) {
            return Ok(known.clone());
        }
        let only = Some(vec![self.db.clone()]);
        let snapshot = match (&self.repository, self.backups.get(backup)) {
            (Some(repository), Some((name, _))) => match repository.open(*name)? {
                Some(source) => documents::open_source(source, only, None, self.threads, reporter)?,
                // It has been deleted since.
                None => return Ok(None),
            },
            _ => documents::open(&self.place, only, None, self.threads, reporter)?,
        };
        let database = snapshot.database(&self.db)?;
        self.opened.locked().push(backup, database.clone());
        Ok(database)
    }

    fn alone(&self) -> Option<&Database<AnySource>> {
        self.alone.as_ref()
    }
}
