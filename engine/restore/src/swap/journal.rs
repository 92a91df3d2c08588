//! The journal of a restore: its decisions, recorded on each node.

use cluster::identity::Identity;
use contents::FileProblem;
use node::FileEntry;
use serde::{Deserialize, Serialize};

use super::change::{Change, Renaming};
use super::old::OldEntry;
use crate::RestoreChoices;
use crate::folders::Suffixes;
use crate::placement::Placement;
use crate::ranges::Ranges;
use crate::selection::Selection;
use crate::transform::Transformation;

/// The version of the journal of a complete archive.
const VERSION: u32 = 1;
/// The version of the journal of a selection: a couchcopy that does not know selections must not finish it.
const OF_SELECTION: u32 = 2;
/// The version of the journal of databases that get a new suffix.
const OF_NEW_SUFFIX: u32 = 3;
/// The version of the journal of a restore that leaves out damage found during staging.
const OF_DAMAGED: u32 = 4;
/// The version of the journal of new names for nodes.
const OF_RENAMING: u32 = 5;
/// The version of the journal of a restore of one node, while the other nodes run.
const OF_ONE_NODE: u32 = 6;
/// The version of the journal of databases that get another number of ranges.
const OF_RANGES: u32 = 7;
/// The version of the journal of a restore that records what decides which nodes get copies: a couchcopy that does not know that
/// would write other shard maps.
const OF_PLACEMENT: u32 = 8;
/// The version of the journal of documents that pass through a filter: a couchcopy that does not know filters would restore them
/// as they are in the archive.
const OF_TRANSFORMED: u32 = 9;
/// The newest version.
const NEWEST: u32 = OF_TRANSFORMED;

/// The recorded phase of a restore on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// New data is being copied next to the old data.
    Staging,
    /// The new data is complete and durable.
    Staged,
    /// CouchDB has been stopped; old and new data are being swapped, or have been.
    Swapping,
    /// The new data is confirmed.
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
    /// The id of the restore, the same on all its nodes.
    pub id: String,
    /// The recorded phase.
    pub phase: Phase,
    /// When the restore began, in UTC.
    pub begun: String,
    /// The archive's path on the machine where couchcopy ran. Empty if there is no archive.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub archive: String,
    /// The archive's length in bytes, to recognise it.
    #[serde(default)]
    pub archive_bytes: u64,
    /// The new names, if nodes are renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renaming: Option<Renaming>,
    /// Names of all nodes of the restore, in the order that places copies.
    pub nodes: Vec<String>,
    /// The name of this node.
    pub node: String,
    /// The options of the restore.
    pub options: JournalOptions,
    /// What distinguishes this node's CouchDB from another one. It may be down when the restore is finished or rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The entries of the data directory after CouchDB had been stopped.
    #[serde(default)]
    pub old: Vec<String>,
    /// The properties of these entries; empty before the stop, and again after a checked roll back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub old_data: Vec<OldEntry>,
    /// The entries that replace them.
    #[serde(default)]
    pub new: Vec<String>,
}

/// The options that finishing a restore depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct JournalOptions {
    /// Copies of every range, if the user gave a number.
    pub copies: Option<usize>,
    /// Whether every copy got a new uuid.
    pub fresh_uuids: bool,
    /// Whether damaged databases are left out.
    pub skip_damaged: bool,
    /// Whether shard maps are created through HTTP.
    pub maps_by_http: bool,
    /// Which databases of the archive are restored, and under which names.
    #[serde(default, skip_serializing_if = "Selection::is_everything")]
    pub selection: Selection,
    /// Shards that were found damaged during staging; their databases are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<FileProblem>,
    /// View indexes that were found damaged and are left out: the shard's path, the signature, the damage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged_views: Vec<(String, String, String)>,
    /// The new suffix of the databases, if it differs from the archive's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_suffix: Option<String>,
    /// Whether files that belong to no database may be removed with the old data.
    #[serde(default)]
    pub remove_orphans: bool,
    /// The other nodes of the cluster, if they run on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// Whether the restore may have no databases.
    #[serde(default)]
    pub allow_empty: bool,
    /// Whether shard maps were made of shards.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rebuild_maps: bool,
    /// Which databases get another number of ranges.
    #[serde(default, skip_serializing_if = "Ranges::is_empty")]
    pub ranges: Ranges,
    /// What decides which nodes get copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// The name and version of the filter that all documents pass through, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transformed_by: Option<String>,
}

impl JournalOptions {
    /// The choices that the restore goes on with.
    pub fn choices(&self) -> RestoreChoices {
        RestoreChoices {
            copies: self.copies,
            fresh_uuids: self.fresh_uuids,
            suffixes: self.new_suffix.clone().map_or(Suffixes::Keep, Suffixes::Chosen),
            allow_empty: self.allow_empty,
            skip_damaged: self.skip_damaged,
            rebuild_maps: self.rebuild_maps,
            selection: self.selection.clone(),
            ranges: self.ranges.clone(),
            placement: self.placement.clone().unwrap_or_else(Placement::not_recorded),
            transformation: match &self.transformed_by {
                None => Transformation::None,
                Some(name) => Transformation::Done { name: name.clone() },
            },
            temporary: None,
        }
    }

    /// The first version that supports the content of the journal.
    fn version(&self) -> u32 {
        if self.transformed_by.is_some() {
            return OF_TRANSFORMED;
        }
        if self.placement.is_some() {
            return OF_PLACEMENT;
        }
        if !self.ranges.is_empty() {
            return OF_RANGES;
        }
        if !self.others.is_empty() {
            return OF_ONE_NODE;
        }
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
            renaming: None,
            nodes,
            node,
            options,
            identity: None,
            old: Vec::new(),
            old_data: Vec::new(),
            new: Vec::new(),
        }
    }

    /// The journal of new names that begins on one of these nodes. The names of the nodes are the new ones.
    pub(crate) fn begin_renaming(id: String, renaming: Renaming, nodes: Vec<String>, node: String) -> Self {
        let journal = Self::begin(id, (String::new(), 0), nodes, node, JournalOptions::default());
        Self { version: OF_RENAMING, renaming: Some(renaming), ..journal }
    }

    /// What is being changed.
    pub fn change(&self) -> Change {
        if self.renaming.is_some() { Change::Rename } else { Change::Restore }
    }

    /// Names of the entries that the change replaces.
    pub(super) fn names(&self, entries: Option<Vec<FileEntry>>) -> Vec<String> {
        super::names(entries, Some(self.change()))
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let journal: Self = serde_json::from_slice(text).map_err(|e| format!("is not a journal: {e}"))?;
        if !(VERSION..=NEWEST).contains(&journal.version) {
            return Err(format!(
                "has version {}, but this couchcopy supports versions {VERSION} to {NEWEST}",
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
