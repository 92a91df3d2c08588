//! What changed on the nodes while the backup ran.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use contents::unusable;
use couchfile::data_dir::{SHARD_MAPS, ShardName};
use couchfile::database::Database;
use couchfile::shard_map::ShardMap;
use outcome::{Failure, Result};

use crate::folder::{MapsBytes, NodeFolder};
use crate::plan::{Maps, for_each_map};

/// The greatest age of shard maps fetched from another machine: there may be many queries and large maps.
const FRESH: Duration = Duration::from_secs(3);

/// The shard maps that were last fetched from another machine.
#[derive(Default)]
pub(super) struct LatestMaps(Mutex<Option<(Instant, Arc<Database<MapsBytes>>)>>);

impl LatestMaps {
    /// Shard maps that were read at this time or later. On this machine, where reading is cheap, they are always current.
    fn since(&self, maps: &Maps<'_>, moment: Instant) -> Result<Arc<Database<MapsBytes>>> {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !maps.folder.origin.is_local()
            && let Some((read, database)) = &*latest
            && *read >= moment
        {
            return Ok(Arc::clone(database));
        }
        let begun = Instant::now();
        let database = Arc::new(maps_now(maps)?);
        *latest = Some((begun, Arc::clone(&database)));
        Ok(database)
    }
}

/// Opens the current shard maps.
fn maps_now(maps: &Maps<'_>) -> Result<Database<MapsBytes>> {
    let (bytes, _) = maps.folder.open_maps()?.ok_or_else(|| {
        let path = maps.folder.path.join(SHARD_MAPS);
        Failure::io("open", path, std::io::ErrorKind::NotFound.into())
    })?;
    Database::open(bytes).map_err(|e| unusable(maps.folder.file_display_name(SHARD_MAPS), e))
}

/// The state of a shard that was to be saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The shard map names it.
    Stays,
    /// Its database was deleted, or replaced by another database of the same name.
    Deleted,
    /// Its database exists, but the shard map does not name this range any more: it was split.
    Split,
}

/// The state of a shard by shard maps that are up to three seconds old.
pub(super) fn fate_lately(maps: &Maps<'_>, latest: &LatestMaps, shard: &ShardName) -> Result<Fate> {
    let now = Instant::now();
    fate(&*latest.since(maps, now.checked_sub(FRESH).unwrap_or(now))?, shard)
}

/// The state of a shard by shard maps that were read at this time or later. The nodes that hold the shard know its state first;
/// `holders` are queried too if the other nodes' maps still name it.
pub(super) fn fate_now<'f>(
    maps: &Maps<'_>,
    latest: &LatestMaps,
    shard: &ShardName,
    holders: impl Iterator<Item = &'f NodeFolder>,
) -> Result<Fate> {
    let found = fate(&*latest.since(maps, Instant::now())?, shard)?;
    if found != Fate::Stays {
        return Ok(found);
    }
    for folder in holders.filter(|folder| !std::ptr::eq(*folder, maps.folder)) {
        if let Some(own) = open_now(folder)?
            && fate(&own, shard)? == Fate::Split
        {
            return Ok(Fate::Split);
        }
    }
    Ok(Fate::Stays)
}

fn fate(now: &Database<MapsBytes>, shard: &ShardName) -> Result<Fate> {
    Ok(match map_in(now, &shard.db)? {
        Some(map) if map.suffix != shard.suffix => Fate::Deleted,
        Some(map) if map.by_range.contains_key(&shard.range) => Fate::Stays,
        Some(_) => Fate::Split,
        None => Fate::Deleted,
    })
}

fn map_in(now: &Database<MapsBytes>, db: &str) -> Result<Option<ShardMap>> {
    let found = now
        .document(db.as_bytes(), |doc| {
            Ok((!doc.deleted).then(|| contents::shard_map_of(now, doc).ok()).flatten())
        })
        .map_err(|e| unusable("the shard maps (_dbs.couch)", e))?;
    Ok(found.flatten())
}

/// The current shard maps of a node; `None` if they cannot be used.
fn open_now(folder: &NodeFolder) -> Result<Option<Database<MapsBytes>>> {
    Ok(folder.open_maps()?.and_then(|(bytes, _)| Database::open(bytes).ok()))
}

/// The current maps of a database on all given nodes.
pub(super) fn maps_of(folders: &[NodeFolder], db: &str) -> Result<Vec<ShardMap>> {
    let mut maps = Vec::new();
    for folder in folders {
        if let Some(now) = open_now(folder)? {
            maps.extend(map_in(&now, db)?);
        }
    }
    Ok(maps)
}

/// Names of the databases that exist now but not in the shard maps that were saved.
pub(super) fn created_since(maps: &Maps<'_>, threads: usize) -> Result<Vec<String>> {
    let now = maps_now(maps)?;
    if now.header().update_seq == maps.database.header().update_seq
        && now.header().uuid == maps.database.header().uuid
    {
        return Ok(Vec::new());
    }
    let mut saved = HashSet::new();
    for_each_map(maps.database, threads, |map| {
        if let Ok(map) = map {
            saved.insert((map.db, map.suffix));
        }
        Ok(())
    })?;
    let mut created = Vec::new();
    for_each_map(&now, threads, |map| {
        if let Ok(map) = map
            && !saved.contains(&(map.db.clone(), map.suffix.clone()))
        {
            created.push(map.db);
        }
        Ok(())
    })?;
    Ok(created)
}
