//! Shard maps that name one node.

use std::io::{BufWriter, Write};

use archive::Facts;
use contents::{ArchivedMaps, MapDocument, moved, unchanged, unusable};
use couchfile::data_dir::SHARD_MAPS;
use couchfile::database::Database;
use couchfile::read_at::FileBytes;
use couchfile::shard_map::ShardMap;
use couchfile::writer::{DatabaseWriter, NewDocument, Settings, random_uuid};
use outcome::{Failure, Result, parallel};

use super::UnbrandOptions;

/// A `_dbs.couch` that is being written.
pub(super) struct NewMaps {
    /// The temporary file.
    pub(super) content: FileBytes,
    pub(super) facts: Facts,
    /// Number of maps.
    pub(super) count: u64,
}

/// Writes the maps. Databases that were deleted while the backup ran get no map: they would show up as empty databases.
pub(super) fn write(
    maps: &ArchivedMaps,
    node: &str,
    deleted: &[String],
    options: &UnbrandOptions,
) -> Result<NewMaps> {
    let failed = |e| unusable(SHARD_MAPS, e);
    let file = tempfile::tempfile_in(&options.temporary)
        .map_err(|e| Failure::io("create a file in", &options.temporary, e))?;
    let io = |e| Failure::io("write a file in", &options.temporary, e);
    let out = BufWriter::with_capacity(1 << 20, file);
    let uuid = random_uuid().map_err(failed)?;
    let mut writer = DatabaseWriter::new(out, Settings::new(uuid, node)).map_err(failed)?;
    let nodes = [node.to_owned()];
    let mut count = 0;
    maps.convert(
        parallel::threads(options.threads),
        |document| of_one_node(document, &nodes, deleted),
        |document| {
            let Some((is_map, document)) = document? else { return Ok(()) };
            count += u64::from(is_map);
            writer.add(&document).map_err(failed)
        },
    )?;
    let mut out = writer.finish().map_err(failed)?;
    out.flush().map_err(io)?;
    let file = out.into_inner().map_err(|e| io(e.into_error()))?;
    let content = FileBytes::new(file).map_err(io)?;
    let database = Database::open(&content).map_err(failed)?;
    let header = database.header();
    let facts = Facts::ShardMaps {
        node: Some(node.to_owned()),
        maps: count,
        uuid: header.uuid.clone(),
        seq: header.update_seq,
        header: database.header_offset(),
    };
    Ok(NewMaps { content, facts, count })
}

/// A document whose map names one node, and whether it holds a map.
fn of_one_node(
    document: MapDocument,
    nodes: &[String],
    deleted: &[String],
) -> Result<Option<(bool, NewDocument)>> {
    if document.is_design() {
        return Ok(Some((false, unchanged(document))));
    }
    if deleted.contains(&document.id) {
        return Ok(None);
    }
    let place = |mut map: ShardMap| {
        map.place(nodes, 1, 0);
        map
    };
    Ok(Some((true, moved(document, place)?)))
}
