//! Writes `_dbs.couch` and `_nodes.couch` with the new names: the same documents on every node, and a new uuid for each file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};

use contents::{AnySource, MapDocument, moved, unchanged, unusable};
use couchfile::data_dir::SHARD_MAPS;
use couchfile::database::Database;
use couchfile::edit::{Edit, NewLocal, edit};
use couchfile::error::CouchFileError;
use couchfile::header::HeaderEdit;
use couchfile::read_at::FileBytes;
use couchfile::shard_map::ShardMap;
use couchfile::term::Encoder;
use couchfile::writer::{DatabaseWriter, NewBody, NewDocument, Settings, random_uuid};
use outcome::{Failure, Result};

use super::checks::Merged;
use super::files::{NODES, NodeMaps};
use super::names::NewNames;
use crate::folders::destination::Destination;

/// Local documents of `_dbs` that stay on their node: jobs of shard splitting, which name shards and no nodes.
///
/// Source: `mem3_reshard.hrl` (`JOB_PREFIX`, `STATE_PREFIX`), `mem3_reshard_store.erl` (`job_to_ejson_props/1`: the node that
/// is recorded is not read again).
const RESHARD: &[u8] = b"_local/reshard-";

/// Writes both files for every node. `given` are the names of the nodes from now on, in the order of the destinations.
pub(super) fn write(
    merged: &Merged<'_>,
    names: &NewNames,
    given: &[String],
    of_nodes: &[NodeMaps],
    destinations: &[Destination],
    threads: usize,
) -> Result<()> {
    let name = given.first().ok_or_else(|| Failure::bug("no node is to be renamed"))?;
    let shard_maps = new_file(SHARD_MAPS, name, |writer| {
        merged.maps.convert(
            threads,
            |document| renamed(document, names),
            |document| writer.add(&document?).map_err(|e| unusable(SHARD_MAPS, e)),
        )
    })?;
    let nodes = new_file(NODES, name, |writer| {
        members(merged, names, given)?
            .iter()
            .try_for_each(|member| writer.add(member).map_err(|e| unusable(NODES, e)))
    })?;
    for ((destination, name), of_node) in destinations.iter().zip(given).zip(of_nodes) {
        let jobs = reshard_jobs(&of_node.shard_maps).map_err(|e| unusable(SHARD_MAPS, e))?;
        copy(SHARD_MAPS, &shard_maps, name, &jobs, destination)?;
        copy(NODES, &nodes, name, &[], destination)?;
    }
    Ok(())
}

/// Makes a file without a name on this machine.
fn new_file(
    what: &'static str,
    node: &str,
    fill: impl FnOnce(&mut DatabaseWriter<BufWriter<File>>) -> Result<()>,
) -> Result<Database<FileBytes>> {
    let failed = |e| unusable(what, e);
    let io = |e| Failure::io("write a file in", std::env::temp_dir(), e);
    let file = tempfile::tempfile().map_err(|e| Failure::io("create a file in", std::env::temp_dir(), e))?;
    let settings = Settings::new(random_uuid().map_err(failed)?, node);
    let mut writer =
        DatabaseWriter::new(BufWriter::with_capacity(1 << 20, file), settings).map_err(failed)?;
    fill(&mut writer)?;
    let mut out = writer.finish().map_err(failed)?;
    out.flush().map_err(io)?;
    let file = out.into_inner().map_err(|e| io(e.into_error()))?;
    Database::open(FileBytes::new(file).map_err(io)?).map_err(failed)
}

/// Writes a file for one node.
fn copy(
    what: &'static str,
    file: &Database<FileBytes>,
    node: &str,
    local: &[NewLocal],
    destination: &Destination,
) -> Result<()> {
    let failed = |e| unusable(what, e);
    let header = HeaderEdit {
        uuid: Some(random_uuid().map_err(failed)?),
        node: Some(node.to_owned()),
        only_node: true,
        ..HeaderEdit::default()
    };
    let tail = edit(file, &Edit { header, keep_local: &|_| true, add_local: local }).map_err(failed)?;
    destination.copy(what, file.source(), tail.keep, &tail.bytes, &|_| {})
}

/// The document of a shard map with the new names.
fn renamed(document: MapDocument, names: &NewNames) -> Result<NewDocument> {
    let is_changed = document.map.as_ref().is_ok_and(|map| names_old(map, names));
    if document.is_design() || !is_changed {
        return Ok(unchanged(document));
    }
    moved(document, |mut map| {
        for node in map.by_range.values_mut().flatten() {
            let after = names.after(node);
            if *after != **node {
                *node = after.to_owned();
            }
        }
        map
    })
}

/// Whether a shard map names a node that gets another name.
pub(super) fn names_old(map: &ShardMap, names: &NewNames) -> bool {
    map.by_range.values().flatten().any(|node| names.renames(node))
}

/// The documents of `_nodes.couch`: one for each node, with the properties that it had under its old name, such as its zone.
fn members(merged: &Merged<'_>, names: &NewNames, given: &[String]) -> Result<Vec<NewDocument>> {
    let mut known: BTreeMap<String, MapDocument> = BTreeMap::new();
    merged.nodes.convert(
        1,
        |document| document,
        |document| {
            known.insert(document.id.clone(), document);
            Ok(())
        },
    )?;
    let empty = Encoder::new().tuple(1).nil().as_bytes().to_vec();
    let body = |term| NewBody { term, deleted: false, attachments: Vec::new() };
    let mut members = Vec::new();
    for name in given {
        let before = names.before(name);
        let old = if before == name { None } else { known.remove(before) };
        members.push(match (known.remove(name), old) {
            // CouchDB has started under the new name already, and knows nothing of the old one.
            (Some(new), Some(old)) if new.body == empty && old.body != empty => {
                let mut document = unchanged(new);
                let last = document.revisions.len().saturating_sub(1);
                document.edit(last, body(old.body)).map_err(|e| unusable(NODES, e))?;
                document
            }
            (Some(new), _) => unchanged(new),
            (None, old) => {
                let term = old.map_or_else(|| empty.clone(), |old| old.body);
                NewDocument::first(name.as_bytes(), body(term))
            }
        });
    }
    members.extend(known.into_values().filter(MapDocument::is_design).map(unchanged));
    Ok(members)
}

/// The jobs of shard splitting of a node.
fn reshard_jobs(shard_maps: &Database<AnySource>) -> Result<Vec<NewLocal>, CouchFileError> {
    let mut jobs = Vec::new();
    shard_maps.for_each_local(|doc| {
        if doc.id.starts_with(RESHARD) {
            jobs.push(NewLocal { id: doc.id.to_vec(), body: doc.body.to_vec() });
        }
        Ok::<(), CouchFileError>(())
    })?;
    Ok(jobs)
}
