//! What a restore has decided on a node, written down there.

use cluster::identity::Identity;
use contents::FileProblem;
use serde::{Deserialize, Serialize};

use super::old::OldEntry;
use crate::selection::Selection;

/// The version of a journal about everything that is in an archive.
const VERSION: u32 = 1;
/// That of one about a selection: who does not know of these must not finish it.
const OF_SELECTION: u32 = 2;
/// That of one about databases that get a new suffix, likewise.
const OF_NEW_SUFFIX: u32 = 3;
/// That of one that leaves out what was found damaged while it was staged.
const OF_DAMAGED: u32 = 4;

/// How far a restore has been decided on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// New data is being copied beside the old data.
    Staging,
    /// It is there, whole and durable.
    Staged,
    /// CouchDB has been stopped; old and new data change places, or have.
    Swapping,
    /// The new data was found good.
    Done,
    /// The old data is being removed.
    Removing,
    /// The old data is back; the rest is being removed.
    Undone,
}

/// The journal of a restore on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Version of the journal's format.
    version: u32,
    /// The same on all nodes of one restore.
    pub id: String,
    /// How far it has been decided.
    pub phase: Phase,
    /// When it began, in universal time.
    pub begun: String,
    /// The archive's path where couchcopy ran.
    pub archive: String,
    /// The archive's length in bytes, to recognise it.
    pub archive_bytes: u64,
    /// Names of all nodes of the restore, in the order that places copies.
    pub nodes: Vec<String>,
    /// The name of this one.
    pub node: String,
    /// How it was to be done.
    pub options: JournalOptions,
    /// What tells this node's CouchDB from another one; it may be down when the restore is finished or undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// What stood in the data folder when CouchDB had been stopped.
    #[serde(default)]
    pub old: Vec<String>,
    /// How that looked then; empty before, and again when it was seen to be back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub old_data: Vec<OldEntry>,
    /// What is to come in its place.
    #[serde(default)]
    pub new: Vec<String>,
}

/// How a restore is to be done, as far as finishing it depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct JournalOptions {
    /// Copies of every range, where the user said so.
    pub copies: Option<usize>,
    /// Whether every copy got a fresh uuid.
    pub fresh_uuids: bool,
    /// Whether damaged databases are left out.
    pub skip_damaged: bool,
    /// Whether shard maps are made through HTTP.
    pub maps_by_http: bool,
    /// Which databases of the archive, and under which names.
    #[serde(default, skip_serializing_if = "Selection::is_everything")]
    pub selection: Selection,
    /// Shards that were found damaged in the archive while it was staged; their databases are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<FileProblem>,
    /// View indexes that were found damaged and are left out: the shard's path, the signature, what is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged_views: Vec<(String, String, String)>,
    /// The suffix that databases get, where that is not the one in the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_suffix: Option<String>,
    /// Whether files that belong to no database may be removed with the old data.
    #[serde(default)]
    pub remove_orphans: bool,
    /// Whether there may be no databases to restore.
    #[serde(default)]
    pub allow_empty: bool,
}

impl JournalOptions {
    /// The first version that knows what is in here.
    fn version(&self) -> u32 {
        if !self.damaged.is_empty() {
            return OF_DAMAGED;
        }
        match (&self.new_suffix, self.selection.is_everything()) {
            (Some(_), _) => OF_NEW_SUFFIX,
            (None, false) => OF_SELECTION,
            (None, true) => VERSION,
        }
    }
}

impl Journal {
    /// The journal of a restore that begins on one of these nodes.
    pub fn begin(
        id: String,
        archive: (String, u64),
        nodes: Vec<String>,
        node: String,
        options: JournalOptions,
    ) -> Self {
        Self {
            version: options.version(),
            id,
            phase: Phase::Staging,
            begun: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            archive: archive.0,
            archive_bytes: archive.1,
            nodes,
            node,
            options,
            identity: None,
            old: Vec::new(),
            old_data: Vec::new(),
            new: Vec::new(),
        }
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let journal: Self = serde_json::from_slice(text).map_err(|e| format!("is no journal: {e}"))?;
        if !(VERSION..=OF_DAMAGED).contains(&journal.version) {
            return Err(format!(
                "is of version {}, this couchcopy knows {VERSION} to {OF_DAMAGED}",
                journal.version
            ));
        }
        Ok(journal)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // A value of strings, numbers and lists can always be written.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }
}
