//! Compares a stream's own manifest, which comes last, with the files before it.

use crate::entry::Entry;
use crate::error::{ArchiveError, Result};
use crate::toc::MAX_MANIFEST_BLOCK;

/// What is kept of a file until the manifest comes: enough to see damage, not to resist forgery, against
/// which a manifest in the same file is no help.
pub(super) fn check_value(name: &str, size: u64, hash: &blake3::Hash) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(hash.as_bytes());
    hasher.update(&size.to_le_bytes());
    hasher.update(name.as_bytes());
    let hash = hasher.finalize();
    hash.as_bytes().iter().take(8).fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Takes a manifest piece by piece.
pub(super) struct ManifestCheck<'a> {
    archive: &'a str,
    seen: std::slice::Iter<'a, u64>,
    line: Vec<u8>,
    hasher: blake3::Hasher,
}

impl<'a> ManifestCheck<'a> {
    /// `seen` are the check values of the files in order.
    pub(super) fn new(archive: &'a str, seen: &'a [u64]) -> Self {
        Self { archive, seen: seen.iter(), line: Vec::new(), hasher: blake3::Hasher::new() }
    }

    pub(super) fn take(&mut self, piece: &[u8]) -> Result<()> {
        self.hasher.update(piece);
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() as u64 + part.len() as u64 > MAX_MANIFEST_BLOCK {
                return Err(ArchiveError::inconsistent(self.archive, "a manifest line has an absurd length"));
            }
            self.line.extend_from_slice(part);
            if self.line.last() == Some(&b'\n') {
                self.check_line()?;
                self.line.clear();
            }
        }
        Ok(())
    }

    fn check_line(&mut self) -> Result<()> {
        let entry: Entry = serde_json::from_slice(&self.line).map_err(|error| {
            ArchiveError::inconsistent(self.archive, format!("a manifest line cannot be read: {error}"))
        })?;
        match self.seen.next() {
            None => Err(ArchiveError::inconsistent(
                self.archive,
                format!("the manifest lists {:?}, which is missing", entry.name),
            )),
            Some(seen) if *seen == check_value(&entry.name, entry.size, &entry.blake3) => Ok(()),
            Some(_) => Err(ArchiveError::hash(self.archive, &entry.name)),
        }
    }

    /// Gives the hash of the manifest.
    pub(super) fn finish(self) -> Result<blake3::Hash> {
        if !self.line.is_empty() {
            return Err(ArchiveError::inconsistent(self.archive, "the manifest does not end with a line"));
        }
        match self.seen.len() {
            0 => Ok(self.hasher.finalize()),
            more => Err(ArchiveError::inconsistent(
                self.archive,
                format!("{more} entries are missing in the manifest"),
            )),
        }
    }
}
