//! Writes a `_dbs.couch` for every node: the same documents with the same revisions, a uuid of its own.

use std::io::{BufWriter, Write};

use couchfile::data_dir::SHARD_MAPS;
use couchfile::database::Database;
use couchfile::edit::{Edit, edit};
use couchfile::header::HeaderEdit;
use couchfile::read_at::{FileBytes, ReadAt};
use couchfile::revision;
use couchfile::writer::{DatabaseWriter, NewBody, NewDocument, NewRevision, Settings, random_uuid};

use super::RestoreOptions;
use super::destination::Destination;
use super::plan::{Plan, placed};
use crate::error::{OperationError, Result};
use crate::parallel;
use crate::survey::{MapDocument, Survey};

/// Writes the shard maps of every node into its staging folder.
pub(super) fn write(
    survey: &Survey,
    plan: &Plan,
    options: &RestoreOptions,
    destinations: &[Destination],
) -> Result<()> {
    let nodes: Vec<String> = options.targets.iter().map(|target| target.node.clone()).collect();
    let (Some(first), Some(node)) = (destinations.first(), nodes.first()) else {
        return Err(OperationError::refused(
            "no node is named to restore to",
            "Give at least one target: DIR,NODENAME.",
        ));
    };
    let failed = |e| OperationError::database(SHARD_MAPS, e);
    let uuid = || random_uuid().map_err(failed);
    let file = match first.folder() {
        Some(staging) => staging.create_file(SHARD_MAPS)?,
        None => tempfile::tempfile()
            .map_err(|e| OperationError::io("create a file in", std::env::temp_dir(), e))?,
    };
    let out = BufWriter::with_capacity(1 << 20, file);
    let mut writer = DatabaseWriter::new(out, Settings::new(uuid()?, node)).map_err(failed)?;
    survey.maps.convert(
        parallel::threads(options.threads),
        |document| rewritten(document, plan, &nodes, options.copies),
        |document| match document? {
            Some(document) => writer.add(&document).map_err(failed),
            None => Ok(()),
        },
    )?;
    let mut out = writer.finish().map_err(failed)?;
    let io = |e| OperationError::io("write", SHARD_MAPS, e);
    out.flush().map_err(io)?;
    let file = out.into_inner().map_err(|e| io(e.into_error()))?;

    let database = Database::open(FileBytes::new(file).map_err(io)?).map_err(failed)?;
    if first.folder().is_none() {
        first.copy(SHARD_MAPS, database.source(), database.source().len(), &[])?;
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
        destination.copy(SHARD_MAPS, database.source(), tail.keep, &tail.bytes)?;
    }
    Ok(())
}

/// The document of a shard map on the new nodes: one revision more than it had, so that it wins over the old one wherever
/// that should turn up; the very same where nothing changes. `None` for databases that are left out. Its id is the database's
/// new name, where it gets one.
pub(super) fn rewritten(
    document: MapDocument,
    plan: &Plan,
    nodes: &[String],
    copies: Option<usize>,
) -> Result<Option<NewDocument>> {
    let MapDocument { id, revision, ancestors, body, map } = document;
    let (id, new_body) = if id.starts_with("_design/") {
        (id, None)
    } else {
        let Some(name) = plan.name_of(&id) else { return Ok(None) };
        let map = map.map_err(|problem| OperationError::Bug(format!("{id} was planned, but {problem}")))?;
        let new_body = placed(map, name, nodes, copies).encode();
        (name.to_owned(), (new_body != body).then_some(new_body))
    };
    let first_generation = (revision.0 + 1).saturating_sub(ancestors.len() as u64 + 1);
    let mut revisions: Vec<NewRevision> = Vec::with_capacity(ancestors.len() + 2);
    for (i, ancestor) in ancestors.into_iter().rev().enumerate() {
        revisions.push(NewRevision {
            generation: first_generation + i as u64,
            id: ancestor,
            parent: i.checked_sub(1),
            body: None,
        });
    }
    let parent = revisions.len().checked_sub(1);
    let leaf = |term| Some(NewBody { term, deleted: false, attachments: Vec::new() });
    let before = NewRevision { generation: revision.0, id: revision.1, parent, body: None };
    match new_body {
        None => revisions.push(NewRevision { body: leaf(body), ..before }),
        Some(new_body) => {
            let (generation, rev) =
                revision::next(Some((before.generation, &before.id)), false, &new_body, &[]);
            revisions.push(before);
            let parent = revisions.len() - 1;
            revisions.push(NewRevision {
                generation,
                id: rev.to_vec(),
                parent: Some(parent),
                body: leaf(new_body),
            });
        }
    }
    Ok(Some(NewDocument { id: id.into_bytes(), revisions }))
}
