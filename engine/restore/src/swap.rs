//! Swaps old data for new data on a node, so that an interrupted swap can be finished or rolled back.
//!
//! Everything is in a directory `.couchcopy` inside the data directory, and so on the same file system: `new` holds the new
//! files, `old` the old files, `undone` files that appeared while the node was partly changed. A journal records the decisions;
//! the progress of a change is read from the directories themselves, so it cannot be wrong.

mod change;
mod exchange;
mod journal;
mod old;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use node::{FileEntry, FileKind, Node};
use outcome::{Code, Failure, Result};
use serde::Serialize;

pub use change::{Change, Renaming};
pub(crate) use exchange::check_journal;
pub use journal::{Journal, JournalOptions, Phase};

/// The directory of a restore inside the data directory.
pub const FOLDER: &str = ".couchcopy";
const JOURNAL: &str = "journal.json";
const NEW: &str = "new";
const OLD: &str = "old";
const UNDONE: &str = "undone";
/// The largest journal, in bytes.
const JOURNAL_MAX: u64 = 16 << 20;

/// The situation of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Situation {
    /// There are no leftovers of a restore.
    Untouched,
    /// The old data is in place; new data was being copied next to it.
    Staging,
    /// The old data is in place; the complete new data is next to it.
    Staged,
    /// Some of the old data has been moved out, or some of the new data into place.
    Swapping,
    /// The new data is in place, the old data next to it; the new data is not confirmed yet.
    Swapped,
    /// The new data is in place and confirmed; the old data is still there.
    Done,
    /// The new data is in place and confirmed; the old data is being removed.
    Removing,
    /// The old data is back in place; leftovers have to be removed.
    Undone,
    /// The data in place is complete; the only leftover of the restore is an empty directory.
    Leftover,
}

/// The state of a node as found.
#[derive(Debug, Clone)]
pub struct NodeState {
    /// The situation.
    pub situation: Situation,
    /// The journal, if there is one.
    pub journal: Option<Journal>,
    /// Names of CouchDB's data in the data directory.
    in_place: Vec<String>,
    /// Names of CouchDB's data in the directory of the old data.
    in_old: Vec<String>,
    /// Names of CouchDB's data in the directory of the new data.
    in_new: Vec<String>,
}

/// Paths of a node's swap.
pub(crate) struct Places {
    pub(crate) data: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) new: PathBuf,
    pub(crate) old: PathBuf,
    undone: PathBuf,
    journal: PathBuf,
}

impl Places {
    pub(crate) fn of(node: &Node) -> Self {
        let folder = node.data.join(FOLDER);
        Self {
            data: node.data.clone(),
            new: folder.join(NEW),
            old: folder.join(OLD),
            undone: folder.join(UNDONE),
            journal: folder.join(JOURNAL),
            folder,
        }
    }

    /// The journal, if there is one.
    pub(crate) fn journal(&self, node: &Node) -> Result<Option<Journal>> {
        let Some(text) = node.files.read(&self.journal, JOURNAL_MAX)? else { return Ok(None) };
        let journal = Journal::parse(&text).map_err(|problem| {
            Failure::refused(
                Code::new("CC-R44"),
                format!("{} of {} {problem}", self.journal.display(), node.shown()),
                "Use the couchcopy version that wrote the journal, or inspect the data directory by hand.",
            )
        })?;
        Ok(Some(journal))
    }
}

/// The first of these names that is missing although CouchDB does not remove it. The files of a compaction of the shard maps come
/// and go; after an interrupted compaction there may be only `_dbs.couch.compact`.
fn lost<'n>(names: &'n [String], in_place: &[String]) -> Option<&'n String> {
    let is_in_place = |name: &str| in_place.iter().any(|other| other == name);
    names.iter().find(|name| match name.as_str() {
        "_dbs.couch" | "_nodes.couch" => !is_in_place(name) && !is_in_place(&format!("{name}.compact")),
        "shards" | ".shards" => !is_in_place(name),
        _ => false,
    })
}

/// Names of the entries that a change replaces. Without a change: that any change replaces.
fn names(entries: Option<Vec<FileEntry>>, change: Option<Change>) -> Vec<String> {
    let is_replaced = |name: &String| match change {
        Some(change) => change.replaces(name),
        None => Change::ALL.iter().any(|change| change.replaces(name)),
    };
    let mut names: Vec<String> =
        entries.into_iter().flatten().map(|entry| entry.name).filter(is_replaced).collect();
    // Shard maps go first: a folder without them is no databases to CouchDB, should somebody start it.
    names.sort_unstable_by(|a, b| {
        let is_maps = |name: &str| name.starts_with("_dbs.couch");
        is_maps(b).cmp(&is_maps(a)).then_with(|| a.cmp(b))
    });
    names
}

/// Inspects a node.
///
/// Fails if its data directory does not exist, or the journal cannot be parsed.
pub fn look(node: &Node) -> Result<NodeState> {
    let places = Places::of(node);
    let mut found = node.files.list_all(&[&places.data, &places.old, &places.new])?.into_iter();
    let entries = found.next().flatten().ok_or_else(|| no_folder(node))?;
    let folder = entries.iter().find(|entry| entry.name == FOLDER).cloned();
    let mut state = NodeState {
        situation: Situation::Untouched,
        journal: None,
        in_place: Vec::new(),
        in_old: Vec::new(),
        in_new: Vec::new(),
    };
    let Some(folder) = folder else {
        state.in_place = names(Some(entries), None);
        return Ok(state);
    };
    if folder.kind != FileKind::Folder {
        return Err(Failure::refused(
            Code::new("CC-R45"),
            format!("{} of {} is not a directory", places.folder.display(), node.shown()),
            "Remove it and try again.",
        ));
    }
    state.journal = places.journal(node)?;
    let change = state.journal.as_ref().map(Journal::change);
    state.in_place = names(Some(entries), change);
    state.in_old = names(found.next().flatten(), change);
    state.in_new = names(found.next().flatten(), change);
    state.situation = state.derive();
    Ok(state)
}

impl NodeState {
    fn derive(&self) -> Situation {
        let Some(journal) = &self.journal else {
            // Killed before the journal was written, or after it was removed: nothing had been moved, or nothing is any more.
            return if self.in_old.is_empty() { Situation::Leftover } else { Situation::Swapping };
        };
        match journal.phase {
            Phase::Staging => Situation::Staging,
            Phase::Staged => Situation::Staged,
            Phase::Done => Situation::Done,
            Phase::Removing => Situation::Removing,
            Phase::Undone => Situation::Undone,
            Phase::Swapping => {
                let is_in = |list: &[String], name: &String| list.contains(name);
                let all_new_in_place =
                    journal.new.iter().all(|name| is_in(&self.in_place, name) && !is_in(&self.in_new, name));
                let all_old_aside = journal.old.iter().all(|name| is_in(&self.in_old, name));
                let none_new_in_place = journal.new.iter().all(|name| is_in(&self.in_new, name));
                if all_new_in_place && all_old_aside {
                    Situation::Swapped
                } else if self.in_old.is_empty()
                    && none_new_in_place
                    && journal.old_data.is_empty()
                    && lost(&journal.old, &self.in_place).is_none()
                {
                    // Whatever CouchDB, which may still have run, has made or removed since it was decided.
                    Situation::Staged
                } else {
                    Situation::Swapping
                }
            }
        }
    }

    /// Whether the complete old data is in place. If there are no traces of a restore any more, the data in place counts as old
    /// data, see [`NodeState::tells_nothing`].
    pub fn old_in_place(&self) -> bool {
        self.tells_nothing()
            || matches!(self.situation, Situation::Staging | Situation::Staged | Situation::Undone)
    }

    /// Whether there is no data of CouchDB in place: the node's disk was lost.
    pub(crate) fn is_empty(&self) -> bool {
        self.in_place.is_empty()
    }

    /// Whether only this node is being restored, and the other nodes of its cluster run on.
    pub(crate) fn is_of_one_node(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| !journal.options.others.is_empty())
    }

    /// Whether nothing shows if the data in place is older or newer than a restore.
    pub(crate) fn tells_nothing(&self) -> bool {
        matches!(self.situation, Situation::Untouched | Situation::Leftover)
    }
}

/// The error for a data directory that does not exist.
pub(crate) fn no_folder(node: &Node) -> Failure {
    Failure::refused(
        Code::new("CC-R46"),
        format!("{} has no directory {}", node.shown(), node.data.display()),
        "Give the directory that `[couchdb] database_dir` names in the node's configuration.",
    )
}
