//! Checks that everything that backups name is there and as long as it should be, without reading data.

use std::collections::{HashMap, HashSet};

use store::Object;

use crate::error::{RepositoryError, Result};
use crate::manifest::{Listed, Manifest};
use crate::names::{MANIFESTS, PACKS, SnapshotName};
use crate::repository::Repository;
use crate::snapshot::Snapshot;

/// Something that is wrong with a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The object.
    pub object: String,
    /// What is wrong with it.
    pub problem: String,
    /// The backups that cannot be restored completely because of it.
    pub backups: Vec<SnapshotName>,
}

/// What a check found.
#[derive(Debug, Default)]
pub struct Checked {
    /// Backups that were checked.
    pub backups: u64,
    /// Objects that they need.
    pub objects: u64,
    /// Bytes of these objects.
    pub bytes: u64,
    /// Objects that no backup needs.
    pub unneeded: u64,
    /// Bytes of these objects.
    pub unneeded_bytes: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Repository {
    /// Checks signatures, manifests, and that all packs are there and have the lengths that manifests record. Reads what is in the
    /// store, and no copies on this machine.
    pub fn check(&self) -> Result<Checked> {
        self.without_copies()?.check_store()
    }

    fn check_store(&self) -> Result<Checked> {
        let mut there: HashMap<String, Object> = HashMap::new();
        for folder in [PACKS, MANIFESTS] {
            there.extend(
                self.directory().list(folder)?.into_iter().map(|object| (object.key.clone(), object)),
            );
        }
        let mut checked = Checked::default();
        let mut findings: HashMap<(String, String), Vec<SnapshotName>> = HashMap::new();
        let mut needed: HashSet<String> = HashSet::new();
        let names = self.snapshot_names()?;
        for ignored in self.ignored_keys() {
            findings.insert((ignored.object.clone(), ignored.problem.clone()), Vec::new());
        }
        for (name, snapshot) in self.snapshots(&names) {
            checked.backups += 1;
            let mut found = |object: String, problem: String| {
                findings.entry((object, problem)).or_default().push(name);
            };
            let snapshot = match snapshot {
                Ok(snapshot) => snapshot,
                Err(failure) => {
                    found(self.directory().name_of(&name.key()), failure.to_string());
                    continue;
                }
            };
            if let Err(failure) = self.check_one(&snapshot, &there, &mut needed, &mut found) {
                let object = match failure.get::<RepositoryError>() {
                    Some(
                        RepositoryError::Damaged { object, .. } | RepositoryError::Missing { object, .. },
                    ) => object.clone(),
                    _ => self.directory().name_of(&name.key()),
                };
                found(object, failure.to_string());
            }
        }
        checked.objects = needed.len() as u64;
        for (key, object) in &there {
            if needed.contains(key) {
                checked.bytes += object.size;
            } else {
                checked.unneeded += 1;
                checked.unneeded_bytes += object.size;
            }
        }
        checked.findings = findings
            .into_iter()
            .map(|((object, problem), backups)| Finding { object, problem, backups })
            .collect();
        checked.findings.sort_by(|a, b| a.object.cmp(&b.object));
        Ok(checked)
    }

    fn check_one(
        &self,
        snapshot: &Snapshot,
        there: &HashMap<String, Object>,
        needed: &mut HashSet<String>,
        found: &mut dyn FnMut(String, String),
    ) -> Result<()> {
        let mut look_for = |key: String, size: u64| {
            match there.get(&key) {
                None => found(self.directory().name_of(&key), "it is missing".to_owned()),
                Some(object) if object.size != size => {
                    let problem = format!("it has {} bytes in place of {size}", object.size);
                    found(self.directory().name_of(&key), problem);
                }
                Some(_) => {}
            }
            needed.insert(key);
        };
        // A copy on this machine may let a manifest be read that is not there.
        for part in snapshot.parts() {
            look_for(part.key.clone(), part.size);
        }
        let manifest = Manifest::open(self, snapshot)?;
        for pack in manifest.packs().packs().iter().filter(|pack| pack.used > 0) {
            look_for(pack.name.key(), pack.size);
        }
        // All parts, every line.
        let mut files = 0;
        for record in manifest.records() {
            if let Listed::File(record) = record? {
                files += 1;
                for (pack, _) in record.file.uses() {
                    if manifest.packs().get(pack).is_none_or(|pack| pack.used == 0) {
                        let problem = format!(
                            "{} lies in the pack {pack}, which the manifest does not list",
                            record.file.name
                        );
                        return Err(RepositoryError::damaged(self.name(), problem).into());
                    }
                }
            }
        }
        if files != snapshot.files {
            let problem = format!("it has {} files, and its manifest {files}", snapshot.files);
            return Err(RepositoryError::damaged(&snapshot.name, problem).into());
        }
        Ok(())
    }
}
