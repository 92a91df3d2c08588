//! The backup that a new one builds on.

use std::collections::HashSet;

use encryption::EncryptionError;
use outcome::{Advice as _, Failure, FailureKind};

use super::SnapshotOptions;
use crate::error::{RepositoryError, Result};
use crate::manifest::Manifest;
use crate::presence::Present;
use crate::repository::{AT_ONCE, ListedSnapshot, Repository};
use crate::snapshot::Snapshot;

/// The newest backup of the same nodes of which everything that says where its files are is there and can be read.
/// `listed` are all backups, the newest first.
pub(super) fn newest_of(
    repository: &Repository,
    options: &SnapshotOptions,
    listed: &[ListedSnapshot],
    there: &Present,
) -> Result<Option<(Snapshot, Manifest)>> {
    let mut names: Vec<_> = listed.iter().map(|listed| listed.name).collect();
    let mut damaged = HashSet::new();
    let mut at_once = 1;
    while !names.is_empty() {
        let rest = names.split_off(at_once.min(names.len()));
        for (_, snapshot) in repository.snapshots(&names) {
            let snapshot = match snapshot {
                Ok(snapshot) => snapshot,
                // A backup that nobody can read does not keep others from being made.
                Err(failure) if is_damage(&failure) => continue,
                Err(failure) => return Err(failure),
            };
            let is_whole = snapshot.parts().all(|part| !damaged.contains(&part.key));
            let is_same = snapshot.nodes == options.nodes && snapshot.source == options.source;
            if !is_same || !is_whole || !there.has_manifest(&snapshot) {
                continue;
            }
            if let Some(manifest) = intact_manifest(repository, &snapshot, &mut damaged)? {
                return Ok(Some((snapshot, manifest)));
            }
        }
        // Mostly it is the newest one.
        (names, at_once) = (rest, AT_ONCE);
    }
    Ok(None)
}

/// The manifest of a backup, if all of it can be read: what is found out in the middle of the new backup would end it. Damaged parts
/// are added to `damaged`.
fn intact_manifest(
    repository: &Repository,
    snapshot: &Snapshot,
    damaged: &mut HashSet<String>,
) -> Result<Option<Manifest>> {
    for part in snapshot.parts() {
        let compare = |sealed: Vec<u8>| {
            if blake3::hash(&sealed).to_hex().as_str() == part.blake3 {
                return Ok(());
            }
            Err(RepositoryError::damaged(&part.key, "its hash differs").into())
        };
        match repository.read_kept(&part.key, part.size, compare) {
            Ok(Some(())) => {}
            Err(failure) if !is_damage(&failure) => return Err(failure),
            Ok(None) | Err(_) => {
                damaged.insert(part.key.clone());
                return Ok(None);
            }
        }
    }
    let read = || {
        let manifest = Manifest::open(repository, snapshot)?;
        // This machine has written what it has signed.
        if repository.host()?.signing()?.public() != snapshot.signer {
            manifest.records().try_for_each(|record| record.map(|_| ()))?;
        }
        Ok(manifest)
    };
    match read() {
        Ok(manifest) => Ok(Some(manifest)),
        Err(failure) if is_damage(&failure) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn is_damage(failure: &Failure) -> bool {
    match (failure.get::<RepositoryError>(), failure.get::<EncryptionError>()) {
        (Some(error), _) => matches!(
            error,
            RepositoryError::Damaged { .. }
                | RepositoryError::Missing { .. }
                | RepositoryError::Signature { .. }
        ),
        (None, Some(error)) => error.kind() == FailureKind::Archive,
        (None, None) => false,
    }
}
