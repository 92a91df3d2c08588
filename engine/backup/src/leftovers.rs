//! Finds data in the data directories that belongs to no saved database.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use archive::FileStat;
use contents::{LeftOut, LeftOutKind};
use couchfile::data_dir::{DataFile, LOST_AND_FOUND, Range, ShardName, split_suffix};
use couchfile::ring;
use outcome::{Code, Failure, Result, parallel};

use crate::folder::NodeFolder;
use crate::plan::{Plan, PlannedShard};
use crate::remote;

/// The end of the name that `[couchdb] enable_database_recovery` gives a deleted shard, after date and time.
const SOFT_DELETED: &str = ".deleted.couch";
/// The end of the names of database files.
const ENDING: &str = ".couch";
/// Directories in a data directory that hold no databases, besides hidden ones.
const NO_DATABASES: [&str; 4] = ["shards", "search_indexes", "nouveau", LOST_AND_FOUND];

/// A file: number of its data directory, path below it, bytes.
type Found = (u16, String, u64);

/// Files found, not confirmed yet: they may belong to a database that is just being created or deleted.
pub(super) struct Leftovers {
    piles: BTreeMap<(LeftOutKind, String, String), Vec<Found>>,
}

/// The files of all nodes.
pub(super) struct Listing {
    /// Those that belong to no saved database.
    pub(super) leftovers: Leftovers,
    /// Bytes of the planned copies of all shards, if the files of all nodes can be listed.
    pub(super) shard_bytes: Option<u64>,
    /// The stat of the planned copy of each shard, in the order of the plan, as it was when it was listed.
    pub(super) stats: Vec<Option<FileStat>>,
}

impl Leftovers {
    /// Lists the files of all nodes and keeps those that are not in the plan.
    pub(super) fn find(folders: &[NodeFolder], plan: &Plan<'_>) -> Result<Listing> {
        // Most files are planned, and need no more than one look.
        let planned: HashMap<&str, usize> =
            plan.shards.iter().enumerate().map(|(at, shard)| (shard.path.as_str(), at)).collect();
        let find = |number: usize, folder: &NodeFolder| -> Result<(Vec<_>, Option<Vec<_>>)> {
            let (mut found, mut stats) = (Vec::new(), Vec::new());
            let is_listed = list(folder, &mut |path: &str, stat: &dyn Fn() -> Option<FileStat>| {
                let at = planned.get(path).copied();
                let holders =
                    at.and_then(|at| plan.shards.get(at)).map(|shard| &*shard.folders).unwrap_or_default();
                if let (Some(at), true) = (at, holders.first() == Some(&(number as u16))) {
                    stats.push((at, stat()));
                }
                if !holders.contains(&(number as u16))
                    && let Some(key) = classify(path, folders, plan)
                {
                    let size = stat().map_or(0, |stat| stat.length);
                    found.push((key, (number as u16, path.to_owned(), size)));
                }
            })?;
            Ok((found, is_listed.then_some(stats)))
        };
        let mut piles: BTreeMap<_, Vec<Found>> = BTreeMap::new();
        let mut shard_bytes = Some(0);
        let mut all = vec![None; plan.shards.len()];
        for found in parallel::all_at_once(folders, find) {
            let (found, stats) = found?;
            if stats.is_none() {
                shard_bytes = None;
            }
            for (at, stat) in stats.into_iter().flatten() {
                shard_bytes = shard_bytes.map(|sum: u64| sum + stat.map_or(0, |stat: FileStat| stat.length));
                if let Some(known) = all.get_mut(at) {
                    *known = stat;
                }
            }
            for (key, file) in found {
                piles.entry(key).or_default().push(file);
            }
        }
        Ok(Listing { leftovers: Self { piles }, shard_bytes, stats: all })
    }

    /// Fails if the shard maps name no database although there are shards: the maps were lost, and an empty archive would look
    /// like a backup.
    pub(super) fn refuse_empty_maps(&self, plan: &Plan<'_>) -> Result<()> {
        if !plan.known.is_empty() {
            return Ok(());
        }
        let lost = self.piles.iter().filter(|((kind, ..), _)| *kind == LeftOutKind::UnknownShards);
        let (mut files, mut names) = (0, BTreeSet::new());
        for ((_, name, suffix), pile) in lost {
            files += pile.len();
            names.insert(format!("{name}{suffix}"));
        }
        if files == 0 {
            return Ok(());
        }
        let named: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
        Err(Failure::incomplete(
            Code::new("CC-B06"),
            format!(
                "the shard maps (_dbs.couch) of the given nodes name no database, but the nodes hold {files} shards of {} \
                 databases ({}{}): the archive would hold no databases, and a restore of it would remove the shards",
                names.len(),
                named.join(", "),
                if names.len() > named.len() { ", …" } else { "" }
            ),
            "If _dbs.couch was lost or truncated, copy the directory `shards` to a safe place, and restore _dbs.couch from an older \
             backup or another node, or give --rebuild-maps. If these shards are leftovers and the maps are right, give \
             --accept-empty-maps.",
        ))
    }

    /// The files that still exist now, so that files that a deletion was about to remove are ignored. `created` are databases
    /// that were created in the meantime.
    pub(super) fn confirmed(
        self,
        folders: &[NodeFolder],
        created: &[String],
        threads: usize,
    ) -> Result<Vec<LeftOut>> {
        let mut left_out = Vec::new();
        for ((kind, name, suffix), mut pile) in self.piles {
            if kind.is_loss() {
                if created.contains(&name) {
                    continue;
                }
                pile = still_there(folders, pile)?;
            }
            if pile.is_empty() {
                continue;
            }
            let documents = if kind.is_loss() { documents(folders, &pile, threads)? } else { None };
            let nodes: BTreeSet<String> =
                pile.iter().map(|(number, ..)| folders[usize::from(*number)].node_display_name()).collect();
            left_out.push(LeftOut {
                kind,
                name,
                suffix,
                nodes: nodes.into_iter().collect(),
                files: pile.len() as u64,
                bytes: pile.iter().map(|(_, _, bytes)| bytes).sum(),
                documents,
            });
        }
        Ok(left_out)
    }
}

/// The kind of a file that is not planned; `None` for one that no backup needs, and for one of a database that is not chosen.
pub(crate) fn classify(
    path: &str,
    folders: &[NodeFolder],
    plan: &Plan<'_>,
) -> Option<(LeftOutKind, String, String)> {
    let Some(below) = path.strip_prefix("shards/") else {
        let db = path.strip_suffix(".couch")?;
        return plan.takes(db).then(|| (LeftOutKind::OldDatabase, db.to_owned(), String::new()));
    };
    if let Some(name) = soft_deleted(below) {
        let (db, suffix) = split_suffix(name);
        return plan.takes(db).then(|| (LeftOutKind::SoftDeleted, db.to_owned(), suffix.to_owned()));
    }
    let Some(DataFile::Shard(ShardName { db, suffix, .. })) = DataFile::parse(path) else { return None };
    if !plan.takes(&db) {
        return None;
    }
    if plan.known.contains(format!("{db}{suffix}").as_str()) {
        let is_former = !plan.rings.contains_key(&db) && !plan.unreachable.contains(&db);
        return is_former.then_some((LeftOutKind::FormerShards, db, suffix));
    }
    let losing = plan.disputed.get(&db).map_or(&[][..], |disputed| &disputed.losing);
    let kind = if losing.iter().any(|map| map.suffix == suffix) {
        LeftOutKind::LosingShardMap
    } else if was_deleted(&db, folders) {
        LeftOutKind::DeletedDatabase
    } else {
        LeftOutKind::UnknownShards
    };
    Some((kind, db, suffix))
}

/// The name with suffix in a path below `shards` that names a softly deleted shard: `RANGE/NAME.SUFFIX.DATE.TIME.deleted.couch`.
fn soft_deleted(below: &str) -> Option<&str> {
    let (_, name) = below.split_once('/')?;
    let name = name.strip_suffix(SOFT_DELETED)?;
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (rest, time) = name.rsplit_once('.')?;
    let (rest, date) = rest.rsplit_once('.')?;
    Some(if is_digits(time) && is_digits(date) { rest } else { name })
}

/// Whether the shard maps of a node remember that a database of this name was deleted: its document is deleted, or it has changed
/// since it was created. The first revision of a map with another suffix does not mean a deletion.
pub(crate) fn was_deleted(db: &str, folders: &[NodeFolder]) -> bool {
    folders.iter().filter_map(|folder| folder.lost.as_ref().unwrap_or(&folder.maps).as_ref().ok()).any(
        |maps| {
            let remembers = maps.document(db.as_bytes(), |doc| {
                let winner = doc.revisions.as_ref().and_then(|tree| tree.winner());
                Ok(doc.deleted || winner.is_some_and(|winner| winner.generation > 1))
            });
            matches!(remembers, Ok(Some(true)))
        },
    )
}

/// Receives a file's path below the data directory and a function that returns its size in bytes.
pub(crate) type Each<'e> = dyn FnMut(&str, &dyn Fn() -> Option<FileStat>) + 'e;

/// Calls `each` with files below `shards`, and with databases of CouchDB 1.x next to it. `false` if they cannot be listed.
pub(crate) fn list(folder: &NodeFolder, each: &mut Each<'_>) -> Result<bool> {
    let Some(files) = folder.origin.far() else {
        walk(&folder.path, "shards", each)?;
        walk_beside(&folder.path, &mut |path, size| {
            if path.ends_with(ENDING) {
                each(path, size);
            }
        })?;
        return Ok(true);
    };
    let Some(streams) = files.streams() else { return Ok(false) };
    let mut add = |below: &str, only_databases: bool| -> Result<()> {
        let listed = streams.find(&folder.path.join(below))?;
        let wanted = listed.into_iter().filter(|file| {
            file.kind == node::FileKind::File && (!only_databases || file.path.ends_with(ENDING))
        });
        for file in wanted {
            each(&format!("{below}/{}", file.path), &|| Some(remote::stat_of(&file)));
        }
        Ok(())
    };
    add("shards", false)?;
    let entries = files.list(&folder.path)?.unwrap_or_default();
    for entry in entries.iter().filter(|entry| entry.kind == node::FileKind::Folder) {
        if may_hold_databases(&entry.name) {
            add(&entry.name, true)?;
        }
    }
    let beside = entries.into_iter().filter(|entry| entry.kind == node::FileKind::File);
    for entry in beside.filter(|entry| is_old_database(&entry.name)) {
        let stat = || FileStat {
            length: entry.size,
            changed: entry.changed.saturating_mul(1_000_000_000),
            device: entry.device,
            inode: entry.inode,
        };
        each(&entry.name, &|| Some(stat()));
    }
    Ok(true)
}

/// Whether a directory next to `shards` may hold databases of CouchDB 1.x with a `/` in their names.
fn may_hold_databases(name: &str) -> bool {
    !name.starts_with(['.', '_']) && !NO_DATABASES.contains(&name)
}

/// Whether a file next to `shards` is a database of CouchDB 1.x. Names with `_` belong to the node itself.
fn is_old_database(name: &str) -> bool {
    name.ends_with(ENDING) && !name.starts_with(['.', '_'])
}

fn walk_beside(root: &Path, each: &mut Each<'_>) -> Result<()> {
    let entries = std::fs::read_dir(root).map_err(|e| Failure::io("list", root, e))?;
    for entry in entries {
        let entry = entry.map_err(|e| Failure::io("list", root, e))?;
        let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else { continue };
        if kind.is_dir() && may_hold_databases(&name) {
            walk(root, &name, each)?;
        } else if kind.is_file() && is_old_database(&name) {
            each(&name, &|| stat_of(&entry));
        }
    }
    Ok(())
}

/// All regular files below a directory of this machine. Directories and files may vanish in the meantime.
fn walk(root: &Path, folder: &str, each: &mut Each<'_>) -> Result<()> {
    let mut folders = vec![folder.to_owned()];
    let mut below = String::new();
    while let Some(folder) = folders.pop() {
        let path = root.join(&folder);
        // A range may be a link to another disk.
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e)
                if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
            {
                continue;
            }
            Err(e) => return Err(Failure::io("list", path, e)),
        };
        for entry in entries {
            let entry = entry.map_err(|e| Failure::io("list", &path, e))?;
            let name = entry.file_name();
            let (Ok(kind), Some(name)) = (entry.file_type(), name.to_str()) else { continue };
            below.clear();
            below.extend([folder.as_str(), "/", name]);
            if kind.is_dir() || (kind.is_symlink() && folder == "shards") {
                folders.push(below.clone());
            } else if kind.is_file() {
                each(&below, &|| stat_of(&entry));
            }
        }
    }
    Ok(())
}

/// The stat of a file, if it still exists.
fn stat_of(entry: &std::fs::DirEntry) -> Option<FileStat> {
    entry.metadata().ok().map(|metadata| FileStat::of(&metadata))
}

fn still_there(folders: &[NodeFolder], pile: Vec<Found>) -> Result<Vec<Found>> {
    let mut by_folder: HashMap<u16, Vec<Found>> = HashMap::new();
    for found in pile {
        by_folder.entry(found.0).or_default().push(found);
    }
    let mut there = Vec::new();
    for (number, found) in by_folder {
        let folder = &folders[usize::from(number)];
        match folder.origin.far().and_then(|files| files.streams()) {
            None => there.extend(found.into_iter().filter(|(_, path, _)| folder.path.join(path).exists())),
            Some(streams) => {
                let paths: Vec<String> = found.iter().map(|(_, path, _)| path.clone()).collect();
                let stats = streams.stats(&folder.path, &paths)?;
                there.extend(
                    found.into_iter().zip(stats).filter(|(_, stat)| stat.is_some()).map(|(found, _)| found),
                );
            }
        }
    }
    there.sort();
    Ok(there)
}

/// Documents in the files of one database, each range counted once.
fn documents(folders: &[NodeFolder], pile: &[Found], threads: usize) -> Result<Option<u64>> {
    let mut by_path: BTreeMap<&str, Vec<u16>> = BTreeMap::new();
    for (number, path, _) in pile {
        by_path.entry(path).or_default().push(*number);
    }
    let shards: Vec<PlannedShard> = by_path
        .into_iter()
        .map(|(path, numbers)| PlannedShard {
            path: path.to_owned(),
            folders: numbers.into_boxed_slice(),
            partitioned: false,
            stat: None,
        })
        .collect();
    let counted = remote::documents(folders, &shards.iter().collect::<Vec<_>>(), threads)?;
    let mut by_range: BTreeMap<Range, u64> = BTreeMap::new();
    for (shard, documents) in shards.iter().zip(counted) {
        if let (Some(DataFile::Shard(shard)), Some(documents)) = (DataFile::parse(&shard.path), documents) {
            by_range.insert(shard.range, documents);
        }
    }
    if by_range.is_empty() {
        return Ok(None);
    }
    let of = |range: &Range| by_range.get(range).copied().unwrap_or(0);
    let ring = ring::heaviest(by_range.keys().copied(), |range| of(&range));
    let counted: Vec<Range> = ring.unwrap_or_else(|| by_range.keys().copied().collect());
    Ok(Some(counted.iter().map(of).sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softly_deleted_shards_are_known_by_their_names() {
        let of = |path| soft_deleted(path).map(split_suffix);
        let path = "00000000-ffffffff/a/b.1795355234.20261128.183000.deleted.couch";
        assert_eq!(of(path), Some(("a/b", ".1795355234")));
        assert_eq!(of("00000000-ffffffff/a.1795355234.couch"), None);
        assert_eq!(of("00000000-ffffffff/a.deleted.couch"), None);
    }

    #[test]
    fn only_databases_of_users_are_old_databases() {
        assert!(is_old_database("sales.couch"));
        for other in ["_dbs.couch", "_nodes.couch", "_users.couch", ".x.couch", "sales.view", "x"] {
            assert!(!is_old_database(other), "{other}");
        }
        assert!(may_hold_databases("a"));
        for other in ["shards", ".delete", "lost+found"] {
            assert!(!may_hold_databases(other), "{other}");
        }
    }
}
