//! Rewrites shard maps.

use couchfile::revision;
use couchfile::shard_map::ShardMap;
use couchfile::writer::{NewBody, NewDocument, NewRevision};
use outcome::Result;

use super::{MapDocument, unreadable};

/// The document with another shard map. It gets one more revision, so that it wins over the old document; if the map does not
/// change, the document stays the same.
///
/// Fails if the document holds no shard map.
pub fn moved(mut document: MapDocument, change: impl FnOnce(ShardMap) -> ShardMap) -> Result<NewDocument> {
    let map = std::mem::replace(&mut document.map, Err("it was taken".into()));
    let map = map.map_err(|problem| unreadable(&document.id, &problem))?;
    let body = change(map).encode();
    if body == document.body {
        return Ok(unchanged(document));
    }
    let (generation, id) =
        revision::next(Some((document.revision.0, &document.revision.1)), false, &body, &[]);
    let mut revisions = ancestry(document.revision, document.ancestors, None);
    let parent = revisions.len().checked_sub(1);
    revisions.push(NewRevision { generation, id: id.to_vec(), parent, body: Some(leaf(body)) });
    Ok(NewDocument { id: document.id.into_bytes(), revisions })
}

/// A document without changes.
pub fn unchanged(document: MapDocument) -> NewDocument {
    let MapDocument { id, revision, ancestors, body, .. } = document;
    NewDocument { id: id.into_bytes(), revisions: ancestry(revision, ancestors, Some(leaf(body))) }
}

fn leaf(term: Vec<u8>) -> NewBody {
    NewBody { term, deleted: false, attachments: Vec::new() }
}

/// A revision, with this body, after its ancestors.
fn ancestry(revision: (u64, Vec<u8>), ancestors: Vec<Vec<u8>>, body: Option<NewBody>) -> Vec<NewRevision> {
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
    revisions.push(NewRevision { generation: revision.0, id: revision.1, parent, body });
    revisions
}
