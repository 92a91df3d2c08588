//! All backups at a place.

use outcome::Result;
use repository::{Access, Repository};
use store::{Location, Place};

/// A backup in a repository.
#[derive(Clone)]
pub struct BackupOfRepository {
    /// Where it is: `REPO::ID`.
    pub place: Place,
    /// When it began (RFC 3339, UTC).
    pub begun: String,
}

/// The backups in a repository, the newest first; `None` if the place is not a repository, or names one backup in it.
///
/// Fails if a backup's description cannot be read.
pub fn backups_in(place: &Place) -> Result<Option<Vec<BackupOfRepository>>> {
    let Some(repository) = repository_at(place)? else { return Ok(None) };
    let mut names = repository.snapshot_names()?;
    names.reverse();
    let mut backups = Vec::with_capacity(names.len());
    for (name, snapshot) in repository.snapshots(&names) {
        let place = place.same_stores(&format!("{}::{name}", place.location()))?;
        backups.push(BackupOfRepository { place, begun: snapshot?.begun });
    }
    Ok(Some(backups))
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
