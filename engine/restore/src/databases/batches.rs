//! Reads documents of an archive, some thousand at a time, and finds which of their revisions a database lacks.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use contents::unusable;
use couchfile::error::CouchFileError;
use node::{Body, Method};
use outcome::{Failure, Result};
use serde_json::{Map, Value};
use snapshot::{Document, InOrder, SnapshotDatabase, Walk};

use super::sender::Sender;

/// Documents at a time, and their bytes without bodies.
pub(super) const DOCUMENTS: usize = 2000;
const BYTES: usize = 4 << 20;

/// Documents with the numbers of their shards.
pub(super) type Batch<'d> = Vec<(usize, Document<'d>)>;

/// Leaf revisions by id.
pub(super) type Revisions<T> = HashMap<String, T>;

/// The documents of a walk, for several threads. Damage is skipped and recorded.
pub(super) struct Batches<'d> {
    documents: Mutex<InOrder<'d>>,
    damage: Mutex<Vec<snapshot::Error>>,
}

impl<'d> Batches<'d> {
    pub(super) fn new(source: &'d SnapshotDatabase, walk: &Walk) -> Result<Self> {
        let documents = Mutex::new(source.in_order_around_damage(walk)?);
        Ok(Self { documents, damage: Mutex::default() })
    }

    /// The next documents; none at the end.
    pub(super) fn next(&self) -> Result<Batch<'d>> {
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < DOCUMENTS && bytes < BYTES {
            let Some(found) = documents.next() else { break };
            let (shard, document) = match found {
                Ok(found) => found,
                Err(e) if e.is_damage() => {
                    self.damage.lock().unwrap_or_else(PoisonError::into_inner).push(e);
                    continue;
                }
                Err(e) => return Err(e.into()),
            };
            bytes += document.bytes_in_memory();
            batch.push((shard, document));
        }
        Ok(batch)
    }

    /// The damage found so far.
    pub(super) fn take_damage(&self) -> Vec<snapshot::Error> {
        std::mem::take(&mut self.damage.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The leaf revisions of documents.
pub(super) fn revisions<'b, 'd: 'b>(
    source: &SnapshotDatabase,
    documents: impl IntoIterator<Item = &'b Document<'d>>,
) -> Result<Revisions<Vec<String>>> {
    let of = |document: &Document<'_>| {
        let tree = document.revisions().map_err(unreadable(source, document))?;
        Ok((document.id().to_owned(), tree.leaves().map(ToString::to_string).collect()))
    };
    documents.into_iter().map(of).collect()
}

/// The revisions that the database lacks.
pub(super) fn missing(
    revisions: &Revisions<Vec<String>>,
    sender: &Sender<'_>,
) -> Result<Revisions<HashSet<String>>> {
    if revisions.is_empty() {
        return Ok(HashMap::new());
    }
    let path = sender.target.path("/_revs_diff");
    let asked: Map<String, Value> =
        revisions.iter().map(|(id, revs)| (id.clone(), revs.clone().into())).collect();
    let text = serde_json::to_vec(&asked)
        .map_err(|e| Failure::bug(format!("revisions that are not valid as JSON: {e}")))?;
    let answer = sender.ask(&Method::POST, &path, || Body::Text(&text), text.len() as u64)?;
    let rows = answer.body.as_object().filter(|_| answer.is_success());
    let Some(rows) = rows else {
        return Err(sender.target.error(&format!("POST {path}"), answer.status, answer.reason()));
    };
    let missing = |row: &Value| -> HashSet<String> {
        row["missing"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|rev| Some(rev.as_str()?.to_owned()))
            .collect()
    };
    Ok(rows.iter().map(|(id, row)| (id.clone(), missing(row))).collect())
}

/// The error for a document of the archive that cannot be read.
pub(super) fn unreadable(
    source: &SnapshotDatabase,
    document: &Document<'_>,
) -> impl FnOnce(CouchFileError) -> Failure {
    move |error| unusable(format!("{} of {}", document.id(), source.name()), error)
}
