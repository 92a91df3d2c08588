//! Goes through the manifest and cuts it into units of work.

use std::sync::{Arc, Mutex};

use crossbeam_channel::Sender;

use super::units::{Failure, LargeState, LargeUnit, PackedUnit, Unit};
use crate::entry::{Entry, Location};
use crate::error::{ArchiveError, Result};
use crate::hash::ChunkHashes;
use crate::reader::indexed::IndexedArchive;
use crate::reader::shared::Shared;
use crate::tar::encode::header_length;
use crate::tar::padding;
use crate::visitor::{EntryInfo, Visitor};

/// Goes through the manifest and cuts it into units.
pub(super) struct Dispatcher<'a, 'v> {
    pub(super) archive: &'a Shared,
    pub(super) sender: Sender<Unit<'v>>,
    pub(super) failure: &'a Failure,
    /// Whether the visitor gets the complete entries of the manifest.
    pub(super) facts: bool,
    pub(super) pack: Option<PackedUnit>,
    pub(super) walked: Walked,
}

/// The members that a part of the manifest names, which lie end to end.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Walked {
    /// Where the first one begins; `None` if there is none.
    pub(super) start: Option<u64>,
    /// Where the last one ends.
    pub(super) end: u64,
}

/// Whether a member begins with this entry.
fn begins_member(entry: &Entry) -> bool {
    match entry.at {
        Location::Packed { skip, .. } => skip == header_length(&entry.name) as u64,
        Location::Large { .. } => true,
    }
}

impl<'v> Dispatcher<'_, 'v> {
    /// Goes through the members that begin in these blocks of the manifest. A member's entries may reach into the block
    /// after them, and those at the beginning may belong to a member of the part before.
    pub(super) fn run(
        &mut self,
        archive: &IndexedArchive,
        blocks: std::ops::Range<usize>,
        wanted: &(dyn Fn(&str) -> bool + Sync),
        visitor: &'v dyn Visitor,
    ) -> Result<()> {
        let all = blocks.start == 0 && blocks.end >= self.archive.toc.manifest.len();
        let entries = if all { archive.entries() } else { archive.entries_from_block(blocks.start) };
        let mut entries = if self.facts { entries } else { entries.without_facts() };
        let mut begun = blocks.start == 0;
        while let Some(entry) = entries.next() {
            if self.failure.is_there() {
                return Ok(());
            }
            let entry = entry?;
            if begins_member(&entry) {
                if entries.block() >= blocks.end {
                    break;
                }
                begun = true;
            }
            if !begun {
                continue;
            }
            let is_wanted = wanted(&entry.name);
            match entry.at {
                Location::Packed { member, length, skip } => {
                    self.add_packed(entry, is_wanted, member, length, skip)?;
                }
                Location::Large { .. } => self.add_large(entry, is_wanted, visitor)?,
            }
        }
        self.send_pack();
        Ok(())
    }

    /// Takes the place of an entry's first member, which has to be where the last one ended.
    fn advance(&mut self, entry: &str, offset: u64, length: u64) -> Result<()> {
        if self.walked.start.is_some() && offset != self.walked.end {
            let reason = format!("it lies at {offset}, and the entry before it ends at {}", self.walked.end);
            return Err(self.archive.contradiction(entry, &reason));
        }
        self.walked.start.get_or_insert(offset);
        self.walked.end = offset.saturating_add(length);
        Ok(())
    }

    fn add_packed(&mut self, entry: Entry, wanted: bool, member: u64, length: u64, skip: u64) -> Result<()> {
        if self.pack.as_ref().is_none_or(|pack| (pack.offset, pack.length) != (member, length)) {
            self.send_pack();
            self.advance(&entry.name, member, length)?;
            self.pack = Some(PackedUnit { offset: member, length, size: 0, entries: Vec::new() });
        }
        if let Some(pack) = &mut self.pack {
            if skip != pack.size + header_length(&entry.name) as u64 {
                return Err(self
                    .archive
                    .contradiction(&entry.name, "it does not follow the entry before it"));
            }
            // The manifest's reader has checked that this is little more than a chunk.
            pack.size = skip + entry.size + padding(entry.size) as u64;
            pack.entries.push((entry, wanted));
        }
        Ok(())
    }

    fn send_pack(&mut self) {
        if let Some(pack) = self.pack.take()
            && pack.entries.iter().any(|(_, wanted)| *wanted)
        {
            self.send(Unit::Packed(pack));
        }
    }

    fn add_large(&mut self, entry: Entry, wanted: bool, visitor: &'v dyn Visitor) -> Result<()> {
        self.send_pack();
        let Location::Large { start, header, chunks } = &entry.at else {
            return Ok(());
        };
        let (start, header, chunks) = (*start, *header, chunks.clone());
        let mut offset = start.saturating_add(header);
        let length = chunks.iter().fold(header, |sum, length| sum.saturating_add(u64::from(*length)));
        self.advance(&entry.name, start, length)?;
        if !wanted {
            return Ok(());
        }
        let mtime = self.archive.members.check_large_header(&entry.name, entry.size, start, header)?;
        let info = EntryInfo {
            name: &entry.name,
            size: entry.size,
            mtime,
            blake3: Some(entry.blake3),
            facts: self.facts.then_some(&entry.facts),
        };
        let Some(sink) = visitor.large(&info).map_err(ArchiveError::Visit)? else {
            return Ok(());
        };
        let state = Mutex::new(LargeState { hashes: ChunkHashes::default(), missing: chunks.len() as u64 });
        let large = Arc::new(LargeUnit { entry, sink, state });
        for (index, length) in chunks.into_iter().enumerate() {
            let length = u64::from(length);
            self.send(Unit::Chunk { large: Arc::clone(&large), index: index as u64, offset, length });
            offset = offset.saturating_add(length);
            if self.failure.is_there() {
                break;
            }
        }
        Ok(())
    }

    fn send(&self, unit: Unit<'v>) {
        // Fails only where every worker has panicked, which ends the scope anyway.
        if self.sender.send(unit).is_err() {
            self.failure.stop();
        }
    }
}
