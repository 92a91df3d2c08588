//! Throws backups away by rule. Their data goes with the next prune.

use jiff::tz::TimeZone;
use store::StoreError;

use crate::error::Result;
use crate::names::SnapshotName;
use crate::policy::{Candidate, Policy, Reasons};
use crate::presence::Unconfirmed;
use crate::repository::Repository;

/// The nodes of a backup, and where their data directories are.
type Source = (Vec<String>, Vec<String>);

/// What a policy says of all backups.
pub struct Expired {
    /// Those that are kept, with the reasons.
    pub kept: Vec<(SnapshotName, Reasons)>,
    /// Those that were thrown away, or would be.
    pub removed: Vec<SnapshotName>,
    /// Those that the store did not delete, and why: under an object lock they stay for some time.
    pub refused: Vec<(SnapshotName, StoreError)>,
}

impl Repository {
    /// Throws backups away by rule, for each source (nodes and places of their data directories) on its own. Backups that cannot be read stay.
    pub fn expire(&self, policy: &Policy, dry_run: bool) -> Result<Expired> {
        let names = self.snapshot_names()?;
        let mut groups: Vec<(Source, Vec<(SnapshotName, Candidate)>)> = Vec::new();
        let mut expired = Expired { kept: Vec::new(), removed: Vec::new(), refused: Vec::new() };
        let snapshots = self.snapshots(&names);
        let unconfirmed = Unconfirmed::of(self)?;
        for (name, snapshot) in snapshots {
            let snapshot = match snapshot {
                Ok(snapshot) => snapshot,
                // It may be readable when it is asked for again.
                Err(failure) if failure.get::<StoreError>().is_some() => return Err(failure),
                Err(_) => {
                    expired.kept.push((name, vec!["cannot be read".to_owned()]));
                    continue;
                }
            };
            // A backup that was killed, and lacks something since, must not be the one for which others are thrown away.
            let complete = snapshot.complete && unconfirmed.lacks(name, &snapshot)?.is_empty();
            let candidate = Candidate { second: name.second(), complete };
            let source = (snapshot.nodes, snapshot.source);
            match groups.iter_mut().find(|(other, _)| *other == source) {
                Some((_, backups)) => backups.push((name, candidate)),
                None => groups.push((source, vec![(name, candidate)])),
            }
        }
        for (_, backups) in groups {
            let candidates: Vec<_> = backups.iter().map(|(_, candidate)| *candidate).collect();
            for ((name, _), reasons) in
                backups.into_iter().zip(policy.apply(&candidates, &TimeZone::system()))
            {
                if reasons.is_empty() {
                    expired.removed.push(name);
                } else {
                    expired.kept.push((name, reasons));
                }
            }
        }
        expired.kept.sort_unstable_by_key(|(name, _)| *name);
        expired.removed.sort_unstable();
        if dry_run || expired.removed.is_empty() {
            return Ok(expired);
        }
        let keys: Vec<String> = expired.removed.iter().map(SnapshotName::key).collect();
        let refused = self.directory().delete(&keys)?;
        for (key, error) in refused {
            if let Some(name) = expired.removed.iter().copied().find(|name| name.key() == key) {
                expired.removed.retain(|other| *other != name);
                expired.refused.push((name, error));
            }
        }
        Ok(expired)
    }

    /// Deletes one backup, whether it can be read or not. Its data goes with the next prune.
    pub fn delete_snapshot(&self, name: SnapshotName) -> Result<()> {
        let refused = self.directory().delete(&[name.key()])?;
        match refused.into_iter().next() {
            Some((_, error)) => Err(error.into()),
            None => Ok(()),
        }
    }
}
