//! All that is served.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use contents::{BackupId, RepositoryBackups};
use lru::LruCache;
use outcome::Lock as _;
use snapshot::{Moment, OpenOptions, Snapshot};

use super::archive::Archive;
use super::reference::Reference;
use crate::options::{Options, Served};

/// Backups that are kept open besides those that are always open: two that are compared, and one more.
const OPEN: NonZeroUsize = NonZeroUsize::new(3).unwrap();
/// How long the list of a repository's backups is used before it is read again.
const NAMES_AGE: Duration = Duration::from_secs(10);

/// All that is served.
pub(crate) struct Site {
    /// The archives and repositories, in the order in which they were given.
    pub(crate) served: Vec<ServedArchive>,
    /// The user that requests must authenticate as, if any.
    pub(crate) user: Option<String>,
    /// Identifies this server, as a CouchDB's uuid does.
    pub(crate) uuid: String,
    /// Options that a command needs to read the same archives.
    pub(crate) flags: Vec<String>,
    only: Option<Arc<BTreeSet<String>>>,
    opened: Mutex<LruCache<Reference, Slot>>,
}

/// A backup that is open, or being opened by whoever holds the lock.
type Slot = Arc<Mutex<Option<Arc<Archive>>>>;

/// An archive, or a repository.
pub(crate) struct ServedArchive {
    /// The archive, or the backup that was the newest when the server started.
    pub(crate) archive: Arc<Archive>,
    /// Where it is, as a command names it; `None` if no command could read it once more.
    pub(crate) location: Option<String>,
    /// The backups, if it is a repository.
    pub(crate) repository: Option<ServedRepository>,
}

/// A repository.
pub(crate) struct ServedRepository {
    /// Its backups.
    pub(crate) backups: Arc<RepositoryBackups>,
    /// The one that is always open.
    pub(crate) newest: BackupId,
    names: Mutex<Option<(Instant, Arc<Vec<BackupId>>)>>,
}

impl Site {
    /// What these options want served.
    pub(crate) fn new(options: &Options) -> Self {
        let only = options.only.as_ref().map(|only| Arc::new(only.iter().cloned().collect::<BTreeSet<_>>()));
        let served = options.archives.iter().map(|Served { backup, location, repository }| ServedArchive {
            archive: Arc::new(Archive::new(Arc::clone(backup), only.clone())),
            location: location.clone(),
            repository: repository.as_ref().map(|(backups, newest)| ServedRepository {
                backups: Arc::clone(backups),
                newest: *newest,
                names: Mutex::default(),
            }),
        });
        let user = options.authentication.as_ref().map(|user| user.name.clone());
        // The same archives are the same server: replicators find their checkpoints by it.
        let identities: Vec<&str> = options.archives.iter().map(|its| its.backup.identity()).collect();
        let uuid = uuid_of(&identities);
        let opened = Mutex::new(LruCache::new(OPEN));
        Self { served: served.collect(), user, uuid, flags: options.flags.clone(), only, opened }
    }

    /// The archive or repository of a number from 1.
    pub(crate) fn served(&self, number: usize) -> Option<&ServedArchive> {
        self.served.get(number.checked_sub(1)?)
    }

    /// The backup of a reference, opened if it is not open; `None` if there is no such backup.
    pub(crate) fn find(&self, reference: Reference) -> snapshot::Result<Option<Arc<Archive>>> {
        let Some(served) = self.served(reference.number) else { return Ok(None) };
        let reference = match (&served.repository, reference.backup) {
            (None, Some(_)) => return Ok(None),
            (Some(repository), Some(backup)) if backup == repository.newest => {
                Reference { backup: None, ..reference }
            }
            _ => reference,
        };
        if reference == Reference::newest(reference.number) {
            return Ok(Some(Arc::clone(&served.archive)));
        }
        let slot = Arc::clone(self.opened.locked().get_or_insert(reference, Slot::default));
        // Others that want the same backup wait here until it is open.
        let mut open = slot.locked();
        if open.is_none() {
            *open =
                self.open(served, reference)?.map(|backup| Arc::new(Archive::new(backup, self.only.clone())));
        }
        Ok(open.clone())
    }

    fn open(&self, served: &ServedArchive, reference: Reference) -> snapshot::Result<Option<Arc<Snapshot>>> {
        if let Some((range, sequence)) = reference.state {
            let Some(saved) = self.find(reference.at(None))? else { return Ok(None) };
            let moment = Moment::of_seqs([format!("{range}={sequence}").as_str()])?;
            return saved.snapshot.at_moment(moment).map(Some);
        }
        let (Some(repository), Some(backup)) = (&served.repository, reference.backup) else {
            return Ok(None);
        };
        let Some(source) = repository.backups.open(backup)? else { return Ok(None) };
        let only = self.only.as_ref().map(|only| only.iter().cloned().collect());
        let options = OpenOptions { only, ..OpenOptions::default() };
        Snapshot::of_source(source, &options, &|_| {}).map(Some)
    }
}

impl ServedRepository {
    /// The ids of all its backups, the oldest first. New backups appear after some seconds.
    pub(crate) fn names(&self) -> snapshot::Result<Arc<Vec<BackupId>>> {
        let mut known = self.names.locked();
        if let Some((read, names)) = &*known
            && read.elapsed() < NAMES_AGE
        {
            return Ok(Arc::clone(names));
        }
        let names = Arc::new(self.backups.names()?);
        *known = Some((Instant::now(), Arc::clone(&names)));
        Ok(names)
    }
}

/// 32 hexadecimal digits that are the same for the same texts.
fn uuid_of(texts: &[&str]) -> String {
    let half = |salt: &str| {
        let mut parts = vec![salt];
        parts.extend(texts);
        crate::http::opaque_etag(&parts).replace('"', "")
    };
    format!("{}{}", half("a"), half("b"))
}
