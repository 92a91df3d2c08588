//! Files that no shard map names: leftovers, and the room that they take.

use std::collections::{BTreeMap, hash_map::DefaultHasher};
use std::hash::{Hash as _, Hasher as _};
use std::time::SystemTime;

use archive::FileStat;
use contents::LeftOutKind;
use couchfile::data_dir::split_suffix;
use outcome::{Result, parallel};

use super::finding::{Finding, FindingKind, counted};
use super::members::with_files;
use super::verdict::{Area, Notebook};
use crate::file::unix_seconds;
use crate::folder::NodeFolder;
use crate::leftovers;
use crate::plan::Plan;

/// A file of a compaction that was not written to for this long, in seconds, belongs to none that runs.
const STALE: i64 = 3600;
/// Directories in which couchcopy keeps what a restore needs.
const OF_RESTORES: [&str; 2] = [".couchcopy", ".couchcopy-restore"];
/// The directory into which CouchDB moves what it is about to remove.
const TO_BE_REMOVED: &str = ".delete";

/// Files of one kind that belong together.
#[derive(Debug, Default)]
pub(super) struct Pile {
    /// Number of files.
    pub(super) files: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// The path of the first one in the order of paths.
    pub(super) first: String,
    /// The sum of a hash of each one's path, size and time.
    sum: u64,
}

impl Pile {
    /// Adds a file, changed last at a time in any unit.
    pub(super) fn add(&mut self, path: &str, bytes: u64, changed: i64) {
        let mut hasher = DefaultHasher::new();
        (path, bytes, changed).hash(&mut hasher);
        self.sum = self.sum.wrapping_add(hasher.finish());
        if self.files == 0 || path < self.first.as_str() {
            path.clone_into(&mut self.first);
        }
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// A number that stays the same while the files stay the same.
    pub(super) fn mark(&self) -> u64 {
        self.sum
    }
}

/// Whether a file of a compaction, changed last at this time in seconds since 1970, is left over. `newest` is the last change of
/// any file next to it: clocks of machines differ.
pub(super) fn is_stale(changed: i64, newest: i64) -> bool {
    let now = unix_seconds(SystemTime::now()) as i64;
    now.max(newest).saturating_sub(changed) > STALE
}

/// Files by kind, and by the name and suffix of their database.
type Piles = BTreeMap<(FindingKind, String, String), Pile>;

/// Lists the files of all nodes and notes what no shard map names.
pub(super) fn examine(folders: &[NodeFolder], plan: &Plan<'_>, notes: &Notebook<'_>) -> Result<()> {
    let examined = parallel::all_at_once(folders, |number, folder| -> Result<()> {
        let piles = piles(number as u16, folder, folders, plan);
        for ((kind, name, suffix), pile) in piles? {
            let finding =
                Finding::new(kind, what(kind, pile.files, &suffix)).of(&name).on(folder.node_display_name());
            let finding = finding.file(pile.first.as_str()).taking(pile.bytes);
            // A copy that is being moved or split off grows, and so does what a compaction writes.
            notes.note_of_files(Area::Files, finding, pile.mark());
        }
        beside_the_shards(folder, notes)
    });
    examined.into_iter().collect()
}

/// What so many files are.
fn what(kind: FindingKind, files: u64, suffix: &str) -> String {
    let shards = counted(files, "shard");
    let suffixed = if suffix.is_empty() { shards.clone() } else { format!("{shards} (suffix {suffix})") };
    match kind {
        FindingKind::UnknownShards => format!("{suffixed} of a database that no shard map names"),
        FindingKind::LosingShards => format!("{suffixed} of a shard map that lost a conflict"),
        FindingKind::DeletedDatabase => format!("{suffixed} of a database that was deleted"),
        FindingKind::ExtraCopy => format!("{shards} that the shard map does not assign to this node"),
        FindingKind::CompactionLeft => {
            format!("{} of a compaction, not written to for more than an hour", counted(files, "file"))
        }
        FindingKind::SoftDeleted => format!("{shards} of a deleted database, kept as *.deleted.couch"),
        _ => format!("{} of CouchDB 1.x next to the directory shards", counted(files, "database")),
    }
}

fn piles(number: u16, folder: &NodeFolder, folders: &[NodeFolder], plan: &Plan<'_>) -> Result<Piles> {
    let mut piles = Piles::new();
    // Without a name it is not known which shards are the node's.
    if folder.name.is_none() {
        return Ok(piles);
    }
    leftovers::list(folder, &mut |path: &str, stat: &dyn Fn() -> Option<FileStat>| {
        let is_planned = plan.shard(path).is_some_and(|planned| planned.folders.contains(&number));
        if is_planned {
            return;
        }
        let Some((kind, name, suffix)) = kind_of(path, folders, plan) else { return };
        let Some(FileStat { length, changed, .. }) = stat() else { return };
        if kind == FindingKind::CompactionLeft && !is_stale(changed.div_euclid(1_000_000_000), 0) {
            return;
        }
        piles.entry((kind, name, suffix)).or_default().add(path, length, changed);
    })?;
    Ok(piles)
}

/// The kind of a file that is no copy that the shard maps name, and its database with suffix.
fn kind_of(path: &str, folders: &[NodeFolder], plan: &Plan<'_>) -> Option<(FindingKind, String, String)> {
    if let Some((shard, _)) = path.rsplit_once(".couch.compact") {
        let (_, name) = shard.strip_prefix("shards/")?.split_once('/')?;
        let (db, suffix) = split_suffix(name);
        return Some((FindingKind::CompactionLeft, db.to_owned(), suffix.to_owned()));
    }
    let (kind, name, suffix) = leftovers::classify(path, folders, plan)?;
    let kind = match kind {
        LeftOutKind::UnknownShards => FindingKind::UnknownShards,
        LeftOutKind::LosingShardMap => FindingKind::LosingShards,
        LeftOutKind::DeletedDatabase => FindingKind::DeletedDatabase,
        LeftOutKind::FormerShards => FindingKind::ExtraCopy,
        LeftOutKind::SoftDeleted => FindingKind::SoftDeleted,
        LeftOutKind::OldDatabase => FindingKind::OldDatabase,
        // Neither is the kind of a file.
        LeftOutKind::UnreachableDatabase | LeftOutKind::Other => return None,
    };
    Some((kind, name, suffix))
}

/// What CouchDB and couchcopy keep next to the shards.
fn beside_the_shards(folder: &NodeFolder, notes: &Notebook<'_>) -> Result<()> {
    let node = folder.node_display_name();
    let entries = with_files(folder, |files| files.list(&folder.path))?.unwrap_or_default();
    for name in OF_RESTORES.into_iter().filter(|name| entries.iter().any(|entry| entry.name == *name)) {
        let (files, bytes) = with_files(folder, |files| files.sum(&folder.path.join(name)))?;
        let found = format!("{} that a restore has left", counted(files, "file"));
        let finding =
            Finding::new(FindingKind::RestoreLeft, found).on(node.as_str()).file(name).taking(bytes);
        notes.note(Area::Files, finding);
    }
    if entries.iter().any(|entry| entry.name == TO_BE_REMOVED) {
        let (files, bytes) = with_files(folder, |files| files.sum(&folder.path.join(TO_BE_REMOVED)))?;
        if files > 0 {
            let found = format!("{} that CouchDB was about to remove", counted(files, "file"));
            let finding = Finding::new(FindingKind::AwaitsDeletion, found).on(node).file(TO_BE_REMOVED);
            let mut mark = DefaultHasher::new();
            (files, bytes).hash(&mut mark);
            notes.note_of_files(Area::Files, finding.taking(bytes), mark.finish());
        }
    }
    Ok(())
}
