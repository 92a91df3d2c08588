//! What the writer of a backup knew of the other backups.
//!
//! Which backup is the newest of its source is to be seen from the snapshots alone, and there may be ten thousand of them. So each
//! snapshot names the newest backup of every other source. A reader who has none of them on its machine reads the newest snapshot,
//! those that it names, and those that its writer cannot have seen.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::names::SnapshotName;
use crate::repository::{AT_ONCE, ListedSnapshot, Repository};
use crate::snapshot::Snapshot;

/// A store may show an object a little later than the time that it gives it, in seconds.
const MARGIN: i64 = 300;
/// The most sources that a snapshot names, with more of them it names none; and the most of the newest snapshots.
const MOST: usize = 256;

/// What the writer of a backup knew of the other backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownSources {
    /// The newest time at which the store wrote a snapshot that the writer saw, in seconds since 1970.
    pub until: i64,
    /// Names of the snapshots that the writer saw and whose time is so close to `until` that it does not say so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recent: Vec<String>,
    /// The other sources.
    pub sources: Vec<KnownSource>,
}

/// A source of backups, and the newest of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownSource {
    /// Names of the nodes; see [`Snapshot::nodes`].
    pub nodes: Vec<String>,
    /// Where their data directories are; see [`Snapshot::source`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source: Vec<String>,
    /// Name of the newest backup, complete or not.
    pub newest: String,
}

impl KnownSources {
    /// Whether the writer saw a backup, by its time alone.
    fn is_old(&self, listed: &ListedSnapshot) -> bool {
        listed.modified.saturating_add(MARGIN) < self.until
    }

    /// The names of backups, of those `listed`, that say what the newest one of each source is. `None` if one of them is not there
    /// any more.
    fn to_read(&self, listed: &[ListedSnapshot]) -> Option<Vec<SnapshotName>> {
        let newest = self.sources.iter().map(|source| source.newest.parse::<SnapshotName>());
        let newest: HashSet<SnapshotName> = newest.collect::<Result<_, ()>>().ok()?;
        let recent: HashSet<SnapshotName> = self.recent.iter().filter_map(|name| name.parse().ok()).collect();
        let there = listed.iter().filter(|listed| newest.contains(&listed.name)).count();
        let has_seen = |listed: &ListedSnapshot| self.is_old(listed) || recent.contains(&listed.name);
        let needed = listed.iter().filter(|listed| newest.contains(&listed.name) || !has_seen(listed));
        (there == newest.len()).then(|| needed.map(|listed| listed.name).collect())
    }

    /// What somebody knows who begins a backup of these nodes and places now. `listed` are all backups, the newest first.
    ///
    /// `None` if it cannot be found out, or is too much.
    pub(crate) fn now(
        repository: &Repository,
        listed: &[ListedSnapshot],
        nodes: &[String],
        source: &[String],
    ) -> Option<Self> {
        let until = listed.iter().map(|listed| listed.modified).max().unwrap_or_default();
        let mut read: Vec<(SnapshotName, Snapshot)> = Vec::new();
        let mut rest = listed;
        let mut at_once = 1;
        while !rest.is_empty() {
            let (part, others) = rest.split_at(at_once.min(rest.len()));
            let names: Vec<_> = part.iter().map(|listed| listed.name).collect();
            // Nobody takes one that cannot be read for the newest of its source.
            let readable =
                repository.snapshots(&names).into_iter().filter_map(|(name, read)| Some((name, read.ok()?)));
            read.extend(readable);
            (rest, at_once) = (others, AT_ONCE);
            let known = read.iter().find_map(|(_, snapshot)| snapshot.known.as_ref());
            if let Some(needed) = known.and_then(|known| known.to_read(rest)) {
                let needed = repository.snapshots(&needed).into_iter();
                read.extend(needed.filter_map(|(name, read)| Some((name, read.ok()?))));
                break;
            }
        }
        let mut sources: Vec<KnownSource> = Vec::new();
        for (name, snapshot) in read {
            let is_own = snapshot.nodes == nodes && snapshot.source == source;
            let is_same =
                |known: &KnownSource| known.nodes == snapshot.nodes && known.source == snapshot.source;
            if !is_own && !sources.iter().any(is_same) {
                let Snapshot { nodes, source, .. } = snapshot;
                sources.push(KnownSource { nodes, source, newest: name.to_string() });
            }
        }
        let mut known = Self { until, recent: Vec::new(), sources };
        let recent = listed.iter().filter(|listed| !known.is_old(listed)).take(MOST);
        known.recent = recent.map(|listed| listed.name.to_string()).collect();
        (known.sources.len() <= MOST).then_some(known)
    }
}

/// The backups, of those `listed`, the newest first, among which the newest one of each source is. All, if it is not known.
///
/// Only the first of them is read for it, if it is not on this machine.
pub(crate) fn among_which_the_newest_are(
    repository: &Repository,
    listed: &[ListedSnapshot],
) -> Option<Vec<SnapshotName>> {
    let (first, rest) = listed.split_first()?;
    let snapshot = repository.snapshot(first.name).ok()??;
    let others = snapshot.known?.to_read(rest)?;
    Some(std::iter::once(first.name).chain(others).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

    fn name(hour: i64) -> Result<SnapshotName> {
        Ok(SnapshotName::new(jiff::Timestamp::from_second(hour * 3600)?)?)
    }

    /// The newest first.
    fn listed(hours: impl DoubleEndedIterator<Item = i64>) -> Result<Vec<ListedSnapshot>> {
        hours.rev().map(|hour| Ok(ListedSnapshot { name: name(hour)?, modified: hour * 3600 + 10 })).collect()
    }

    fn source(node: &str, newest: SnapshotName) -> KnownSource {
        KnownSource { nodes: vec![node.into()], source: Vec::new(), newest: newest.to_string() }
    }

    #[test]
    fn what_the_writer_has_seen_is_not_read() -> Result<()> {
        let listed = listed(1..=10_000)?;
        let until = listed[0].modified;
        let alone = KnownSources { until, recent: Vec::new(), sources: Vec::new() };
        // Those of the last minutes may have been written while it looked, if it does not name them.
        assert_eq!(alone.to_read(&listed), Some(vec![listed[0].name]));
        let recent = KnownSources { recent: vec![listed[0].name.to_string()], ..alone.clone() };
        assert_eq!(recent.to_read(&listed), Some(Vec::new()));
        let known = KnownSources { sources: vec![source("b@h", listed[70].name)], ..alone };
        assert_eq!(known.to_read(&listed), Some(vec![listed[0].name, listed[70].name]));
        Ok(())
    }

    #[test]
    fn what_the_writer_cannot_have_seen_is_read() -> Result<()> {
        let mut listed = listed(1..=100)?;
        let known = KnownSources { until: listed[10].modified, recent: Vec::new(), sources: Vec::new() };
        let newer: Vec<_> = listed[..=10].iter().map(|listed| listed.name).collect();
        assert_eq!(known.to_read(&listed), Some(newer.clone()));
        // Brought later, with its old date.
        listed[80].modified = listed[0].modified;
        let brought = newer.into_iter().chain([listed[80].name]).collect();
        assert_eq!(known.to_read(&listed), Some(brought));
        Ok(())
    }

    #[test]
    fn what_is_gone_says_nothing() -> Result<()> {
        let listed = listed(1..=100)?;
        let until = listed[0].modified;
        let known = KnownSources { until, recent: Vec::new(), sources: vec![source("b@h", name(50)?)] };
        assert_eq!(known.to_read(&listed), None);
        let known = KnownSources {
            until,
            recent: Vec::new(),
            sources: vec![KnownSource { newest: "x".into(), ..source("b@h", name(50)?) }],
        };
        assert_eq!(known.to_read(&listed), None);
        Ok(())
    }
}
