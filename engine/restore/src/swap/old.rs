//! The properties of the old data after CouchDB had been stopped: a roll back has to restore them.

use std::path::Path;

use node::{FileEntry, FileKind, Node};
use outcome::Result;
use serde::{Deserialize, Serialize};

use super::Change;

/// The last bytes of a file that are compared: they include the last header of shard maps.
const END: u64 = 8 << 10;

/// An entry of the data directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldEntry {
    /// Its name.
    pub name: String,
    /// Regular files below it; 1 for a file.
    pub files: u64,
    /// Total size of these files in bytes.
    pub bytes: u64,
    /// CRC-32 of the last bytes of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<u32>,
}

impl std::fmt::Display for OldEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, files, bytes, end } = self;
        match end {
            Some(end) => write!(f, "{name} of {bytes} bytes that ends with {end:08x}"),
            None => write!(f, "{name} with {files} files of {bytes} bytes"),
        }
    }
}

/// Records the entries of a data directory that a change replaces.
pub(super) fn look_at(
    node: &Node,
    data: &Path,
    entries: &[FileEntry],
    change: Change,
) -> Result<Vec<OldEntry>> {
    let mut seen = Vec::new();
    for FileEntry { name, kind, size, .. } in entries.iter().filter(|entry| change.replaces(&entry.name)) {
        let path = data.join(name);
        let (files, bytes, end) = if *kind == FileKind::File {
            (1, *size, node.files.tail(&path, END)?.map(|end| crc32fast::hash(&end)))
        } else {
            let (files, bytes) = node.files.sum(&path)?;
            (files, bytes, None)
        };
        seen.push(OldEntry { name: name.clone(), files, bytes, end });
    }
    seen.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(seen)
}

/// How the current entries differ from the recorded ones.
pub(super) fn differences(was: &[OldEntry], is: &[OldEntry]) -> Vec<String> {
    let find = |list: &[OldEntry], name: &str| list.iter().find(|entry| entry.name == name).cloned();
    let mut told = Vec::new();
    for before in was {
        match find(is, &before.name) {
            Some(now) if now == *before => {}
            Some(now) => told.push(format!("{now}, instead of {before}")),
            None => told.push(format!("nothing, instead of {before}")),
        }
    }
    told.extend(
        is.iter()
            .filter(|now| find(was, &now.name).is_none())
            .map(|now| format!("{now}, which was not there")),
    );
    told
}
