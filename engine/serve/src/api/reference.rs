//! How addresses name backups.

use std::fmt;
use std::str::FromStr;

use contents::BackupId;
use couchfile::data_dir::Range;

/// A backup in an address: `1` is the first archive or repository that is served; `1~ID` is a backup in it, if it is a
/// repository; `1~ID~RANGE~SEQUENCE` and `1~~RANGE~SEQUENCE` are these at the moment when a shard had reached a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Reference {
    /// Number of the archive or repository, from 1.
    pub(crate) number: usize,
    /// The backup; `None`: the archive, or the backup that was the newest when the server started.
    pub(crate) backup: Option<BackupId>,
    /// The shard and its sequence; `None`: the newest state of all shards.
    pub(crate) state: Option<(Range, u64)>,
}

impl Reference {
    /// An archive, or a repository's newest backup.
    pub(crate) fn newest(number: usize) -> Self {
        Self { number, backup: None, state: None }
    }

    /// A backup of a repository.
    pub(crate) fn of(number: usize, backup: BackupId) -> Self {
        Self { number, backup: Some(backup), state: None }
    }

    /// The same backup in the state of a shard; as it was saved if `None`.
    pub(crate) fn at(self, state: Option<(Range, u64)>) -> Self {
        Self { state, ..self }
    }

    /// Where CouchDB's interface to it is.
    pub(crate) fn root(self) -> String {
        format!("/_backup/archives/{self}/")
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)?;
        if self.backup.is_some() || self.state.is_some() {
            f.write_str("~")?;
        }
        if let Some(backup) = self.backup {
            write!(f, "{backup}")?;
        }
        if let Some((range, sequence)) = self.state {
            write!(f, "~{range}~{sequence}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<&str> = text.split('~').collect();
        let (number, backup, state) = match parts[..] {
            [number] => (number, "", None),
            [number, backup] => (number, backup, None),
            [number, backup, range, sequence] => {
                let range = range.parse().map_err(|_| ())?;
                (number, backup, Some((range, sequence.parse().map_err(|_| ())?)))
            }
            _ => return Err(()),
        };
        let backup = if backup.is_empty() { None } else { Some(backup.parse()?) };
        Ok(Self { number: number.parse().map_err(|_| ())?, backup, state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_written_as_they_are_read() {
        for text in [
            "1",
            "12~20261129T180000.000Z-0123456789abcdef",
            "1~20261129T180000.000Z-0123456789abcdef~00000000-7fffffff~42",
            "3~~00000000-ffffffff~0",
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
        for text in ["", "x", "1~x", "1~~x~1", "1~~00000000-ffffffff", "1~~00000000-ffffffff~1~2", "-1"] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
