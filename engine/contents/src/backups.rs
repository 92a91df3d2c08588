//! All backups at a place.

use outcome::Result;
use repository::{Access, Repository, Selector, Snapshot, SnapshotName};
use store::{Location, Place};

use crate::source::{Source, stored};

/// A repository whose backups are listed and opened one by one.
pub struct RepositoryBackups {
    place: Place,
    repository: Repository,
}

impl RepositoryBackups {
    /// The backups at a place; `None` if the place is not a repository, or names one backup in it.
    pub fn at(place: &Place) -> Result<Option<Self>> {
        let repository = repository_at(place)?;
        Ok(repository.map(|repository| Self { place: place.clone(), repository }))
    }

    /// The repository.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The ids of all backups, the oldest first. Reads a list of names.
    pub fn names(&self) -> Result<Vec<SnapshotName>> {
        self.repository.snapshot_names()
    }

    /// The newest complete backup.
    ///
    /// Fails if the repository has none, or has backups of several sources.
    pub fn newest(&self) -> Result<SnapshotName> {
        Ok(self.repository.select(&Selector::default())?.0)
    }

    /// What is recorded about these backups, each with the reason if its record cannot be read. Backups that do not exist any
    /// more are left out.
    pub fn described(&self, names: &[SnapshotName]) -> Vec<(SnapshotName, Result<Snapshot>)> {
        self.repository.snapshots(names)
    }

    /// Opens a backup; `None` if it does not exist any more.
    pub fn open(&self, name: SnapshotName) -> Result<Option<Box<dyn Source>>> {
        let Some(snapshot) = self.repository.snapshot(name)? else { return Ok(None) };
        stored(self.repository.clone(), name, snapshot).map(Some)
    }
}

/// The repository at a place; `None` if there is none, or if the place names one backup in it.
fn repository_at(place: &Place) -> Result<Option<Repository>> {
    let may_be = match place.location() {
        Location::Path(path) => path.is_dir(),
        Location::Object(_) => true,
        Location::Standard | Location::Member(..) => false,
    };
    if !may_be {
        return Ok(None);
    }
    match Access::of(place)? {
        Some(access) if Repository::is_at(&access.directory)? => Repository::open(access).map(Some),
        _ => Ok(None),
    }
}

/// Whether a place is a repository as a whole.
pub fn is_repository(place: &Place) -> Result<bool> {
    Ok(repository_at(place)?.is_some())
}
