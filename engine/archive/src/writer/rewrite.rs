//! Copies an archive member by member, with other contents for some of its entries.

use std::io::Write;

use couchfile::read_at::ReadAt;

use super::source::{EntrySource, Opened, SmallEntry};
use super::{ArchiveWriter, Progress, WriterOptions, Written, check_order};
use crate::entry::{Entry, Location};
use outcome::Failure;

use crate::error::{ArchiveError, Result};
use crate::facts::Facts;
use crate::manifest::PendingLine;
use crate::names::METADATA;
use crate::reader::IndexedArchive;
use crate::reader::members::ContentSize;
use crate::tar::encode::header_length;
use crate::tar::padding;

/// Bytes copied at a time.
const PIECE: u64 = 1 << 20;

/// Another content for an entry.
pub struct Replacement {
    /// Name of the entry, which the archive has.
    pub name: String,
    /// Time of its last change, in seconds since 1970.
    pub mtime: u64,
    /// What it is.
    pub facts: Facts,
    /// Its content, of any size.
    pub data: Box<dyn ReadAt>,
}

impl EntrySource for Replacement {
    fn open(self, _: &mut Vec<u8>) -> Result<Opened, Failure> {
        let Self { name, mtime, facts, data } = self;
        Ok(Opened::Large { name, mtime, facts, seen: None, data })
    }
}

/// Writes an archive with the entries of another one, but for those that are replaced. `summary` goes into the table of
/// contents.
///
/// Members without a replaced entry are copied byte by byte, neither decompressed nor compared with their hashes: what is
/// damaged in the one archive is damaged in the other, and verifying either archive shows it. The manifest records the
/// hashes that it recorded before.
///
/// Fails if the archive's manifest cannot be true, if it has no entry of a replacement's name, and if `out` fails.
pub fn rewrite<W: Write + Send>(
    archive: &IndexedArchive,
    replacements: Vec<Replacement>,
    out: W,
    options: WriterOptions,
    summary: serde_json::Value,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Written<W>> {
    let writer = ArchiveWriter::with_chunk_size(out, options, archive.toc().chunk_size as usize);
    let mut rewriter =
        Rewriter { archive, writer, replacements, member: None, end: 0, progress, buf: Vec::new() };
    rewriter.run()?;
    rewriter.writer.finish(summary)
}

struct Rewriter<'a, W> {
    archive: &'a IndexedArchive,
    writer: ArchiveWriter<W>,
    /// Those whose entries have not come yet.
    replacements: Vec<Replacement>,
    member: Option<PackedMember>,
    /// Where the members gone through so far end in the archive.
    end: u64,
    progress: &'a (dyn Fn(Progress) + Sync),
    buf: Vec<u8>,
}

/// A member with the entries that have come of it.
struct PackedMember {
    offset: u64,
    length: u64,
    /// Size of the entries' content with their headers and padding.
    size: u64,
    entries: Vec<(Entry, PendingLine)>,
}

impl<W: Write + Send> Rewriter<'_, W> {
    fn run(&mut self) -> Result<()> {
        let mut entries = self.archive.entries();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let line = PendingLine::copied(entries.line()).map_err(|error| {
                let reason = format!("its line cannot be read: {error}");
                self.archive.inner.contradiction(&entry.name, &reason)
            })?;
            match entry.at {
                Location::Packed { member, length, skip } => {
                    self.add_packed(entry, line, member, length, skip)?;
                }
                Location::Large { .. } => self.add_large(&entry, &line)?,
            }
        }
        self.end_member()?;
        let archive = &self.archive.inner;
        if self.end != archive.toc.data_end {
            let reason = format!("no entry holds the bytes from {} to {}", self.end, archive.toc.data_end);
            return Err(ArchiveError::inconsistent(archive.members.name(), reason));
        }
        if let Some(replacement) = self.replacements.first() {
            let reason = "it was to be replaced, and the archive does not have it";
            return Err(archive.contradiction(&replacement.name, reason));
        }
        Ok(())
    }

    /// Takes the place of an entry's first member, which has to be where the last one ended.
    fn advance(&mut self, entry: &str, offset: u64, length: u64) -> Result<()> {
        if offset != self.end {
            let reason = format!("it lies at {offset}, and the entry before it ends at {}", self.end);
            return Err(self.archive.inner.contradiction(entry, &reason));
        }
        self.end = offset.saturating_add(length);
        Ok(())
    }

    fn add_packed(
        &mut self,
        entry: Entry,
        line: PendingLine,
        offset: u64,
        length: u64,
        skip: u64,
    ) -> Result<()> {
        if self.member.as_ref().is_none_or(|member| (member.offset, member.length) != (offset, length)) {
            self.end_member()?;
            self.advance(&entry.name, offset, length)?;
            self.member = Some(PackedMember { offset, length, size: 0, entries: Vec::new() });
        }
        if let Some(member) = &mut self.member {
            if skip != member.size + header_length(&entry.name) as u64 {
                let reason = "it does not follow the entry before it";
                return Err(self.archive.inner.contradiction(&entry.name, reason));
            }
            // The manifest's reader has checked that this is little more than a chunk.
            member.size = skip + entry.size + padding(entry.size) as u64;
            member.entries.push((entry, line));
        }
        Ok(())
    }

    /// Copies the member whose entries have all come, or packs its content again.
    fn end_member(&mut self) -> Result<()> {
        let Some(member) = self.member.take() else { return Ok(()) };
        // The time of the description is that of our own entries, too, so it is looked into.
        let open = |name: &str| {
            name == METADATA || self.replacements.iter().any(|replacement| replacement.name == name)
        };
        if member.entries.iter().any(|(entry, _)| open(&entry.name)) {
            return self.pack_anew(member);
        }
        self.writer.flush_pack()?;
        let new = self.writer.output.progress.archive_bytes;
        self.copy(member.offset, member.length, 0)?;
        for (entry, line) in member.entries {
            check_order(&mut self.writer.order, &entry.name)?;
            let Location::Packed { length, skip, .. } = entry.at else { continue };
            let at = Location::Packed { member: new, length, skip };
            self.note(&entry, &line, &at)?;
        }
        (self.progress)(self.writer.output.progress);
        Ok(())
    }

    fn pack_anew(&mut self, member: PackedMember) -> Result<()> {
        let members = &self.archive.inner.members;
        let mut content = Vec::new();
        members.read(member.offset, member.length, ContentSize::Exactly(member.size), &mut content)?;
        for (entry, line) in member.entries {
            if self.replace(&entry)? {
                continue;
            }
            let Location::Packed { skip, .. } = entry.at else { continue };
            let (mtime, bytes) = members.check_packed(&entry, skip, &content, member.offset)?;
            if entry.name == METADATA {
                self.writer.add_bytes(&entry.name, mtime, entry.facts, bytes)?;
                continue;
            }
            check_order(&mut self.writer.order, &entry.name)?;
            let header = header_length(&entry.name);
            // What `check_packed` has looked at, headers and padding with it.
            let begin = (skip as usize).saturating_sub(header);
            let end = skip as usize + bytes.len() + padding(entry.size);
            let tar = content.get(begin..end).unwrap_or_default();
            let small = SmallEntry { line, size: entry.size, mtime, header };
            if let Some(full) = self.writer.pack.add(small, tar, self.writer.chunk_size) {
                self.writer.write_pack(&full)?;
            }
        }
        // What comes next begins a member of its own.
        self.writer.flush_pack()?;
        (self.progress)(self.writer.output.progress);
        Ok(())
    }

    /// Adds what takes the place of an entry, if anything does.
    fn replace(&mut self, entry: &Entry) -> Result<bool> {
        let place = self.replacements.iter().position(|replacement| replacement.name == entry.name);
        let Some(place) = place else { return Ok(false) };
        let replacement = self.replacements.swap_remove(place);
        self.writer.add_all(std::iter::once(replacement), &|_| {})?;
        Ok(true)
    }

    fn add_large(&mut self, entry: &Entry, line: &PendingLine) -> Result<()> {
        self.end_member()?;
        let Location::Large { start, header, chunks } = &entry.at else { return Ok(()) };
        let (start, header) = (*start, *header);
        let length = chunks.iter().fold(header, |sum, length| sum.saturating_add(u64::from(*length)));
        self.advance(&entry.name, start, length)?;
        if self.replace(entry)? {
            self.writer.flush_pack()?;
            (self.progress)(self.writer.output.progress);
            return Ok(());
        }
        self.writer.flush_pack()?;
        check_order(&mut self.writer.order, &entry.name)?;
        let new = self.writer.output.progress.archive_bytes;
        self.copy(start, length, entry.size)?;
        let at = Location::Large { start: new, header, chunks: chunks.clone() };
        self.note(entry, line, &at)?;
        (self.progress)(self.writer.output.progress);
        Ok(())
    }

    /// Copies bytes of the archive as they are. Reports `size` bytes of content on the way, which are counted at the end.
    fn copy(&mut self, start: u64, length: u64, size: u64) -> Result<()> {
        let (mut offset, end) = (start, start.saturating_add(length));
        while offset < end {
            let piece = (end - offset).min(PIECE);
            self.buf.resize(piece as usize, 0);
            self.archive.inner.members.read_raw(offset, &mut self.buf)?;
            self.writer.output.write(&self.buf)?;
            offset += piece;
            let passed = u128::from(size) * u128::from(offset - start) / u128::from(length.max(1));
            let progress = self.writer.output.progress;
            let content_bytes = progress.content_bytes.saturating_add(passed as u64);
            (self.progress)(Progress { content_bytes, ..progress });
        }
        Ok(())
    }

    /// Tells the manifest where a copied entry lies.
    fn note(&mut self, entry: &Entry, line: &PendingLine, at: &Location) -> Result<()> {
        let at = serde_json::to_vec(at).map_err(|error| {
            ArchiveError::io(
                super::NEW_ARCHIVE,
                format!("write the manifest line of {:?}", entry.name),
                error.into(),
            )
        })?;
        let output = &mut self.writer.output;
        output.manifest.push(line, &at, &mut output.deflater);
        output.progress.entries += 1;
        output.progress.content_bytes += entry.size;
        Ok(())
    }
}
