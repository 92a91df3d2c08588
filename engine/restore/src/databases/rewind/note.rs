//! The note about an unfinished rewind: a local document of the database.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The document's id.
pub(super) const ID: &str = "_local/couchcopy-rewind";

/// How far a rewind got.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// Distinguishes the backup, at its moment, from any other.
    pub(super) backup: String,
    /// The database in the backup.
    pub(super) database: String,
    /// When the rewind began, in UTC.
    pub(super) begun: String,
    /// Up to this document everything is done.
    #[serde(default)]
    pub(super) done: Option<Done>,
    /// The documents that were being written, each with the revision on top of which.
    #[serde(default)]
    pub(super) pending: BTreeMap<String, Option<String>>,
}

/// The last document that is done. Design documents come after all others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) design: bool,
    pub(super) id: String,
}

impl Done {
    pub(super) fn of(id: &str) -> Self {
        Self { design: id.starts_with("_design/"), id: id.to_owned() }
    }
}

impl Note {
    /// Reads the document; `None` if it is not couchcopy's.
    pub(super) fn read(document: &Value) -> Option<Self> {
        serde_json::from_value(document.clone()).ok()
    }

    pub(super) fn to_json(&self) -> Value {
        let mut document = json!(self);
        document["_id"] = json!(ID);
        document
    }

    /// Whether the rewind that wrote this note has already dealt with a document whose newest revision is `rev` and which is
    /// not what it was: somebody has edited it since.
    pub(super) fn has_passed(&self, id: &str, rev: Option<&str>) -> bool {
        if let Some(parent) = self.pending.get(id) {
            // It was written on top of this revision, or is still to be written.
            return parent.as_deref() != rev;
        }
        self.done.as_ref().is_some_and(|done| Done::of(id) <= *done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dealt_with_is_known() {
        let note = Note {
            done: Some(Done::of("m")),
            pending: [("n".to_owned(), Some("2-a".to_owned())), ("o".to_owned(), None)].into(),
            ..Note::default()
        };
        assert!(note.has_passed("a", Some("9-x")) && note.has_passed("m", None));
        assert!(!note.has_passed("n", Some("2-a")) && note.has_passed("n", Some("3-b")));
        assert!(!note.has_passed("o", None) && note.has_passed("o", Some("1-a")));
        assert!(!note.has_passed("p", Some("1-a")) && !note.has_passed("_design/a", Some("1-a")));
        assert_eq!(Note::read(&note.to_json()), Some(note));
        let designs = Note { done: Some(Done::of("_design/m")), ..Note::default() };
        assert!(designs.has_passed("z", None) && designs.has_passed("_design/a", None));
        assert!(!designs.has_passed("_design/z", None));
    }
}
