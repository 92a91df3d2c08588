//! What changed on the nodes while the backup ran.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use couchfile::data_dir::SHARD_MAPS;
use couchfile::database::Database;

use super::folder::MapsBytes;
use super::plan::{Maps, for_each_map};
use crate::error::{OperationError, Result};

/// So old may shard maps be that were fetched from another machine: there may be many questions, and large maps.
const FRESH: Duration = Duration::from_secs(3);

/// The shard maps as they were when they were last fetched from another machine.
#[derive(Default)]
pub(super) struct LatestMaps(Mutex<Option<(Instant, Arc<Database<MapsBytes>>)>>);

impl LatestMaps {
    /// Shard maps that were read at this moment or later; of this machine, where that costs nothing, the present ones.
    fn since(&self, maps: &Maps<'_>, moment: Instant) -> Result<Arc<Database<MapsBytes>>> {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if maps.folder.remote.is_some()
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

/// Opens the shard maps as they are now.
fn maps_now(maps: &Maps<'_>) -> Result<Database<MapsBytes>> {
    let (bytes, _) = maps.folder.open_maps()?.ok_or_else(|| {
        let path = maps.folder.path.join(SHARD_MAPS);
        OperationError::io("open", path, std::io::ErrorKind::NotFound.into())
    })?;
    Database::open(bytes).map_err(|e| OperationError::database(maps.folder.shown_file(SHARD_MAPS), e))
}

/// Whether the database with this name and suffix was gone at some moment up to three seconds before this one, or later:
/// deleted, or another one of that name in its place.
pub(super) fn was_deleted(maps: &Maps<'_>, latest: &LatestMaps, db: &str, suffix: &str) -> Result<bool> {
    let now = Instant::now();
    is_gone(&*latest.since(maps, now.checked_sub(FRESH).unwrap_or(now))?, db, suffix)
}

/// The same at this moment or later.
pub(super) fn is_deleted(maps: &Maps<'_>, latest: &LatestMaps, db: &str, suffix: &str) -> Result<bool> {
    is_gone(&*latest.since(maps, Instant::now())?, db, suffix)
}

fn is_gone(now: &Database<MapsBytes>, db: &str, suffix: &str) -> Result<bool> {
    let found = now
        .document(db.as_bytes(), |doc| {
            Ok(!doc.deleted
                && crate::survey::shard_map_of(now, doc, db).is_ok_and(|map| map.suffix == suffix))
        })
        .map_err(|e| OperationError::database("the shard maps (_dbs.couch)", e))?;
    Ok(found != Some(true))
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
