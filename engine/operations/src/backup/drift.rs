//! What changed on the nodes while the backup ran.

use std::collections::HashSet;
use std::fs::File;

use couchfile::data_dir::SHARD_MAPS;
use couchfile::database::Database;
use couchfile::read_at::FileBytes;

use super::plan::{Maps, for_each_map};
use crate::error::{OperationError, Result};

/// Opens the shard maps as they are now.
fn maps_now(maps: &Maps<'_>) -> Result<Database<FileBytes>> {
    let path = maps.folder.path.join(SHARD_MAPS);
    let file = File::open(&path).map_err(|e| OperationError::io("open", &path, e))?;
    let bytes = FileBytes::new(file).map_err(|e| OperationError::io("read", &path, e))?;
    Database::open(bytes).map_err(|e| OperationError::database(path.display().to_string(), e))
}

/// Whether the database with this name and suffix is gone by now: deleted, or another one of that name in its place.
pub(super) fn was_deleted(maps: &Maps<'_>, db: &str, suffix: &str) -> Result<bool> {
    let now = maps_now(maps)?;
    let found = now
        .document(db.as_bytes(), |doc| {
            Ok(!doc.deleted
                && crate::survey::shard_map_of(&now, doc, db).is_ok_and(|map| map.suffix == suffix))
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
