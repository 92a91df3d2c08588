//! Deletes what no backup needs any more, beside backups that are being made.
//!
//! There are no locks and no clocks to trust. Prune has two phases, mostly in two runs:
//!
//! 1. What no snapshot needs is *marked*. New backups build on nothing that is marked.
//! 2. When the mark is older than the grace time, a *deleting* mark is put, and **then** all snapshots are listed: what any of them
//!    needs is not deleted.
//!
//! A backup puts its snapshot and **then** lists the deleting marks, and **then** lists packs and manifests. So of a backup and a
//! prune at the same time at least one sees the other: either the prune sees the snapshot and deletes nothing that it needs, or the
//! backup sees the mark, or that an object is gone already, and is withdrawn.
//!
//! Several prunes can run at the same time, and one that was killed may have requests under way. So a prune deletes a deleting mark
//! of another run only if nothing is there that this mark names, or if its own mark names it too and stays. Therefore it lists the
//! marks **before** the objects: an object that a mark names and the list lacks is gone for ever, as names are never used again.
//!
//! `tests/interleavings` goes through all orders in which these requests can come.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use store::{Object, StoreError};

use crate::error::Result;
use crate::names::{INTENTS, MARKS, SnapshotName, timed_key};
use crate::presence::{Present, packs_of};
use crate::repository::Repository;
use crate::snapshot::Snapshot;

const KIND: &str = "mark";
/// Backups whose needs are held in memory at a time.
const PART: usize = 100;
/// Seconds for which the note of a backup that is being made counts. A killed backup leaves it behind.
const INTENT: i64 = 7 * 86_400;

/// The key of the note of a backup that is over, and the backup if it is there.
type Over = (String, Option<SnapshotName>);

/// How a repository is pruned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruneOptions {
    /// Seconds that lie at least between the two phases, by the store's clock.
    pub grace: u64,
    /// Delete and mark nothing.
    pub dry_run: bool,
}

impl Default for PruneOptions {
    /// A grace time of one day.
    fn default() -> Self {
        Self { grace: 86_400, dry_run: false }
    }
}

/// What a prune did.
#[derive(Debug, Default)]
pub struct Pruned {
    /// Objects that backups need.
    pub needed: u64,
    /// Bytes of these objects.
    pub needed_bytes: u64,
    /// Objects that were marked now: a later prune deletes them.
    pub marked: u64,
    /// Bytes of these objects.
    pub marked_bytes: u64,
    /// Objects that were marked before, and are not old enough.
    pub waiting: u64,
    /// Objects that were deleted.
    pub deleted: u64,
    /// Bytes of these objects.
    pub deleted_bytes: u64,
    /// Objects that the store did not delete, and why: under an object lock they stay for some time.
    pub refused: Vec<(String, StoreError)>,
    /// Backups that may be under way: what is younger than they are is not marked.
    pub under_way: u64,
    /// Backups that cannot be read. While there are any, nothing is marked or deleted.
    pub unreadable: Vec<String>,
    /// Backups that were killed, or could not be withdrawn, after another prune had deleted something that they need.
    pub lacking: Vec<SnapshotName>,
}

/// Objects that are not needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// Whether they are being deleted.
    deleting: bool,
    objects: Vec<String>,
}

/// What backups need.
#[derive(Debug, Default)]
struct Needed {
    /// Keys of objects.
    keys: HashSet<String>,
    /// The backups that were looked at. They never change.
    backups: HashSet<SnapshotName>,
}

impl Repository {
    /// Marks what no backup needs, and deletes what was marked long enough ago.
    ///
    /// Without a time of grace, everything that no backup needs is deleted at once, also what a backup that is being made has written
    /// so far. That backup is withdrawn then.
    pub fn prune(&self, options: &PruneOptions) -> Result<Pruned> {
        let mut pruned = Pruned::default();
        // Marks, then what is there, then what is needed. What comes in between is new, and not in the list.
        let marks = self.marks()?;
        let present = Present::of(self)?;
        let there = present.objects();
        let mut needed = Needed::default();
        if !self.look_at_all(&mut needed, &mut pruned)? {
            return Ok(pruned);
        }
        let now = present_time(there.values().chain(marks.iter().map(|(object, _)| object)));
        let (over, intents) = self.intents(now)?;
        pruned.under_way = intents.len() as u64;
        let young = if options.grace == 0 { i64::MAX } else { youngest_allowed(&intents) };
        let mut in_marks: HashSet<&str> = HashSet::new();
        let mut ripe: Vec<String> = Vec::new();
        let mut inherited: HashSet<String> = HashSet::new();
        let mut done: Vec<String> = Vec::new();
        for (object, mark) in &marks {
            in_marks.extend(mark.objects.iter().map(String::as_str));
            let is_ripe = mark.deleting
                || now.saturating_sub(object.modified) >= options.grace.try_into().unwrap_or(i64::MAX);
            let left = mark.objects.iter().filter(|key| there.contains_key(*key));
            if mark.deleting {
                inherited.extend(left.cloned());
            } else if is_ripe {
                ripe.extend(left.filter(|key| !needed.keys.contains(*key)).cloned());
            } else {
                pruned.waiting += mark.objects.len() as u64;
                continue;
            }
            done.push(object.key.clone());
        }
        ripe.extend(inherited.iter().filter(|key| !needed.keys.contains(*key)).cloned());
        ripe.sort_unstable();
        ripe.dedup();
        let mut unneeded: Vec<String> = Vec::new();
        for (key, object) in there {
            if needed.keys.contains(key) {
                pruned.needed += 1;
                pruned.needed_bytes += object.size;
            } else if !in_marks.contains(key.as_str()) && object.modified < young {
                unneeded.push(key.clone());
                pruned.marked += 1;
                pruned.marked_bytes += object.size;
            }
        }
        unneeded.sort_unstable();
        if options.grace == 0 {
            // Both phases at once.
            ripe.append(&mut unneeded);
            (pruned.marked, pruned.marked_bytes) = (0, 0);
        }
        if options.dry_run {
            pruned.deleted = ripe.len() as u64;
            pruned.deleted_bytes =
                ripe.iter().filter_map(|key| there.get(key)).map(|object| object.size).sum();
            return Ok(pruned);
        }
        if !unneeded.is_empty() {
            let mark = Mark { deleting: false, objects: unneeded };
            self.put_signed(KIND, &timed_key(MARKS)?, &mark)?;
        }
        if self.delete_ripe(ripe, &inherited, there, needed, &mut pruned)? {
            done.extend(self.confirmed(over, &mut pruned)?);
            pruned.refused.extend(self.directory().delete(&done)?);
        }
        Ok(pruned)
    }

    /// The second phase. `inherited` is what the deleting marks of other runs name and is still there. Whether the marks before may
    /// be deleted: what they name is deleted, or in the new mark.
    fn delete_ripe(
        &self,
        mut ripe: Vec<String>,
        inherited: &HashSet<String>,
        there: &HashMap<String, Object>,
        mut needed: Needed,
        pruned: &mut Pruned,
    ) -> Result<bool> {
        if !ripe.is_empty() || !inherited.is_empty() {
            let key = timed_key(MARKS)?;
            let known: HashSet<&String> = ripe.iter().collect();
            let kept = inherited.iter().filter(|key| !known.contains(key));
            let objects = ripe.iter().chain(kept).cloned().collect();
            self.put_signed(KIND, &key, &Mark { deleting: true, objects })?;
            // After the mark: whoever commits now sees it. What a backup needs that is gone since stays until the next prune.
            if !self.look_at_all(&mut needed, pruned)? {
                return Ok(false);
            }
            ripe.retain(|key| !needed.keys.contains(key));
            let refused = self.directory().delete(&ripe)?;
            let refused_keys: HashSet<&str> = refused.iter().map(|(key, _)| key.as_str()).collect();
            for key in ripe.iter().filter(|key| !refused_keys.contains(key.as_str())) {
                pruned.deleted += 1;
                pruned.deleted_bytes += there.get(key).map_or(0, |object| object.size);
            }
            // Another run may delete what it has found unneeded, whatever has come since.
            let is_done = refused.is_empty() && !inherited.iter().any(|key| needed.keys.contains(key));
            pruned.refused.extend(refused);
            if is_done {
                pruned.refused.extend(self.directory().delete(&[key])?);
            }
        }
        Ok(true)
    }

    /// The notes of backups that are over, by key, with the backup if there is one, and of those that may be under way.
    fn intents(&self, now: i64) -> Result<(Vec<Over>, Vec<Object>)> {
        let (mut over, mut under_way) = (Vec::new(), Vec::new());
        let committed: HashSet<SnapshotName> = self.snapshot_names()?.into_iter().collect();
        for intent in self.directory().list(INTENTS)? {
            let is_old = now.saturating_sub(intent.modified) >= INTENT;
            let named = match self.get_signed::<String>("intent", &intent.key) {
                Ok(Some((name, _))) => name.parse().ok(),
                // It is gone by now.
                Ok(None) => continue,
                // One that cannot be read may be under way.
                Err(_) => None,
            };
            // A machine that may not delete leaves its note, and so does one that was killed.
            let backup = named.filter(|name| committed.contains(name));
            if is_old || backup.is_some() {
                over.push((intent.key, backup));
            } else {
                under_way.push(intent);
            }
        }
        Ok((over, under_way))
    }

    /// The notes that are good for nothing: of backups that are not there, or lack nothing and that no prune takes anything from. As
    /// long as the note of a backup is there, whoever reads it looks whether it lacks anything.
    fn confirmed(&self, over: Vec<Over>, pruned: &mut Pruned) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        let mut of_backups = Vec::new();
        for (key, backup) in over {
            match backup {
                Some(backup) => of_backups.push((key, backup)),
                None => keys.push(key),
            }
        }
        if of_backups.is_empty() {
            return Ok(keys);
        }
        // In this order, as when a backup makes sure itself.
        let deleted = deleted_objects(self)?;
        let present = Present::of(self)?;
        for (key, name) in of_backups {
            let mut needed = HashSet::new();
            let Some(snapshot) = self.snapshot(name)? else { continue };
            self.needs(&snapshot, &mut needed)?;
            if needed.iter().any(|key| !present.has_name(key)) {
                pruned.lacking.push(name);
            } else if !needed.iter().any(|key| deleted.contains(key)) {
                keys.push(key);
            }
        }
        Ok(keys)
    }

    /// Adds what the backups need that are there and were not looked at yet. Whether all can be read; those that cannot are in
    /// `unreadable`.
    fn look_at_all(&self, needed: &mut Needed, pruned: &mut Pruned) -> Result<bool> {
        let mut names = self.snapshot_names()?;
        names.retain(|name| !needed.backups.contains(name));
        // Opened once, and not by each thread.
        let _ = self.index_key();
        for part in names.chunks(PART) {
            let needs = self.at_once(part, |name| -> Result<Option<HashSet<String>>> {
                // One that is gone by now needs nothing.
                let Some(snapshot) = self.snapshot(*name)? else { return Ok(None) };
                let mut keys = HashSet::new();
                self.needs(&snapshot, &mut keys)?;
                Ok(Some(keys))
            });
            for (name, keys) in part.iter().zip(needs) {
                match keys {
                    Ok(keys) => {
                        needed.keys.extend(keys.into_iter().flatten());
                        needed.backups.insert(*name);
                    }
                    Err(failure) => pruned.unreadable.push(format!("{name}: {failure}")),
                }
            }
        }
        Ok(pruned.unreadable.is_empty())
    }

    /// Adds the keys of the objects that a backup needs.
    pub(crate) fn needs(&self, snapshot: &Snapshot, needed: &mut HashSet<String>) -> Result<()> {
        let table = packs_of(self, snapshot)?;
        let packs = table.packs().iter().filter(|pack| pack.used > 0).map(|pack| pack.name.key());
        needed.extend(packs);
        needed.extend(snapshot.parts().map(|part| part.key.clone()));
        Ok(())
    }

    fn marks(&self) -> Result<Vec<(Object, Mark)>> {
        let mut marks = Vec::new();
        for object in self.directory().list(MARKS)? {
            // One that is gone by now was done. Who signed it does not matter: nothing is deleted only because a mark names it. A
            // machine that was removed may have left one behind.
            if let Some((mark, _)) = self.get_signed_by_anyone::<Mark>(KIND, &object.key)? {
                marks.push((object, mark));
            }
        }
        Ok(marks)
    }
}

/// The present time, in seconds since 1970: that of this machine, or the newest time that the store has written if that is later.
pub(crate) fn present_time<'o>(objects: impl Iterator<Item = &'o Object>) -> i64 {
    let newest = objects.map(|object| object.modified).max().unwrap_or_default();
    newest.max(jiff::Timestamp::now().as_second())
}

/// Objects that are younger than this may belong to a backup that is being made, in seconds since 1970.
fn youngest_allowed(intents: &[Object]) -> i64 {
    // An hour more, as a store's times may come from several machines.
    let oldest = intents.iter().map(|intent| intent.modified).min();
    oldest.map_or(i64::MAX, |oldest| oldest - 3600)
}

/// Keys of the objects that are marked, or are being deleted.
pub(crate) fn marked_objects(repository: &Repository) -> Result<HashSet<String>> {
    let marks = repository.marks()?;
    Ok(marks.into_iter().flat_map(|(_, mark)| mark.objects).collect())
}

/// Keys of the objects that are being deleted.
pub(crate) fn deleted_objects(repository: &Repository) -> Result<HashSet<String>> {
    let marks = repository.marks()?;
    Ok(marks.into_iter().filter(|(_, mark)| mark.deleting).flat_map(|(_, mark)| mark.objects).collect())
}
