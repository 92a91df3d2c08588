//! Writes a `_dbs.couch` for every node: the same documents with the same revisions, and a new uuid for each.

use std::io::{BufWriter, Write};

use contents::{Contents, MapDocument, moved, unchanged, unusable};
use couchfile::data_dir::SHARD_MAPS;
use couchfile::database::Database;
use couchfile::edit::{Edit, edit};
use couchfile::header::HeaderEdit;
use couchfile::read_at::{FileBytes, ReadAt};
use couchfile::writer::{DatabaseWriter, NewDocument, Settings, random_uuid};
use outcome::{Code, Failure, Result, parallel};

use super::RestoreOptions;
use super::destination::Destination;
use super::plan::Plan;

/// Writes the shard maps of every node into its staging directory.
pub(crate) fn write(
    contents: &Contents,
    plan: &Plan,
    options: &RestoreOptions,
    destinations: &[Destination],
) -> Result<()> {
    let nodes = options.node_names();
    let (Some(first), Some(node)) = (destinations.first(), nodes.first()) else {
        return Err(Failure::refused(
            Code::new("CC-R02"),
            "no target is given",
            "Give at least one target as DIR,NODENAME.",
        ));
    };
    let failed = |e| unusable(SHARD_MAPS, e);
    let uuid = || random_uuid().map_err(failed);
    let file = match first.folder() {
        Some(staging) => staging.create_file(SHARD_MAPS)?,
        None => tempfile::tempfile().map_err(|e| Failure::io("create a file in", std::env::temp_dir(), e))?,
    };
    let out = BufWriter::with_capacity(1 << 20, file);
    let mut writer = DatabaseWriter::new(out, Settings::new(uuid()?, node)).map_err(failed)?;
    contents.maps.convert(
        parallel::threads(options.threads),
        |document| rewritten(document, plan, &nodes),
        |document| match document? {
            Some(document) => writer.add(&document).map_err(failed),
            None => Ok(()),
        },
    )?;
    let mut out = writer.finish().map_err(failed)?;
    let io = |e| Failure::io("write", SHARD_MAPS, e);
    out.flush().map_err(io)?;
    let file = out.into_inner().map_err(|e| io(e.into_error()))?;

    let database = Database::open(FileBytes::new(file).map_err(io)?).map_err(failed)?;
    if first.folder().is_none() {
        first.copy(SHARD_MAPS, database.source(), database.source().len(), &[], &|_| {})?;
    }
    for (destination, node) in destinations.iter().zip(&nodes).skip(1) {
        let header = HeaderEdit {
            uuid: Some(uuid()?),
            node: Some(node.clone()),
            only_node: true,
            ..HeaderEdit::default()
        };
        let tail =
            edit(&database, &Edit { header, keep_local: &|_| true, add_local: &[] }).map_err(failed)?;
        destination.copy(SHARD_MAPS, database.source(), tail.keep, &tail.bytes, &|_| {})?;
    }
    Ok(())
}

/// The document of a shard map on the new nodes. `None` for databases that are left out. Its id is the database's new name, if it
/// is renamed.
pub(crate) fn rewritten(document: MapDocument, plan: &Plan, nodes: &[String]) -> Result<Option<NewDocument>> {
    if document.is_design() {
        return Ok(Some(unchanged(document)));
    }
    let Some(name) = plan.name_of(&document.id).map(str::to_owned) else { return Ok(None) };
    let mut is_placed = true;
    let mut moved = moved(document, |map| {
        let counted = plan.counted(map);
        let placed = plan.placed(counted.clone(), nodes);
        is_placed = placed.is_some();
        let mut map = placed.unwrap_or(counted);
        if let Some(suffix) = &plan.new_suffix {
            map.suffix.clone_from(suffix);
        }
        map
    })?;
    if !is_placed {
        return Err(Failure::bug(format!("the plan has no place for a range of {name}")));
    }
    moved.id = name.into_bytes();
    Ok(Some(moved))
}
