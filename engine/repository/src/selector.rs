//! Which backup of a repository is meant.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::error::{RepositoryError, Result};
use crate::names::SnapshotName;
use crate::repository::Repository;
use crate::snapshot::Snapshot;

/// Which backup of a repository is meant: what stands behind `::`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Selector {
    /// The newest complete one.
    #[default]
    Latest,
    /// The newest complete one that was not begun after this moment, in seconds since 1970.
    NotAfter(i64),
    /// The one whose name, or the random part of it, begins like this.
    Id(String),
}

impl FromStr for Selector {
    type Err = RepositoryError;

    fn from_str(text: &str) -> Result<Self, RepositoryError> {
        if text.is_empty() || text == "latest" {
            return Ok(Self::Latest);
        }
        if let Ok(moment) = text.parse::<Timestamp>() {
            return Ok(Self::NotAfter(moment.as_second()));
        }
        // Local time, to the day, minute or second. Until the end of it: a backup of 18:00:30 is one of 18:00.
        if text.contains('-') && text.get(..4).is_some_and(|year| year.bytes().all(|b| b.is_ascii_digit())) {
            let length = match text.len() {
                10 => 86_400,
                16 => 60,
                _ => 1,
            };
            if let Some(moment) = local(text) {
                return Ok(Self::NotAfter(moment + length - 1));
            }
        }
        if text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)) {
            return Ok(Self::Id(text.to_owned()));
        }
        Err(RepositoryError::Options(format!(
            "{text:?} names no backup: give latest, an id, or a moment such as 2026-11-27T18:00 (local time) or \
             2026-11-27T18:00:00Z"
        )))
    }
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
            Self::Latest => f.write_str("at all"),
            Self::NotAfter(second) => {
                let moment = Timestamp::from_second(*second).unwrap_or(Timestamp::MAX);
                write!(f, "that was not begun after {moment}")
            }
            Self::Id(id) => f.write_str(id),
        }
    }
}

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
    pub fn select(&self, selector: &Selector) -> Result<(SnapshotName, Snapshot)> {
        let (place, wanted) = (self.name(), selector.to_string());
        if let Selector::Id(id) = selector {
            let name = self.named(id)?;
            return match self.snapshot(name)? {
                Some(snapshot) => Ok((name, snapshot)),
                None => Err(RepositoryError::NoBackup { place, wanted }.into()),
            };
        }
        let mut names = self.snapshot_names()?;
        if let Selector::NotAfter(second) = selector {
            names.retain(|name| name.second() <= *second);
        }
        for name in names.iter().rev() {
            match self.snapshot(*name)? {
                Some(snapshot) if snapshot.complete => return Ok((*name, snapshot)),
                _ => {}
            }
        }
        Err(match names.last() {
            Some(newest) => RepositoryError::Incomplete { place, wanted, newest: newest.to_string() },
            None => RepositoryError::NoBackup { place, wanted },
        }
        .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_the_colons_is_read() {
        let of = |text: &str| text.parse::<Selector>().unwrap();
        assert_eq!(of("latest"), Selector::Latest);
        assert_eq!(of("1970-01-02T00:00:00Z"), Selector::NotAfter(86_400));
        assert_eq!(of("20261129T180000.000Z-01"), Selector::Id("20261129T180000.000Z-01".into()));
        assert_eq!(of("01ab"), Selector::Id("01ab".into()));
        assert!(matches!(of("2026-11-27T18:00"), Selector::NotAfter(second) if second % 60 == 59));
        assert!(matches!(of("2026-11-27"), Selector::NotAfter(_)));
        assert!("a/b".parse::<Selector>().is_err());
    }
}
