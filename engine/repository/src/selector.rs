//! Which backup of a repository is meant.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use store::StoreError;

use crate::error::{RepositoryError, Result};
use crate::known_sources::among_which_the_newest_are;
use crate::names::SnapshotName;
use crate::presence::Unconfirmed;
use crate::repository::Repository;
use crate::snapshot::{Snapshot, is_choice, is_partial};

/// Snapshots that are read at a time.
const PART: usize = 1000;

/// Which backup of a repository is meant: what stands behind `::`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The newest complete one.
    Newest(Newest),
    /// The one whose name, or the random part of it, begins like this.
    Id(String),
}

/// Among which backups the newest complete one is meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Newest {
    /// Those that were not begun after this moment, in seconds since 1970.
    pub not_after: Option<i64>,
    /// Those of this node, machine or place of a data directory; see [`Snapshot::is_of`].
    pub of: Option<String>,
}

impl Default for Selector {
    fn default() -> Self {
        Self::Newest(Newest::default())
    }
}

impl FromStr for Selector {
    type Err = RepositoryError;

    fn from_str(text: &str) -> Result<Self, RepositoryError> {
        let (when, of) = match text.split_once('@') {
            Some((when, of)) if !of.is_empty() => (when, Some(of.to_owned())),
            _ => (text, None),
        };
        if when.is_empty() || when == "latest" {
            return Ok(Self::Newest(Newest { not_after: None, of }));
        }
        if let Some(not_after) = moment(when) {
            return Ok(Self::Newest(Newest { not_after: Some(not_after), of }));
        }
        if text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)) {
            return Ok(Self::Id(text.to_owned()));
        }
        Err(RepositoryError::Options(format!(
            "{text:?} names no backup: give latest, latest@NODE, an id, or a moment such as 2026-11-27T18:00 (local time) or \
             2026-11-27T18:00:00Z"
        )))
    }
}

/// The last second that a moment names, in seconds since 1970.
fn moment(text: &str) -> Option<i64> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment.as_second());
    }
    // Local time, to the day, minute or second. Until the end of it: a backup of 18:00:30 is one of 18:00.
    if !text.contains('-') || !text.get(..4)?.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let length = match text.len() {
        10 => 86_400,
        16 => 60,
        _ => 1,
    };
    Some(local(text)? + length - 1)
}

fn local(text: &str) -> Option<i64> {
    let time: DateTime = match text.len() {
        10 => text.parse::<jiff::civil::Date>().ok()?.at(0, 0, 0, 0),
        _ => text.parse().ok()?,
    };
    Some(time.to_zoned(TimeZone::system()).ok()?.timestamp().as_second())
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Newest(Newest { not_after: None, of: None }) => f.write_str("at all"),
            Self::Newest(Newest { not_after, of }) => {
                if let Some(of) = of {
                    write!(f, "of {of}")?;
                }
                if let Some(second) = not_after {
                    let moment = Timestamp::from_second(*second).unwrap_or(Timestamp::MAX);
                    let separator = if of.is_some() { " " } else { "" };
                    write!(f, "{separator}that was not begun after {moment}")?;
                }
                Ok(())
            }
            Self::Id(id) => f.write_str(id),
        }
    }
}

/// The newest backups of one source.
struct OfSource {
    nodes: Vec<String>,
    source: Vec<String>,
    /// The newest one, complete or not.
    newest: SnapshotName,
    /// The newest complete one.
    complete: Option<(SnapshotName, Snapshot)>,
}

impl OfSource {
    /// As a message shows it.
    fn shown(&self, place: &str) -> String {
        let of = if self.source.is_empty() {
            self.nodes.join(", ")
        } else {
            format!("{} in {}", self.nodes.join(", "), self.source.join(", "))
        };
        match &self.complete {
            Some((name, _)) => format!("{place}::{name} ({of})"),
            None => format!("{place}::{} ({of}; not complete)", self.newest),
        }
    }
}

/// Leaves out backups of which nobody knows where the data directories were, because they were brought from elsewhere, if there are
/// newer ones of the same nodes of which it is known: they are probably older ones of these. Newer ones are not passed over.
fn pass_over_imported(sources: &mut Vec<OfSource>) {
    let mut newer: Vec<Vec<String>> = Vec::new();
    sources.retain(|of| {
        let is_known = !of.source.is_empty();
        if is_known {
            newer.push(of.nodes.clone());
        }
        is_known || !newer.contains(&of.nodes)
    });
}

/// Leaves out backups of some databases only, if there are backups of all databases of the same nodes, unless they are wanted: the
/// newest backup is to hold all that there was.
fn pass_over_partial(sources: &mut Vec<OfSource>, among: &Newest) {
    if among.of.as_ref().is_some_and(|of| is_choice(of)) {
        return;
    }
    let of_all: Vec<Vec<String>> =
        sources.iter().filter(|of| !is_partial(&of.source)).map(|of| of.nodes.clone()).collect();
    sources.retain(|of| !is_partial(&of.source) || !of_all.contains(&of.nodes));
}

/// The most sources that a message lists.
const SHOWN: usize = 10;

impl Repository {
    /// The name of the only backup whose name, or the random part of it, begins like this.
    pub fn named(&self, id: &str) -> Result<SnapshotName> {
        let mut names = self.snapshot_names()?;
        names.retain(|name| name.to_string().starts_with(id) || name.random().starts_with(id));
        let (place, wanted) = (self.name(), id.to_owned());
        match names[..] {
            [name] => Ok(name),
            [] => Err(RepositoryError::NoBackup { place, wanted }.into()),
            [first, second, ..] => {
                Err(RepositoryError::Ambiguous { place, wanted, found: format!("{first}, {second}") }.into())
            }
        }
    }

    /// The backup that is meant.
    ///
    /// Fails if the newest one is meant, and there are backups of several sources among which it could be.
    pub fn select(&self, selector: &Selector) -> Result<(SnapshotName, Snapshot)> {
        let (place, wanted) = (self.name(), selector.to_string());
        match selector {
            Selector::Id(id) => {
                let name = self.named(id)?;
                match self.snapshot(name)? {
                    Some(snapshot) => Ok((name, snapshot)),
                    None => Err(RepositoryError::NoBackup { place, wanted }.into()),
                }
            }
            Selector::Newest(among) => {
                let mut sources = self.newest_of_sources(among)?;
                pass_over_imported(&mut sources);
                pass_over_partial(&mut sources, among);
                let only = if sources.len() == 1 { sources.pop() } else { None };
                match only {
                    Some(OfSource { complete: Some(found), .. }) => Ok(found),
                    Some(OfSource { newest, .. }) => {
                        Err(RepositoryError::Incomplete { place, wanted, newest: newest.to_string() }.into())
                    }
                    None if sources.is_empty() => Err(RepositoryError::NoBackup { place, wanted }.into()),
                    None => {
                        let more = if sources.len() > SHOWN { ", …" } else { "" };
                        let shown: Vec<_> = sources.iter().take(SHOWN).map(|of| of.shown(&place)).collect();
                        let (count, newest) = (sources.len(), format!("{}{more}", shown.join(", ")));
                        Err(RepositoryError::Sources { place, count, newest }.into())
                    }
                }
            }
        }
    }

    /// The newest backups of each source, that with the newest first.
    ///
    /// Fails if a backup cannot be read that is newer than all of them: it may be the one that is meant.
    fn newest_of_sources(&self, among: &Newest) -> Result<Vec<OfSource>> {
        let mut listed = self.listed_snapshots()?;
        listed.retain(|listed| among.not_after.is_none_or(|second| listed.name.second() <= second));
        listed.reverse();
        if listed.is_empty() {
            return Ok(Vec::new());
        }
        let unconfirmed = Unconfirmed::of(self)?;
        if let Some(few) = among_which_the_newest_are(self, &listed) {
            let sources = self.newest_of_each(&few, among, &unconfirmed)?;
            if !sources.is_empty() && sources.iter().all(|of| of.complete.is_some()) {
                return Ok(sources);
            }
        }
        let names: Vec<_> = listed.iter().map(|listed| listed.name).collect();
        self.newest_of_each(&names, among, &unconfirmed)
    }

    /// The newest backups of each source among these, which come with the newest first.
    fn newest_of_each(
        &self,
        names: &[SnapshotName],
        among: &Newest,
        unconfirmed: &Unconfirmed<'_>,
    ) -> Result<Vec<OfSource>> {
        let mut sources: Vec<OfSource> = Vec::new();
        for part in names.chunks(PART) {
            for (name, snapshot) in self.snapshots(part) {
                let snapshot = match snapshot {
                    Ok(snapshot) => snapshot,
                    Err(failure) if failure.get::<StoreError>().is_some() => return Err(failure),
                    Err(failure) if sources.iter().all(|of| of.complete.is_none()) => return Err(failure),
                    // Older than what is meant.
                    Err(_) => continue,
                };
                if among.of.as_ref().is_some_and(|of| !snapshot.is_of(of)) {
                    continue;
                }
                let is_same = |of: &&mut OfSource| of.nodes == snapshot.nodes && of.source == snapshot.source;
                let known = sources.iter_mut().find(is_same);
                if known.as_ref().is_some_and(|of| of.complete.is_some()) {
                    continue;
                }
                let is_complete = snapshot.complete && unconfirmed.lacks(name, &snapshot)?.is_empty();
                match known {
                    Some(of) => of.complete = is_complete.then_some((name, snapshot)),
                    None => sources.push(OfSource {
                        nodes: snapshot.nodes.clone(),
                        source: snapshot.source.clone(),
                        newest: name,
                        complete: is_complete.then_some((name, snapshot)),
                    }),
                }
            }
        }
        Ok(sources)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_the_colons_is_read() {
        let of = |text: &str| text.parse::<Selector>().unwrap();
        let newest =
            |not_after, of: Option<&str>| Selector::Newest(Newest { not_after, of: of.map(str::to_owned) });
        assert_eq!(of("latest"), Selector::default());
        assert_eq!(of("latest@couchdb@db1"), newest(None, Some("couchdb@db1")));
        assert_eq!(of("1970-01-02T00:00:00Z"), newest(Some(86_400), None));
        assert_eq!(of("1970-01-02T00:00:00Z@db1:/data"), newest(Some(86_400), Some("db1:/data")));
        assert_eq!(of("20261129T180000.000Z-01"), Selector::Id("20261129T180000.000Z-01".into()));
        assert_eq!(of("01ab"), Selector::Id("01ab".into()));
        for (text, end) in [("2026-11-27T18:00", 59), ("2026-11-27", 59), ("2026-11-27T18:00:07", 7)] {
            let is_end = |second: i64| second % 60 == end;
            assert!(
                matches!(of(text), Selector::Newest(Newest { not_after: Some(s), .. }) if is_end(s)),
                "{text}"
            );
        }
        for text in ["a/b", "01ab@db1", "latest@"] {
            assert!(text.parse::<Selector>().is_err(), "{text}");
        }
    }
}
