//! The note about an unfinished restore into a database: a local document.

use std::fmt;

use filter::Filter;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use snapshot::Snapshot;

use crate::selection::Rename;

/// The document's id.
pub(super) const ID: &str = "_local/couchcopy-restore";

/// What is being restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// Distinguishes the archive's content from any other.
    archive: String,
    /// When the archive was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made: Option<String>,
    /// The database's name in the archive.
    database: String,
    /// What chooses the documents that are restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    /// Whether there were documents before. The database then keeps its limits and security object.
    pub(super) merge: bool,
    /// Whether the database has its limits and its security object: only revisions that were refused are missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) settled: bool,
    /// When the restore began, in UTC.
    begun: String,
}

impl Note {
    pub(super) fn new(snapshot: &Snapshot, names: &Rename, filter: Option<&dyn Filter>, merge: bool) -> Self {
        Self {
            archive: snapshot.identity().to_owned(),
            made: snapshot.about().date.clone(),
            database: names.from.clone(),
            filter: filter.map(Filter::identity),
            merge,
            settled: false,
            begun: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }
    }

    /// Reads the document; `None` if it is not couchcopy's.
    pub(super) fn read(document: &Value) -> Option<Self> {
        serde_json::from_value(document.clone()).ok()
    }

    pub(super) fn to_json(&self) -> Value {
        let mut document = json!(self);
        document["_id"] = json!(ID);
        document
    }

    /// Whether the same documents of the same database of the same archive are being restored.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        self.archive == other.archive && self.database == other.database && self.filter == other.filter
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let made = self.made.as_deref().unwrap_or("unknown time");
        let filter = self.filter.as_ref().map_or_else(String::new, |filter| format!(" with {filter}"));
        write!(f, "of {} from an archive of {made}{filter}, begun {}", self.database, self.begun)
    }
}
