//! The documents of a plan, in a temporary file.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};

use outcome::{Failure, Result};
use serde::{Deserialize, Serialize};

use super::report::Was;

/// What is done with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) id: String,
    /// The revision on top of which it is written; `None` if there is none.
    pub(super) rev: Option<String>,
    pub(super) was: Was,
    /// Conflicting revisions that are deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) resolve: Vec<String>,
}

impl Entry {
    /// Whether the document gets the content that it had.
    pub(super) fn writes(&self) -> bool {
        matches!(self.was, Was::Changed | Was::Deleted | Was::Gone)
    }
}

/// Entries in a temporary file without a name, one line each.
pub(super) struct Entries {
    file: BufWriter<File>,
    count: u64,
}

impl Entries {
    pub(super) fn new() -> Result<Self> {
        let file =
            tempfile::tempfile().map_err(|e| Failure::io("make a file in", std::env::temp_dir(), e))?;
        Ok(Self { file: BufWriter::new(file), count: 0 })
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn push(&mut self, entry: &Entry) -> Result<()> {
        let mut line = serde_json::to_vec(entry).map_err(|e| Failure::bug(e.to_string()))?;
        line.push(b'\n');
        self.count += 1;
        self.file.write_all(&line).map_err(failed)
    }

    /// The entries from the first one on.
    pub(super) fn read(&mut self) -> Result<impl Iterator<Item = Result<Entry>> + use<>> {
        self.file.flush().map_err(failed)?;
        let mut file = self.file.get_ref().try_clone().map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        Ok(BufReader::new(file).lines().map(|line| {
            serde_json::from_str(&line.map_err(failed)?).map_err(|e| Failure::bug(format!("a plan: {e}")))
        }))
    }
}

fn failed(error: std::io::Error) -> Failure {
    Failure::io("write a temporary file in", std::env::temp_dir(), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_in_order() {
        let mut entries = Entries::new().unwrap();
        let entry = |i: usize| Entry {
            id: format!("{i}\n\u{1f600}"),
            rev: i.is_multiple_of(2).then(|| format!("{i}-a")),
            was: Was::Changed,
            resolve: vec!["1-b".into(); i % 3],
        };
        for i in 0..2000 {
            entries.push(&entry(i)).unwrap();
        }
        for _ in 0..2 {
            let found: Vec<Entry> = entries.read().unwrap().map(Result::unwrap).collect();
            assert_eq!(found, (0..2000).map(entry).collect::<Vec<_>>());
        }
    }
}
