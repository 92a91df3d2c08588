//! Random access to one entry.

use std::io;
use std::sync::Arc;

use couchfile::read_at::{ReadAt, check_range};

use super::chunks::Chunks;
use super::shared::Shared;
use crate::entry::Entry;
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

impl EntryReader {
    pub(super) fn open(archive: &Arc<Shared>, entry: &Entry) -> Result<Self> {
        Ok(Self {
            content: match archive.packed_content(entry)? {
                Some(content) => Content::Whole(Arc::new(content)),
                None => Content::Chunks(Arc::new(Chunks::open(archive, entry)?)),
            },
        })
    }

    /// Bytes of memory that it takes until it is closed; what readers share is not counted.
    pub fn bytes_in_memory(&self) -> u64 {
        match &self.content {
            Content::Whole(content) => content.len(),
            Content::Chunks(chunks) => chunks.bytes_in_memory(),
        }
    }

    /// Hands over the complete content piece by piece, past the cache.
    pub(super) fn read_all(&self, mut take: impl FnMut(&[u8])) -> Result<()> {
        match &self.content {
            Content::Whole(content) => take(content),
            Content::Chunks(chunks) => {
                let mut content = Vec::new();
                for index in 0..chunks.count() {
                    chunks.read(index, &mut content)?;
                    take(&content);
                }
            }
        }
        Ok(())
    }
}

impl ReadAt for EntryReader {
    fn len(&self) -> u64 {
        match &self.content {
            Content::Whole(content) => content.len(),
            Content::Chunks(chunks) => chunks.size(),
        }
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(self.len(), buf.len(), offset)?;
        match &self.content {
            Content::Whole(content) => content.read_exact_at(buf, offset),
            Content::Chunks(chunks) => {
                chunks.copy(buf, offset, |index| chunks.cached(index)).map_err(into_io)
            }
        }
    }
}

/// The error as one of reading.
pub(super) fn into_io(error: ArchiveError) -> io::Error {
    match error {
        ArchiveError::Io { source, .. } => source,
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}
