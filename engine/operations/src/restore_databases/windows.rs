//! The revisions of documents, some hundred documents at a time, and which of them a database lacks.

use std::collections::{HashMap, HashSet};

use couchfile::error::CouchFileError;
use node::{Body, Method};
use serde_json::{Map, Value};
use snapshot::{Document, Flow, Since, SnapshotDatabase, Walk};

use super::sender::Sender;
use crate::error::{OperationError, Result};

/// Documents and revisions asked for at a time, about.
const DOCUMENTS: usize = 2000;
const REVISIONS: usize = 5000;

/// Leaf revisions by id.
pub(super) type Revisions<T> = HashMap<String, T>;

/// Some documents of a shard in a row.
pub(super) struct Window {
    /// Their leaf revisions.
    pub(super) revisions: Revisions<Vec<String>>,
    /// Where the next window begins.
    pub(super) next: Since,
    /// Whether there is none.
    pub(super) is_last: bool,
}

/// A sequence that no database gets to, and that a tree can still be asked for.
const PAST_ALL: u64 = 1 << 60;

/// Before the first change of a shard, and past all changes of all others.
pub(super) fn beginning(source: &SnapshotDatabase, shard: usize) -> Since {
    let mut since = Since(vec![PAST_ALL; source.map().by_range.len()]);
    since.0[shard] = 0;
    since
}

impl Window {
    /// The window of a shard that begins at `since`, as far as its documents are wanted.
    pub(super) fn read(
        source: &SnapshotDatabase,
        since: &Since,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        let mut window = Self { revisions: HashMap::new(), next: since.clone(), is_last: true };
        let mut count = 0;
        source.changes(since, false, |document, reached| {
            if wanted(document.id()) {
                let leaves = leaves(source, document)?;
                count += leaves.len();
                window.revisions.insert(document.id().to_owned(), leaves);
            }
            if window.revisions.len() < DOCUMENTS && count < REVISIONS {
                return Ok::<Flow, OperationError>(Flow::On);
            }
            window.next.clone_from(reached);
            window.is_last = false;
            Ok(Flow::Stop)
        })?;
        Ok(window)
    }
}

/// Leaf revisions of the documents whose ids come after `after`, as many as are asked for at a time, and the last id; `None` where
/// there are no more.
pub(super) fn in_order(
    source: &SnapshotDatabase,
    after: Option<&str>,
) -> Result<Option<(Revisions<Vec<String>>, String)>> {
    // Nothing comes between an id and the same with a zero byte.
    let start = after.map(|id| [id.as_bytes(), &[0]].concat());
    let (mut revisions, mut last, mut count) = (Revisions::new(), None, 0);
    source.documents(&Walk { start, ..Walk::default() }, |document| {
        let leaves = leaves(source, document)?;
        count += leaves.len();
        last = Some(document.id().to_owned());
        revisions.insert(document.id().to_owned(), leaves);
        let goes_on = revisions.len() < DOCUMENTS && count < REVISIONS;
        Ok::<Flow, OperationError>(if goes_on { Flow::On } else { Flow::Stop })
    })?;
    Ok(last.map(|last| (revisions, last)))
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
        .map_err(|e| OperationError::Bug(format!("revisions that make no JSON: {e}")))?;
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
) -> impl FnOnce(CouchFileError) -> OperationError {
    move |error| OperationError::database(format!("{} of {}", document.id(), source.name()), error)
}

fn leaves(source: &SnapshotDatabase, document: &Document<'_>) -> Result<Vec<String>> {
    let tree = document.revisions().map_err(unreadable(source, document))?;
    Ok(tree.leaves().map(ToString::to_string).collect())
}
