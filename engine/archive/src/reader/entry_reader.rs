//! Random access to one entry.

use std::io;
use std::sync::Arc;

use couchfile::read_at::{ReadAt, check_range};

use super::members::{ContentSize, chunk_sizes};
use super::shared::Shared;
use crate::entry::{Entry, Location};
use crate::error::{ArchiveError, Result};

/// An entry open for reading at any offset. Cheap to clone; may be used on several threads at once.
///
/// A large entry is read member by member; those read last are kept, in a cache that all readers of an archive
/// share.
#[derive(Clone)]
pub struct EntryReader {
    content: Content,
}

#[derive(Clone)]
enum Content {
    Whole(Arc<Vec<u8>>),
    Chunks(Arc<Chunks>),
}

struct Chunks {
    archive: Arc<Shared>,
    name: String,
    size: u64,
    /// Offset in the file and length of the member of each chunk.
    members: Vec<(u64, u32)>,
}

impl EntryReader {
    pub(super) fn open(archive: &Arc<Shared>, entry: &Entry) -> Result<Self> {
        if let Some(content) = archive.packed_content(entry)? {
            return Ok(Self { content: Content::Whole(Arc::new(content)) });
        }
        let Location::Large { start, header, chunks } = &entry.at else {
            return Err(archive.contradiction(&entry.name, "it has no place"));
        };
        archive.members.check_large_header(&entry.name, entry.size, *start, *header)?;
        // `packed_content` has checked that no sum overflows.
        let mut offset = start.saturating_add(*header);
        let members = chunks
            .iter()
            .map(|length| {
                let member = (offset, *length);
                offset = offset.saturating_add(u64::from(*length));
                member
            })
            .collect();
        Ok(Self {
            content: Content::Chunks(Arc::new(Chunks {
                archive: Arc::clone(archive),
                name: entry.name.clone(),
                size: entry.size,
                members,
            })),
        })
    }

    /// Bytes of memory that it takes until it is closed; what readers share is not counted.
    pub fn bytes_in_memory(&self) -> u64 {
        match &self.content {
            Content::Whole(content) => content.len(),
            Content::Chunks(chunks) => (chunks.members.len() * size_of::<(u64, u32)>()) as u64,
        }
    }

    /// Hands over the complete content piece by piece, past the cache.
    pub(super) fn read_all(&self, mut take: impl FnMut(&[u8])) -> Result<()> {
        match &self.content {
            Content::Whole(content) => take(content),
            Content::Chunks(chunks) => {
                let mut buf = Vec::new();
                for (index, &(offset, length)) in chunks.members.iter().enumerate() {
                    let (size, bytes) = chunks.sizes(index as u64);
                    let members = &chunks.archive.members;
                    members.read(offset, u64::from(length), ContentSize::Exactly(size), &mut buf)?;
                    take(members.check_chunk(&chunks.name, &buf, bytes)?);
                }
            }
        }
        Ok(())
    }
}

impl Chunks {
    fn sizes(&self, index: u64) -> (u64, u64) {
        chunk_sizes(self.size, self.archive.toc.chunk_size, index)
    }

    fn read(&self, mut buf: &mut [u8], mut offset: u64) -> Result<()> {
        let chunk_size = self.archive.toc.chunk_size;
        while !buf.is_empty() {
            let index = offset / chunk_size;
            let missing = || self.archive.contradiction(&self.name, "it has too few chunks");
            let &(member, length) =
                usize::try_from(index).ok().and_then(|index| self.members.get(index)).ok_or_else(missing)?;
            let (size, _) = self.sizes(index);
            let content = self.archive.cached(member, u64::from(length), ContentSize::Exactly(size))?;
            let skip = (offset % chunk_size) as usize;
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

impl ReadAt for EntryReader {
    fn len(&self) -> u64 {
        match &self.content {
            Content::Whole(content) => content.len(),
            Content::Chunks(chunks) => chunks.size,
        }
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(self.len(), buf.len(), offset)?;
        match &self.content {
            Content::Whole(content) => content.read_exact_at(buf, offset),
            Content::Chunks(chunks) => chunks.read(buf, offset).map_err(|error| match error {
                ArchiveError::Io { source, .. } => source,
                error => io::Error::new(io::ErrorKind::InvalidData, error),
            }),
        }
    }
}
