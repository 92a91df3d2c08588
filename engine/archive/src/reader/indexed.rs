//! An archive with a table of contents.

use std::sync::Arc;

use couchfile::read_at::ReadAt;

use super::cache::Cache;
use super::entries::Entries;
use super::entry_reader::EntryReader;
use super::index::{BlockIndex, Indexes};
use super::members::{ContentSize, Members};
use crate::entry::{Entry, Location, PACK_SLACK};
use crate::error::{ArchiveError, Result};
use crate::footer::{self, FOOTER_LENGTH, Footer};
use crate::gzip::longest_member;
use crate::tar::padding;
use crate::toc::{MAX_TOC, Toc};

/// Bytes of decompressed members that are kept for [`EntryReader`]s. Enough for the shard maps of some 100,000 databases, which
/// every look into an archive goes through.
const CACHE_BYTES: usize = 40 << 20;

/// Bytes of the index of the manifest that are kept for who opens entries by their names. Enough for some 200,000 entries.
const INDEX_BYTES: usize = 28 << 20;

/// An archive with a table of contents. Cheap to clone.
#[derive(Clone)]
pub struct IndexedArchive {
    pub(crate) inner: Arc<Inner>,
}

/// An open archive, shared by everything that reads it.
pub(crate) struct Inner {
    pub(crate) members: Members,
    pub(crate) toc: Toc,
    /// Offset of the member with the table of contents.
    pub(super) toc_offset: u64,
    pub(super) cache: Cache,
    indexes: Indexes,
}

impl IndexedArchive {
    /// Opens an archive that is in `source`; `name` is what errors call it. `None` where it has no footer.
    pub fn from_source(source: Arc<dyn ReadAt>, name: &str) -> Result<Option<Self>> {
        let members = Members::new(source, name);
        let Some(footer_offset) = members.length().checked_sub(FOOTER_LENGTH as u64) else {
            return Ok(None);
        };
        let mut footer = [0; FOOTER_LENGTH];
        members.read_raw(footer_offset, &mut footer)?;
        let (offset, length) = match footer::parse(&footer) {
            Footer::Missing => return Ok(None),
            Footer::Newer(version) => {
                return Err(ArchiveError::NewerVersion { archive: name.to_owned(), version });
            }
            Footer::Here { offset, length } => (offset, length),
        };
        if offset.checked_add(length) != Some(footer_offset) || length > longest_member(MAX_TOC) {
            return Err(ArchiveError::inconsistent(
                name,
                format!("the footer tells of a table of contents at byte {offset}, {length} bytes long"),
            ));
        }
        let mut content = Vec::new();
        members.read(offset, length, ContentSize::UpTo(MAX_TOC), &mut content)?;
        let toc = Toc::parse(&content, offset).map_err(|reason| ArchiveError::inconsistent(name, reason))?;
        let cache = Cache::new(CACHE_BYTES);
        let indexes = Indexes::new(INDEX_BYTES);
        Ok(Some(Self { inner: Arc::new(Inner { members, toc, toc_offset: offset, cache, indexes }) }))
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
    /// Reads the manifest block by block, and fails at the end where it does not add up to what the table of
    /// contents tells. Ends after the first error.
    pub fn entries(&self) -> Entries {
        Entries::all(Arc::clone(&self.inner))
    }

    /// The entries from a block of the manifest on.
    pub(super) fn entries_from_block(&self, block: usize) -> Entries {
        Entries::from_block_on(Arc::clone(&self.inner), block)
    }

    /// The entries whose names begin with `prefix`. Reads only the blocks of the manifest that tell of them.
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

    /// Opens the data entry of this name for reading at any offset, as [`Self::open_entry`] does; `None` where there is none.
    ///
    /// For many names in any order: of blocks of the manifest that were read, what this takes is kept.
    pub fn open(&self, name: &str) -> Result<Option<EntryReader>> {
        let block = self.inner.block_of(name);
        let entries = || Entries::of_block(Arc::clone(&self.inner), block).without_facts();
        let index = self.inner.indexes.get(block, || BlockIndex::new(entries()))?;
        index.find(name).map(|entry| self.open_entry(&entry)).transpose()
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
}

impl Inner {
    /// Number of the block of the manifest that tells of the data entry of this name, or where those with this prefix begin.
    pub(super) fn block_of(&self, name: &str) -> usize {
        // The first line is metadata.yaml, whatever comes after it.
        let rest = self.toc.manifest.get(1..).unwrap_or_default();
        rest.partition_point(|block| block.first.as_str() <= name)
    }

    /// Fails where an entry cannot be of this archive.
    pub(super) fn check_entry(&self, entry: &Entry) -> Result<()> {
        entry
            .check(self.toc.chunk_size, self.toc.data_end)
            .map_err(|reason| self.contradiction(&entry.name, reason))
    }

    /// An error that names the entry whose manifest line cannot be true.
    pub(crate) fn contradiction(&self, entry: &str, reason: &str) -> ArchiveError {
        ArchiveError::inconsistent(self.members.name(), format!("{entry:?}: {reason}"))
    }

    /// The verified content of an entry in a packed member; `None` where it is a large one.
    pub(super) fn packed_content(&self, entry: &Entry) -> Result<Option<Vec<u8>>> {
        self.check_entry(entry)?;
        let Location::Packed { member, length, skip } = entry.at else {
            return Ok(None);
        };
        let size = ContentSize::UpTo(self.toc.chunk_size + PACK_SLACK);
        let verified = |content: &[u8]| {
            self.members.check_packed(entry, skip, content, member).map(|(_, bytes)| bytes.to_vec())
        };
        let content = match self.cache.get((member, length), size) {
            Some(content) => content,
            None if self.cache.comes_again((member, length)) => self.cached(member, length, size)?,
            None => {
                // Only as much as it takes: the entry's own hash verifies it. Where that fails, the whole member is read to
                // tell what is wrong.
                let end = skip.saturating_add(entry.size).saturating_add(padding(entry.size) as u64) as usize;
                let found =
                    self.members.read_beginning(member, length, size, end, |content| verified(content).ok());
                match found {
                    Some(bytes) => return Ok(Some(bytes)),
                    None => self.cached(member, length, size)?,
                }
            }
        };
        verified(&content).map(Some)
    }

    /// The content of a member, out of the cache where it is there.
    pub(super) fn cached(&self, offset: u64, length: u64, size: ContentSize) -> Result<Arc<Vec<u8>>> {
        self.cache.read(&self.members, (offset, length), size)
    }
}
