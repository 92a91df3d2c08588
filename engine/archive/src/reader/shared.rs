//! What everything that reads an open archive shares: its file, its table of contents, what is kept of it.

use std::sync::Arc;

use couchfile::read_at::ReadAt;

use super::cache::Cache;
use super::index::Indexes;
use super::members::{ContentSize, Members};
use crate::entry::{Entry, Location, PACK_SLACK};
use crate::error::{ArchiveError, Result};
use crate::footer::{self, FOOTER_LENGTH, Footer};
use crate::gzip::longest_member;
use crate::tar::padding;
use crate::toc::{MAX_TOC, Toc};

/// Bytes of decompressed members that are kept for entry readers. Enough for the shard maps of some 100,000 databases, which
/// every reader of databases goes through.
const CACHE_BYTES: usize = 40 << 20;

/// Bytes of the index of the manifest that are kept for those who open entries by name. Enough for some 200,000 entries.
const INDEX_BYTES: usize = 28 << 20;

/// An open archive, shared by everything that reads it.
pub(crate) struct Shared {
    pub(crate) members: Members,
    pub(crate) toc: Toc,
    /// Offset of the member with the table of contents.
    pub(super) toc_offset: u64,
    cache: Cache,
    pub(super) indexes: Indexes,
}

impl Shared {
    /// Reads the table of contents of the archive that is in `source`; `name` is what errors call it. `None` if it has no
    /// footer.
    pub(super) fn open(source: Arc<dyn ReadAt>, name: &str) -> Result<Option<Self>> {
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
                format!("the footer names a table of contents at byte {offset}, {length} bytes long"),
            ));
        }
        let mut content = Vec::new();
        members.read(offset, length, ContentSize::UpTo(MAX_TOC), &mut content)?;
        let toc = Toc::parse(&content, offset).map_err(|reason| ArchiveError::inconsistent(name, reason))?;
        let cache = Cache::new(CACHE_BYTES);
        let indexes = Indexes::new(INDEX_BYTES);
        Ok(Some(Self { members, toc, toc_offset: offset, cache, indexes }))
    }

    /// Number of the block of the manifest that lists the data entry of this name, or in which the entries with this prefix
    /// begin.
    pub(super) fn block_of(&self, name: &str) -> usize {
        // The first line is metadata.yaml, whatever comes after it.
        let rest = self.toc.manifest.get(1..).unwrap_or_default();
        rest.partition_point(|block| block.first.as_str() <= name)
    }

    /// Fails if an entry cannot be of this archive.
    pub(super) fn check_entry(&self, entry: &Entry) -> Result<()> {
        entry
            .check(self.toc.chunk_size, self.toc.data_end)
            .map_err(|reason| self.contradiction(&entry.name, reason))
    }

    /// An error that names the entry whose manifest line cannot be true.
    pub(crate) fn contradiction(&self, entry: &str, reason: &str) -> ArchiveError {
        ArchiveError::inconsistent(self.members.name(), format!("{entry:?}: {reason}"))
    }

    /// The verified content of an entry in a packed member; `None` if it is a large one.
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
