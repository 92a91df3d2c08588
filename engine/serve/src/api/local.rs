//! Local documents: those of the archive, and those that clients leave here. The latter live as long as the server does.
//!
//! A replicator writes its checkpoint to both sides. Refused here it would stop.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};

use couchfile::json::{Json, Members};
use outcome::Lock;
use snapshot::SnapshotDatabase;

use crate::http::{Call, HttpError};

/// Largest document, in bytes.
const LARGEST: usize = 1 << 20;
/// Bytes that all local documents may take.
const ROOM: usize = 16 << 20;
/// What a document takes in addition to its text, in bytes.
const OVERHEAD: usize = 256;

/// Local documents that clients left in the databases of one archive.
#[derive(Debug, Default)]
pub(crate) struct Locals(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// By database and id; without a body where it was deleted.
    documents: HashMap<String, BTreeMap<String, Option<Json>>>,
    size: usize,
}

impl Locals {
    /// The document with that id (`_local/` in front), with `_id` and `_rev`.
    pub(super) fn get(&self, db: &SnapshotDatabase, id: &str) -> Result<Option<Json>, snapshot::Error> {
        let left = self.lock().documents.get(db.name()).and_then(|docs| docs.get(id)).cloned();
        match left {
            Some(left) => Ok(left),
            None => db.local(id),
        }
    }

    /// All that were left in a database, by id.
    pub(super) fn left_in(&self, db: &str) -> BTreeMap<String, Option<Json>> {
        self.lock().documents.get(db).cloned().unwrap_or_default()
    }

    /// Keeps the document in a request's body; gives its revision.
    pub(super) fn put(&self, db: &SnapshotDatabase, id: &str, call: &Call) -> Result<String, HttpError> {
        if call.body.len() > LARGEST {
            return Err(HttpError::new(413, "document_too_large", id));
        }
        let Json::Object(given) = call.exact_json()? else {
            return Err(HttpError::bad_request("Document must be a JSON object"));
        };
        let number = match given.get("_rev").or_else(|| given.get("rev")) {
            Some(rev) if given.get("_rev").is_some() => number_of(rev.as_str())?,
            _ => call.parameter("rev").map_or(Ok(0), |rev| number_of(Some(rev)))?,
        };
        if given.get("_deleted").and_then(Json::as_bool) == Some(true) {
            self.keep(db.name(), id, None)?;
            return Ok("0-0".to_owned());
        }
        let rev = format!("0-{}", number.saturating_add(1));
        let mut doc = Members::default();
        doc.insert("_id", id.into());
        doc.insert("_rev", rev.clone().into());
        for (key, value) in given.into_pairs() {
            match key.as_str() {
                "_id" | "_rev" | "_deleted" | "_revisions" | "_attachments" => {}
                name if name.starts_with('_') => {
                    let reason = format!("Bad special document member: {name}");
                    return Err(HttpError::new(400, "doc_validation", reason));
                }
                _ => {
                    doc.insert(key, value);
                }
            }
        }
        self.keep(db.name(), id, Some(Json::Object(doc)))?;
        Ok(rev)
    }

    /// Deletes a document; gives the revision of what is left.
    pub(super) fn delete(&self, db: &SnapshotDatabase, id: &str) -> Result<String, crate::http::Failure> {
        self.get(db, id)?.ok_or_else(|| HttpError::not_found("missing"))?;
        self.keep(db.name(), id, None)?;
        Ok("0-0".to_owned())
    }

    fn keep(&self, db: &str, id: &str, doc: Option<Json>) -> Result<(), HttpError> {
        let size_of = |doc: &Option<Json>| {
            doc.as_ref().map_or(0, |doc| 4 * doc.to_vec().len()) + id.len() + db.len() + OVERHEAD
        };
        let mut kept = self.lock();
        let before = kept.documents.get(db).and_then(|docs| docs.get(id)).map_or(0, size_of);
        let size = (kept.size - before.min(kept.size)).saturating_add(size_of(&doc));
        if size > ROOM {
            let reason = "There is no room for more local documents: they are kept in memory here.";
            return Err(HttpError::new(507, "insufficient_storage", reason));
        }
        kept.size = size;
        kept.documents.entry(db.to_owned()).or_default().insert(id.to_owned(), doc);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.locked()
    }
}

/// The N of a revision `0-N`.
fn number_of(rev: Option<&str>) -> Result<u64, HttpError> {
    let number = rev.and_then(|rev| rev.strip_prefix("0-")?.parse().ok());
    number.ok_or_else(|| HttpError::bad_request("Invalid rev format"))
}
