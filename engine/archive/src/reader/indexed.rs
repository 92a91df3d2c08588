//! An archive with a table of contents.

use std::sync::Arc;

use couchfile::read_at::ReadAt;

use super::entries::Entries;
use super::entry_reader::EntryReader;
use super::index::BlockIndex;
use super::shared::Shared;
use super::verifying::VerifyingReader;
use crate::entry::{Entry, Location};
use crate::error::{ArchiveError, Result};
use crate::toc::Toc;

/// An archive with a table of contents. Cheap to clone.
#[derive(Clone)]
pub struct IndexedArchive {
    pub(crate) inner: Arc<Shared>,
}

impl IndexedArchive {
    /// Opens an archive that is in `source`; `name` is what errors call it. `None` if it has no footer.
    pub fn from_source(source: Arc<dyn ReadAt>, name: &str) -> Result<Option<Self>> {
        Ok(Shared::open(source, name)?.map(|shared| Self { inner: Arc::new(shared) }))
    }

    /// What errors call the archive: its path.
    pub fn name(&self) -> &str {
        self.inner.members.name()
    }

    /// Length of the archive file in bytes.
    pub fn length(&self) -> u64 {
        self.inner.members.length()
    }

    /// The table of contents.
    pub fn toc(&self) -> &Toc {
        &self.inner.toc
    }

    /// All entries in the order of the archive: `metadata.yaml`, then the others by name.
    ///
    /// Reads the manifest block by block, and fails at the end if it does not agree with the table of
    /// contents. Ends after the first error.
    pub fn entries(&self) -> Entries {
        Entries::all(Arc::clone(&self.inner))
    }

    /// The entries from a block of the manifest on.
    pub(super) fn entries_from_block(&self, block: usize) -> Entries {
        Entries::from_block_on(Arc::clone(&self.inner), block)
    }

    /// The entries whose names begin with `prefix`. Reads only the blocks of the manifest that list them.
    pub fn entries_with_prefix(&self, prefix: &str) -> Entries {
        Entries::with_prefix(Arc::clone(&self.inner), prefix)
    }

    /// The entry of this name. Reads one block of the manifest.
    pub fn find(&self, name: &str) -> Result<Option<Entry>> {
        match self.entries_with_prefix(name).next().transpose()? {
            Some(entry) if entry.name == name => Ok(Some(entry)),
            _ => Ok(None),
        }
    }

    /// Opens the data entry of this name for reading at any offset, as [`Self::open_entry`] does; `None` if there is none.
    ///
    /// Made for many names in any order: an index of the blocks of the manifest that were read is kept.
    pub fn open(&self, name: &str) -> Result<Option<EntryReader>> {
        self.indexed(name)?.map(|entry| self.open_entry(&entry)).transpose()
    }

    /// The data entry of this name without its facts, out of the index.
    fn indexed(&self, name: &str) -> Result<Option<Entry>> {
        let block = self.inner.block_of(name);
        let entries = || Entries::of_block(Arc::clone(&self.inner), block).without_facts();
        let index = self.inner.indexes.get(block, || BlockIndex::new(entries()))?;
        Ok(index.find(name))
    }

    /// The content of an entry of at most `limit` bytes, its tar header and hash verified.
    pub fn read(&self, entry: &Entry, limit: u64) -> Result<Vec<u8>> {
        if entry.size > limit {
            return Err(ArchiveError::TooLarge {
                archive: self.name().to_owned(),
                entry: entry.name.clone(),
                size: entry.size,
                limit,
            });
        }
        if let Some(content) = self.inner.packed_content(entry)? {
            return Ok(content);
        }
        let reader = self.open_entry(entry)?;
        let mut content = Vec::new();
        reader.read_all(|bytes| content.extend_from_slice(bytes))?;
        if blake3::hash(&content) != entry.blake3 {
            return Err(ArchiveError::hash(self.name(), &entry.name));
        }
        Ok(content)
    }

    /// Opens an entry for reading at any offset.
    ///
    /// The tar header is verified. Of a small entry the hash is verified, too; of a large one every member is,
    /// by its own checksum, when it is read.
    pub fn open_entry(&self, entry: &Entry) -> Result<EntryReader> {
        EntryReader::open(&self.inner, entry)
    }

    /// Opens the large data entry of this name to be read completely, which verifies its hash on the way; `None` if there is none
    /// or it is a small one. `progress` is called with the number of bytes of each chunk when the chunk is hashed: in the end, with
    /// all bytes of the entry.
    pub fn open_to_verify<'p>(
        &self,
        name: &str,
        progress: &'p (dyn Fn(u64) + Sync),
    ) -> Result<Option<VerifyingReader<'p>>> {
        match self.indexed(name)? {
            Some(entry) if matches!(entry.at, Location::Large { .. }) => {
                VerifyingReader::open(&self.inner, &entry, progress).map(Some)
            }
            _ => Ok(None),
        }
    }
}
