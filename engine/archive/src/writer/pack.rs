//! Small entries, packed together into members.

use super::source::SmallEntry;
use crate::manifest::PendingLine;

/// An entry in a packed member.
pub(super) struct PackedEntry {
    pub(super) line: PendingLine,
    pub(super) size: u64,
    /// Offset of its content in the member.
    pub(super) skip: u64,
}

/// The member being filled.
#[derive(Default)]
pub(super) struct Pack {
    tar: Vec<u8>,
    entries: Vec<PackedEntry>,
}

/// A member that is full, not yet compressed.
pub(super) struct ClosedPack {
    pub(super) tar: Vec<u8>,
    pub(super) entries: Vec<PackedEntry>,
}

impl Pack {
    /// Adds an entry whose headers, content and padding are `tar`. Gives the member that was full before.
    ///
    /// Where a member ends depends on nothing but the sizes of the entries.
    pub(super) fn add(&mut self, entry: SmallEntry, tar: &[u8], chunk_size: usize) -> Option<ClosedPack> {
        let full = if self.tar.len() + tar.len() > chunk_size { self.close() } else { None };
        if self.tar.capacity() == 0 {
            self.tar.reserve_exact(chunk_size.max(tar.len()));
        }
        let skip = (self.tar.len() + entry.header) as u64;
        self.tar.extend_from_slice(tar);
        self.entries.push(PackedEntry { line: entry.line, size: entry.size, skip });
        full
    }

    /// The sizes of the entries in the member.
    pub(super) fn sizes(&self) -> impl ExactSizeIterator<Item = u64> {
        self.entries.iter().map(|entry| entry.size)
    }

    /// Closes the member, if there is anything in it.
    pub(super) fn close(&mut self) -> Option<ClosedPack> {
        if self.entries.is_empty() {
            return None;
        }
        Some(ClosedPack { tar: std::mem::take(&mut self.tar), entries: std::mem::take(&mut self.entries) })
    }
}
