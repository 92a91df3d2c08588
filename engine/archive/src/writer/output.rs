//! What is written so far, and where.

use std::io::Write;

use super::pack::PackedEntry;
use super::source::FactsOf;
use super::{NEW_ARCHIVE, Progress};
use crate::entry::Location;
use crate::error::{ArchiveError, Result};
use crate::gzip::{Deflater, Kind};
use crate::hash::ChunkHashes;
use crate::manifest::{ManifestBuilder, PendingLine};

/// Counts what is written, and records it in the manifest.
pub(super) struct Output<W> {
    pub(super) out: W,
    pub(super) progress: Progress,
    pub(super) manifest: ManifestBuilder,
    pub(super) deflater: Deflater,
    /// Time of `metadata.yaml`, which our own entries take over, in seconds since 1970.
    pub(super) mtime: u64,
}

/// A large entry of which some members are written.
pub(super) struct LargeEntry {
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) facts: FactsOf,
    start: u64,
    header: u64,
    chunks: Vec<u32>,
    hashes: ChunkHashes,
}

impl LargeEntry {
    pub(super) fn new(name: String, size: u64, facts: FactsOf) -> Self {
        Self { name, size, facts, start: 0, header: 0, chunks: Vec::new(), hashes: ChunkHashes::default() }
    }
}

impl<W: Write> Output<W> {
    pub(super) fn new(out: W, level: i32) -> Self {
        Self {
            out,
            progress: Progress::default(),
            manifest: ManifestBuilder::default(),
            deflater: Deflater::new(level),
            mtime: 0,
        }
    }

    /// Writes a member.
    pub(super) fn write(&mut self, member: &[u8]) -> Result<()> {
        self.out.write_all(member).map_err(|error| {
            let at = self.progress.archive_bytes;
            ArchiveError::io(NEW_ARCHIVE, format!("write {} bytes at {at}", member.len()), error)
        })?;
        self.progress.archive_bytes += member.len() as u64;
        Ok(())
    }

    /// Writes a member with this content and gives its length.
    pub(super) fn compress_and_write(&mut self, content: &[u8]) -> Result<u64> {
        let member = self.deflater.member(content, Kind::Packed);
        self.write(&member)?;
        Ok(member.len() as u64)
    }

    /// Writes a member that holds these entries.
    pub(super) fn write_packed(&mut self, entries: &[PackedEntry], member: &[u8]) -> Result<()> {
        let (offset, length) = (self.progress.archive_bytes, member.len());
        self.write(member)?;
        for entry in entries {
            let at = format!("{{\"member\":{offset},\"length\":{length},\"skip\":{}}}", entry.skip);
            self.manifest.push(&entry.line, at.as_bytes(), &mut self.deflater);
            self.progress.entries += 1;
            self.progress.content_bytes += entry.size;
        }
        Ok(())
    }

    /// Writes the member with the headers of a large entry.
    pub(super) fn write_large_header(&mut self, large: &mut LargeEntry, member: &[u8]) -> Result<()> {
        large.start = self.progress.archive_bytes;
        large.header = member.len() as u64;
        self.write(member)
    }

    /// Writes the next chunk of a large entry, `length` bytes before compression.
    pub(super) fn write_chunk(
        &mut self,
        large: &mut LargeEntry,
        member: &[u8],
        hash: [u8; 32],
        length: u64,
    ) -> Result<()> {
        large.hashes.add(large.chunks.len() as u64, hash);
        // A member is never longer than a chunk and a bit.
        large.chunks.push(member.len() as u32);
        self.progress.content_bytes += length;
        self.write(member)
    }

    /// All chunks of a large entry are written.
    pub(super) fn finish_large(&mut self, large: LargeEntry) -> Result<()> {
        let LargeEntry { name, size, facts, start, header, chunks, hashes } = large;
        let failed = |reason: String| {
            ArchiveError::io(
                NEW_ARCHIVE,
                format!("write the manifest line of {name:?}"),
                std::io::Error::other(reason),
            )
        };
        let hash =
            hashes.finish(chunks.len() as u64).ok_or_else(|| failed("a chunk is missing".to_owned()))?;
        let line =
            PendingLine::new(&name, size, &hash, &facts.tell()).map_err(|error| failed(error.to_string()))?;
        let at = Location::Large { start, header, chunks };
        let at = serde_json::to_vec(&at).map_err(|error| failed(error.to_string()))?;
        self.manifest.push(&line, &at, &mut self.deflater);
        self.progress.entries += 1;
        Ok(())
    }
}
