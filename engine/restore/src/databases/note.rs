//! What a database says of a restore into it until that is finished: a local document.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use snapshot::Snapshot;

use crate::selection::Rename;

/// The document's id.
pub(super) const ID: &str = "_local/couchcopy-restore";

/// What is being brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// Tells the archive's content from others'.
    archive: String,
    /// When the archive was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made: Option<String>,
    /// The database's name in the archive.
    database: String,
    /// Whether there were documents before, which keep their limits and security object.
    pub(super) merge: bool,
    /// Whether it has its limits and its security object: what is missing are revisions that were not taken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) settled: bool,
    /// When it began, in universal time.
    begun: String,
}

impl Note {
    pub(super) fn new(snapshot: &Snapshot, names: &Rename, merge: bool) -> Self {
        Self {
            archive: snapshot.identity().to_owned(),
            made: snapshot.about().date.clone(),
            database: names.from.clone(),
            merge,
            settled: false,
            begun: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }
    }

    /// Reads the document; one that is none of ours says nothing.
    pub(super) fn read(document: &Value) -> Option<Self> {
        serde_json::from_value(document.clone()).ok()
    }

    pub(super) fn to_json(&self) -> Value {
        let mut document = json!(self);
        document["_id"] = json!(ID);
        document
    }

    /// Whether the same database of the same archive is being brought back.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        self.archive == other.archive && self.database == other.database
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let made = self.made.as_deref().unwrap_or("unknown time");
        write!(f, "of {} out of an archive of {made}, begun {}", self.database, self.begun)
    }
}
