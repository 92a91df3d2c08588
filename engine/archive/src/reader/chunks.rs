//! The chunks of a large entry.

use std::ops::Deref;
use std::sync::Arc;

use super::members::{ContentSize, chunk_sizes};
use super::shared::Shared;
use crate::entry::{Entry, Location};
use crate::error::{ArchiveError, Result};

/// Where the chunks of a large entry are.
pub(super) struct Chunks {
    archive: Arc<Shared>,
    name: String,
    size: u64,
    /// Offset in the file and length of the member of each chunk.
    members: Vec<(u64, u32)>,
}

impl Chunks {
    /// Fails if the entry is not a large one of this archive, or its tar header is wrong.
    pub(super) fn open(archive: &Arc<Shared>, entry: &Entry) -> Result<Self> {
        archive.check_entry(entry)?;
        let Location::Large { start, header, chunks } = &entry.at else {
            return Err(archive.contradiction(&entry.name, "it has no place"));
        };
        archive.members.check_large_header(&entry.name, entry.size, *start, *header)?;
        // `check_entry` has checked that no sum overflows.
        let mut offset = start.saturating_add(*header);
        let members = chunks
            .iter()
            .map(|length| {
                let member = (offset, *length);
                offset = offset.saturating_add(u64::from(*length));
                member
            })
            .collect();
        Ok(Self { archive: Arc::clone(archive), name: entry.name.clone(), size: entry.size, members })
    }

    /// Bytes of the entry.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn count(&self) -> usize {
        self.members.len()
    }

    /// Bytes of memory that the list of chunks takes.
    pub(super) fn bytes_in_memory(&self) -> u64 {
        (self.members.len() * size_of::<(u64, u32)>()) as u64
    }

    /// Bytes of every chunk but the last.
    pub(super) fn chunk_size(&self) -> u64 {
        self.archive.toc.chunk_size
    }

    /// An error that names the entry.
    pub(super) fn contradiction(&self, reason: &str) -> ArchiveError {
        self.archive.contradiction(&self.name, reason)
    }

    /// The error of an entry with another hash than the manifest's.
    pub(super) fn wrong_hash(&self) -> ArchiveError {
        ArchiveError::hash(self.archive.members.name(), &self.name)
    }

    fn member(&self, index: usize) -> Result<(u64, u64)> {
        let &(offset, length) =
            self.members.get(index).ok_or_else(|| self.contradiction("it has too few chunks"))?;
        Ok((offset, u64::from(length)))
    }

    /// Fills `content` with a chunk, whose checksum and padding are checked.
    pub(super) fn read(&self, index: usize, content: &mut Vec<u8>) -> Result<()> {
        let (offset, length) = self.member(index)?;
        let (size, bytes) = chunk_sizes(self.size, self.chunk_size(), index as u64);
        let members = &self.archive.members;
        members.read(offset, length, ContentSize::Exactly(size), content)?;
        let kept = members.check_chunk(&self.name, content, bytes)?.len();
        content.truncate(kept);
        Ok(())
    }

    /// A chunk with its padding, out of the cache of the archive if it is there.
    pub(super) fn cached(&self, index: usize) -> Result<Arc<Vec<u8>>> {
        let (offset, length) = self.member(index)?;
        let (size, _) = chunk_sizes(self.size, self.chunk_size(), index as u64);
        self.archive.cached(offset, length, ContentSize::Exactly(size))
    }

    /// Fills `buf` with the bytes at `offset`, out of the chunks that `chunk` gives.
    pub(super) fn copy<C: Deref<Target = Vec<u8>>>(
        &self,
        mut buf: &mut [u8],
        mut offset: u64,
        mut chunk: impl FnMut(usize) -> Result<C>,
    ) -> Result<()> {
        while !buf.is_empty() {
            let missing = || self.contradiction("it has too few chunks");
            let index = usize::try_from(offset / self.chunk_size()).map_err(|_| missing())?;
            let content = chunk(index)?;
            let skip = (offset % self.chunk_size()) as usize;
            let available = content.get(skip..).filter(|bytes| !bytes.is_empty()).ok_or_else(missing)?;
            let length = available.len().min(buf.len());
            let (now, later) = buf.split_at_mut(length);
            now.copy_from_slice(available.get(..length).unwrap_or_default());
            buf = later;
            offset = offset.saturating_add(length as u64);
        }
        Ok(())
    }
}
