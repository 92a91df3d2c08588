//! The manifest, read block by block.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;

use super::members::ContentSize;
use super::shared::Shared;
use crate::entry::Entry;
use crate::error::{ArchiveError, Result};
use crate::line;
use crate::names::{METADATA, NameOrder, OrderError};

/// The entries of an archive, or those with a prefix. Ends after the first error.
pub struct Entries {
    archive: Arc<Shared>,
    prefix: String,
    next_block: usize,
    /// Number of the block before which it ends; there may be fewer.
    end_block: usize,
    block: Arc<Vec<u8>>,
    position: usize,
    /// Where the last entry's line lies in the block.
    line: std::ops::Range<usize>,
    order: NameOrder,
    /// Whether entries have facts.
    facts: bool,
    /// The sums that are compared at the end, if all entries are read.
    totals: Option<Totals>,
    finished: bool,
}

#[derive(Default)]
struct Totals {
    hasher: blake3::Hasher,
    entries: u64,
    bytes: u64,
}

/// As much of a line as it takes to see whether it is wanted.
#[derive(Deserialize)]
struct NameOnly<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

impl Entries {
    pub(super) fn all(archive: Arc<Shared>) -> Self {
        Self { totals: Some(Totals::default()), ..Self::from_block(archive, "", 0) }
    }

    pub(super) fn with_prefix(archive: Arc<Shared>, prefix: &str) -> Self {
        if prefix.is_empty() {
            return Self::all(archive);
        }
        let block = if METADATA.starts_with(prefix) { 0 } else { archive.block_of(prefix) };
        Self::from_block(archive, prefix, block)
    }

    /// All entries from a block of the manifest on; totals and the hash of the manifest are not compared.
    pub(super) fn from_block_on(archive: Arc<Shared>, block: usize) -> Self {
        Self::from_block(archive, "", block)
    }

    /// The entries of one block of the manifest.
    pub(super) fn of_block(archive: Arc<Shared>, block: usize) -> Self {
        Self { end_block: block.saturating_add(1), ..Self::from_block(archive, "", block) }
    }

    /// The same entries, where they lie and nothing else: their facts are [`Facts::Other`](crate::Facts::Other).
    pub(super) fn without_facts(self) -> Self {
        Self { facts: false, ..self }
    }

    /// Number of the block that the last entry came from.
    pub(super) fn block(&self) -> usize {
        self.next_block.saturating_sub(1)
    }

    /// The complete line of the manifest that the last entry was read from.
    pub(crate) fn line(&self) -> &[u8] {
        self.block.get(self.line.clone()).unwrap_or_default()
    }

    fn from_block(archive: Arc<Shared>, prefix: &str, block: usize) -> Self {
        Self {
            archive,
            prefix: prefix.to_owned(),
            next_block: block,
            end_block: usize::MAX,
            block: Arc::default(),
            position: 0,
            line: 0..0,
            order: if block == 0 { NameOrder::default() } else { NameOrder::in_the_middle() },
            facts: true,
            totals: None,
            finished: false,
        }
    }

    fn next_entry(&mut self) -> Result<Option<Entry>> {
        loop {
            while self.position >= self.block.len() {
                if !self.read_block()? {
                    self.check_totals()?;
                    return Ok(None);
                }
            }
            let start = self.position;
            let rest = self.block.get(start..).unwrap_or_default();
            let Some(length) = rest.iter().position(|byte| *byte == b'\n') else {
                return Err(self.inconsistent("a manifest block does not end with its line"));
            };
            self.position = start + length + 1;
            self.line = start..start + length;
            let text = rest.get(..length).unwrap_or_default();
            let unreadable = |error| self.inconsistent(&format!("a manifest line cannot be read: {error}"));
            if !self.prefix.is_empty() {
                let name = serde_json::from_slice::<NameOnly>(text).map_err(unreadable)?.name;
                if !name.starts_with(&self.prefix) {
                    // metadata.yaml stands before all others, and is none of them.
                    if (name != METADATA && *name > *self.prefix) || METADATA.starts_with(&self.prefix) {
                        return Ok(None);
                    }
                    if name == METADATA {
                        self.order = NameOrder::in_the_middle();
                    }
                    continue;
                }
            }
            let read = if self.facts { line::read(text) } else { line::read_place(text) };
            let entry = read.map_err(unreadable)?;
            self.check(&entry)?;
            return Ok(Some(entry));
        }
    }

    fn read_block(&mut self) -> Result<bool> {
        let Some(block) = self.archive.toc.manifest.get(self.next_block) else {
            return Ok(false);
        };
        if self.next_block >= self.end_block {
            return Ok(false);
        }
        let begun = !self.block.is_empty();
        if begun
            && self.totals.is_none()
            && *block.first > *self.prefix
            && !block.first.starts_with(&self.prefix)
        {
            return Ok(false);
        }
        self.next_block += 1;
        self.position = 0;
        let size = ContentSize::Exactly(block.size);
        // Who looks for names comes again; who wants all of them does not.
        if self.prefix.is_empty() {
            let content = Arc::make_mut(&mut self.block);
            self.archive.members.read(block.offset, block.length, size, content)?;
        } else {
            self.block = self.archive.cached(block.offset, block.length, size)?;
        }
        if self.block.last() != Some(&b'\n') {
            return Err(self.inconsistent("a manifest block does not end with a line"));
        }
        let first = self.block.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let named =
            serde_json::from_slice::<NameOnly>(first).is_ok_and(|line| line.name == block.first.as_str());
        if !named {
            return Err(self.inconsistent(&format!(
                "the manifest block at byte {} does not begin with {:?}",
                block.offset, block.first
            )));
        }
        if let Some(totals) = &mut self.totals {
            totals.hasher.update(&self.block);
        }
        if !begun && !self.prefix.is_empty() {
            self.position = self.lines_before_prefix();
            if self.position > 0 {
                self.order = NameOrder::in_the_middle();
            }
        }
        Ok(true)
    }

    /// Where in the block the lines end whose names come before the prefix: they need not be read one by one.
    fn lines_before_prefix(&self) -> usize {
        let block = self.block.as_slice();
        let line_end = |from: usize| {
            block
                .get(from..)
                .and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
                .map(|n| from + n + 1)
        };
        if METADATA.starts_with(&self.prefix) {
            return 0;
        }
        // metadata.yaml, the first line of all, is not in order.
        let mut low = if self.next_block == 1 { line_end(0).unwrap_or(0) } else { 0 };
        // The lines that begin before `low` come before the prefix, those that begin at or after `high` do not.
        let mut high = block.len();
        while low < high {
            let middle = low + (high - low) / 2;
            let before = block.get(low..middle).unwrap_or_default();
            let start = before.iter().rposition(|byte| *byte == b'\n').map_or(low, |n| low + n + 1);
            let Some(end) = line_end(start) else { return low };
            let line = block.get(start..end).unwrap_or_default();
            let Ok(NameOnly { name }) = serde_json::from_slice(line) else { return low };
            if *name < *self.prefix {
                low = end;
            } else {
                high = start;
            }
        }
        low
    }

    fn check(&mut self, entry: &Entry) -> Result<()> {
        let archive = self.archive.members.name();
        self.order.next(&entry.name).map_err(|error| match error {
            OrderError::Duplicate => {
                ArchiveError::DuplicateEntry { archive: archive.to_owned(), name: entry.name.clone() }
            }
            OrderError::Refused(reason) => ArchiveError::refused(archive, &entry.name, reason),
        })?;
        self.archive.check_entry(entry)?;
        if let Some(totals) = &mut self.totals {
            totals.entries += 1;
            totals.bytes = totals.bytes.saturating_add(entry.size);
        }
        Ok(())
    }

    fn check_totals(&self) -> Result<()> {
        let Some(totals) = &self.totals else {
            return Ok(());
        };
        let toc = &self.archive.toc;
        if totals.entries != toc.entries {
            return Err(self.inconsistent(&format!(
                "the manifest has {} entries instead of {}",
                totals.entries, toc.entries
            )));
        }
        if totals.bytes != toc.bytes {
            return Err(self
                .inconsistent(&format!("the entries have {} bytes instead of {}", totals.bytes, toc.bytes)));
        }
        if totals.hasher.finalize().to_hex().as_str() != toc.manifest_blake3 {
            return Err(self.inconsistent("the manifest does not have the hash that it should"));
        }
        Ok(())
    }

    fn inconsistent(&self, reason: &str) -> ArchiveError {
        ArchiveError::inconsistent(self.archive.members.name(), reason)
    }
}

impl Iterator for Entries {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let next = self.next_entry().transpose();
        self.finished = !matches!(next, Some(Ok(_)));
        next
    }
}
