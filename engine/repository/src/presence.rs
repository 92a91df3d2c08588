//! Whether what a backup needs is there, by names and sizes, and which backups nobody has made sure of.
//!
//! A backup leaves a note (`intents/…`) from its beginning until it has made sure that no prune has taken anything that it needs.
//! If the note is still there, the machine was killed in between, or may not delete. So whether such a backup has everything is
//! looked up before it counts as complete.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use outcome::Failure;
use store::{Object, StoreError};

use crate::error::Result;
use crate::manifest::{Manifest, PackTable};
use crate::names::{INTENTS, MANIFESTS, PACKS, PackName, SnapshotName};
use crate::record::FileRecord;
use crate::repository::Repository;
use crate::snapshot::Snapshot;
use crate::snapshot_reader::OpenSnapshot;

/// The packs and manifests that a repository has at one moment.
pub(crate) struct Present {
    objects: HashMap<String, Object>,
}

impl Present {
    /// Lists them.
    pub(crate) fn of(repository: &Repository) -> Result<Self> {
        let mut objects = repository.directory().list(PACKS)?;
        objects.extend(repository.directory().list(MANIFESTS)?);
        Ok(Self { objects: objects.into_iter().map(|object| (object.key.clone(), object)).collect() })
    }

    /// Lists the manifests alone.
    pub(crate) fn manifests(repository: &Repository) -> Result<Self> {
        let objects = repository.directory().list(MANIFESTS)?;
        Ok(Self { objects: objects.into_iter().map(|object| (object.key.clone(), object)).collect() })
    }

    /// All objects by key.
    pub(crate) fn objects(&self) -> &HashMap<String, Object> {
        &self.objects
    }

    /// Whether there is an object of this key, whatever it is.
    pub(crate) fn has_name(&self, key: &str) -> bool {
        self.objects.contains_key(key)
    }

    /// Whether there is an object of this key and this size in bytes.
    pub(crate) fn has(&self, key: &str, size: u64) -> bool {
        self.objects.get(key).is_some_and(|object| object.size == size)
    }

    /// An object.
    pub(crate) fn get(&self, key: &str) -> Option<&Object> {
        self.objects.get(key)
    }

    /// Whether all parts of a backup's manifest are there.
    pub(crate) fn has_manifest(&self, snapshot: &Snapshot) -> bool {
        self.lacking_parts(snapshot).is_empty()
    }

    /// The keys of the parts of a backup's manifest that are missing or have another size.
    fn lacking_parts(&self, snapshot: &Snapshot) -> Vec<String> {
        let lacking = snapshot.parts().filter(|part| !self.has(&part.key, part.size));
        lacking.map(|part| part.key.clone()).collect()
    }

    /// The keys of the objects that a backup needs and that are missing or have another size.
    fn lacking(&self, repository: &Repository, snapshot: &Snapshot) -> Result<Vec<String>> {
        let mut lacking = self.lacking_parts(snapshot);
        // Which packs it needs is in its manifest.
        if lacking.is_empty() {
            let table = packs_of(repository, snapshot)?;
            let packs = table.packs().iter().filter(|pack| pack.used > 0);
            let packs = packs.filter(|pack| !self.has(&pack.name.key(), pack.size));
            lacking.extend(packs.map(|pack| pack.name.key()));
        }
        Ok(lacking)
    }
}

/// The packs of a backup. Only one part of its manifest is read, whatever the others are.
pub(crate) fn packs_of(repository: &Repository, snapshot: &Snapshot) -> Result<PackTable> {
    let newest = if snapshot.changes.is_empty() { &snapshot.base } else { &snapshot.changes };
    let last = newest.last().cloned().into_iter().collect();
    let alone = Snapshot { base: last, changes: Vec::new(), ..snapshot.clone() };
    Ok(Manifest::open(repository, &alone)?.packs().clone())
}

/// The backups that nobody has made sure of.
pub(crate) struct Unconfirmed<'r> {
    repository: &'r Repository,
    names: HashSet<SnapshotName>,
    /// What is there. Listed when it is needed, and after the snapshots: what a snapshot needs was written before it.
    present: OnceCell<Present>,
}

impl<'r> Unconfirmed<'r> {
    /// Reads the notes of backups.
    pub(crate) fn of(repository: &'r Repository) -> Result<Self> {
        let notes = repository.directory().list(INTENTS)?;
        let mut names = HashSet::new();
        for note in repository.at_once(&notes, |note| repository.get_signed::<String>("intent", &note.key)) {
            match note {
                Ok(Some((name, _))) => names.extend(name.parse::<SnapshotName>()),
                Err(failure) if failure.get::<StoreError>().is_some() => return Err(failure),
                // It is over by now, or a stranger has left it.
                Ok(None) | Err(_) => {}
            }
        }
        Ok(Self { repository, names, present: OnceCell::new() })
    }

    /// What a backup needs and lacks, if nobody has made sure of it. A backup of which this cannot be found out lacks its manifest.
    pub(crate) fn lacks(&self, name: SnapshotName, snapshot: &Snapshot) -> Result<Vec<String>> {
        if !self.names.contains(&name) {
            return Ok(Vec::new());
        }
        let present = if let Some(present) = self.present.get() {
            present
        } else {
            let present = Present::of(self.repository)?;
            self.present.get_or_init(|| present)
        };
        match present.lacking(self.repository, snapshot) {
            Err(failure) if failure.get::<StoreError>().is_none() => {
                Ok(snapshot.parts().map(|part| part.key.clone()).collect())
            }
            lacking => lacking,
        }
    }
}

/// A backup in the list of all.
pub struct ListedBackup {
    /// Its name.
    pub name: SnapshotName,
    /// What the repository records of it, or why that cannot be read.
    pub snapshot: Result<Snapshot, Failure>,
    /// Objects that it needs and that are missing, as far as this is known without reading every manifest: lists of files of any
    /// backup, and packs of backups that were killed before they could make sure of them.
    pub lacks: Vec<String>,
}

/// A file of a backup that cannot be read, because an object is missing or damaged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LostFile {
    /// Name of the file in the backup.
    pub name: String,
    /// Why it cannot be read.
    pub problem: String,
}

impl Repository {
    /// All backups, the oldest first, and what they lack.
    pub fn list(&self) -> Result<Vec<ListedBackup>> {
        let names = self.snapshot_names()?;
        let snapshots = self.snapshots(&names);
        if snapshots.iter().all(|(_, snapshot)| snapshot.is_err()) {
            let unreadable = |(name, snapshot)| ListedBackup { name, snapshot, lacks: Vec::new() };
            return Ok(snapshots.into_iter().map(unreadable).collect());
        }
        let unconfirmed = Unconfirmed::of(self)?;
        let manifests = Present::manifests(self)?;
        let listed = snapshots.into_iter().map(|(name, snapshot)| {
            let lacks = match &snapshot {
                Ok(snapshot) if manifests.has_manifest(snapshot) => unconfirmed.lacks(name, snapshot)?,
                Ok(snapshot) => manifests.lacking_parts(snapshot),
                Err(_) => Vec::new(),
            };
            let lacks = lacks.iter().map(|key| self.directory().name_of(key)).collect();
            Ok(ListedBackup { name, snapshot, lacks })
        });
        listed.collect()
    }

    /// The files of a backup that lie in packs that are missing or have another size. No data is read.
    pub fn lost_files(&self, backup: &OpenSnapshot) -> Result<Vec<LostFile>> {
        let present = Present::of(self)?;
        let table = packs_of(self, backup.snapshot())?;
        let lost = table.packs().iter().filter(|pack| !present.has(&pack.name.key(), pack.size));
        let lost: HashSet<PackName> = lost.map(|pack| pack.name).collect();
        let mut files = Vec::new();
        if lost.is_empty() {
            return Ok(files);
        }
        let pack_of = |file: &FileRecord| file.uses().map(|(pack, _)| pack).find(|pack| lost.contains(pack));
        for file in backup.files() {
            let file = file?;
            if let Some(pack) = pack_of(&file) {
                let key = pack.key();
                let what =
                    if present.has_name(&key) { "has another size than was written" } else { "is missing" };
                let problem = format!("{} {what}", self.directory().name_of(&key));
                files.push(LostFile { name: file.name, problem });
            }
        }
        Ok(files)
    }
}
