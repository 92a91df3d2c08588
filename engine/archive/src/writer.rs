//! Writes an archive: compresses on all cores, writes in order, to anything that takes bytes.

mod output;
mod pack;
mod pipeline;
mod rewrite;
mod source;

use std::io::Write;

use crate::entry::MAX_ENTRY;
use crate::error::{ArchiveError, Result};
use crate::facts::Facts;
use crate::footer::{self, Holds};
use crate::gzip::Kind;
use crate::manifest::Documents;
use crate::names::{MANIFEST, METADATA, NameOrder, OrderError};
use crate::tar::encode::{push_header, push_zeros};
use crate::tar::padding;
use crate::toc::{CHUNK_SIZES, ManifestBlock, Toc};

use output::Output;
use pack::{ClosedPack, Pack};
use pipeline::{Pipeline, Sequence};
pub use rewrite::{Replacement, rewrite};
use source::SmallEntry;
pub use source::{EntrySource, FileStat, Glance, LateFacts, Opened, Seen};

/// Size in bytes of a chunk of a large entry, and of the content of a packed member.
pub const CHUNK: usize = 1 << 20;

/// The default level of compression; chosen by measurement, see
/// `docs/archive-format.md`.
pub const DEFAULT_LEVEL: i32 = 0;

/// What an archive is called in errors while it is being written.
const NEW_ARCHIVE: &str = "the new archive";

/// How to write an archive.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// Level of compression: 0 is the fastest (ISA-L; without it, equal to 1), 1 to 12 are
    /// libdeflate's. Other values count as the nearest of these.
    pub level: i32,
    /// Number of threads that open, read and compress; 0 for as many as there are cores.
    pub threads: usize,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self { level: DEFAULT_LEVEL, threads: 0 }
    }
}

/// How far [`ArchiveWriter::add_all`] has come, counted from the beginning of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Entries that are completely written.
    pub entries: u64,
    /// Bytes of content written.
    pub content_bytes: u64,
    /// Bytes that this made in the archive.
    pub archive_bytes: u64,
}

impl Progress {
    /// What was added since `before`, which [`ArchiveWriter::added`] gave. 0 as long as what was added before is not written yet.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            entries: self.entries.saturating_sub(before.entries),
            content_bytes: self.content_bytes.saturating_sub(before.content_bytes),
            archive_bytes: self.archive_bytes.saturating_sub(before.archive_bytes),
        }
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written<W> {
    /// Number of entries, `metadata.yaml` included.
    pub entries: u64,
    /// Bytes of their content.
    pub content_bytes: u64,
    /// Length of the archive in bytes.
    pub archive_bytes: u64,
    /// What was written to, flushed.
    pub out: W,
}

/// Writes one archive.
///
/// Entries come in the order of the format: `metadata.yaml` first, then all others with names strictly
/// ascending by bytes. The same entries give the same bytes whatever the number of threads.
pub struct ArchiveWriter<W> {
    output: Output<W>,
    options: WriterOptions,
    chunk_size: usize,
    order: NameOrder,
    pack: Pack,
    failed: bool,
}

impl<W: Write + Send> ArchiveWriter<W> {
    /// Begins an archive. `out` need not seek; many small writes do not come to it.
    pub fn new(out: W, options: WriterOptions) -> Self {
        Self::with_chunk_size(out, options, CHUNK)
    }

    /// Begins an archive with chunks of another size than [`CHUNK`]: the next power of two between 1 KiB and
    /// 4 MiB. Small chunks make small archives that have all parts, for tests.
    pub fn with_chunk_size(out: W, options: WriterOptions, chunk_size: usize) -> Self {
        let (smallest, largest) = (*CHUNK_SIZES.start() as usize, *CHUNK_SIZES.end() as usize);
        Self {
            output: Output::new(out, options.level),
            options,
            chunk_size: chunk_size.clamp(smallest, largest).next_power_of_two(),
            order: NameOrder::default(),
            pack: Pack::default(),
            failed: false,
        }
    }

    /// Adds an entry of any size that is in memory. `mtime` is in seconds since 1970.
    ///
    /// Fails if the name is not allowed or not in order, and if `out` fails.
    pub fn add_bytes(&mut self, name: &str, mtime: u64, facts: Facts, content: &[u8]) -> Result<()> {
        if content.len() > self.chunk_size {
            let source = Bytes { name: name.to_owned(), mtime, facts, content: content.to_vec() };
            return self.add_all(std::iter::once(source), &|_| {});
        }
        self.guarded(|writer| {
            check_order(&mut writer.order, name)?;
            let mut tar = Vec::with_capacity(content.len() + 2048);
            let entry = SmallEntry::new(name, mtime, &facts, content, &mut tar)?;
            if name == METADATA {
                writer.output.mtime = mtime;
            }
            if let Some(full) = writer.pack.add(entry, &tar, writer.chunk_size) {
                writer.write_pack(&full)?;
            }
            // The description can be read, and replaced, without anything else.
            if name == METADATA { writer.flush_pack() } else { Ok(()) }
        })
    }

    /// Adds entries: opens, reads and compresses them on all threads, writes them in the order of `sources`.
    ///
    /// `progress` is called on the calling thread, after every write. Fails with the first entry, in order,
    /// whose source fails or whose name may not come here, and where `out` fails; the archive is then good
    /// for nothing.
    pub fn add_all<S: EntrySource>(
        &mut self,
        sources: impl Iterator<Item = S> + Send,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<()> {
        self.add_all_waiting(sources, progress, &|| {})
    }

    /// Adds entries whose sources wait for something, such as [`Opened::Stream`]. `give_up` is called if adding ends
    /// early: it has to see to it that nothing waits any more.
    pub fn add_all_waiting<S: EntrySource>(
        &mut self,
        sources: impl Iterator<Item = S> + Send,
        progress: &(dyn Fn(Progress) + Sync),
        give_up: &(dyn Fn() + Sync),
    ) -> Result<()> {
        self.guarded(|writer| {
            let threads = match writer.options.threads {
                0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
                threads => threads,
            };
            Pipeline {
                output: &mut writer.output,
                order: &mut writer.order,
                pack: &mut writer.pack,
                level: writer.options.level,
                chunk_size: writer.chunk_size,
                threads,
                progress,
                give_up,
                sequence: Sequence::default(),
            }
            .run(sources)
        })
    }

    /// What has been added. Unlike the progress that [`Self::add_all`] reports, it includes small entries that wait for others, which
    /// one member will hold.
    pub fn added(&self) -> Progress {
        let waiting = self.pack.sizes();
        Progress {
            entries: self.output.progress.entries + waiting.len() as u64,
            content_bytes: self.output.progress.content_bytes + waiting.sum::<u64>(),
            ..self.output.progress
        }
    }

    /// Writes manifest, table of contents and footer, and flushes. `summary` goes into the table of contents.
    pub fn finish(self, summary: serde_json::Value) -> Result<Written<W>> {
        self.finish_with(|_| Ok(summary))
    }

    /// As [`Self::finish`], with a summary that may say how many documents the shards have according to their facts.
    pub fn finish_with(
        mut self,
        summary: impl FnOnce(Documents) -> serde_json::Result<serde_json::Value>,
    ) -> Result<Written<W>> {
        self.guarded(|writer| {
            writer.flush_pack()?;
            let summary = summary(writer.output.manifest.documents).map_err(unwritable_toc)?;
            writer.write_end(summary)
        })?;
        Ok(Written {
            entries: self.output.progress.entries,
            content_bytes: self.output.progress.content_bytes,
            archive_bytes: self.output.progress.archive_bytes,
            out: self.output.out,
        })
    }

    /// Runs a step, and no step after one that failed.
    fn guarded(&mut self, step: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if self.failed {
            return Err(ArchiveError::Abandoned { archive: NEW_ARCHIVE.to_owned() });
        }
        // Stays so where the step panics.
        self.failed = true;
        step(self)?;
        self.failed = false;
        Ok(())
    }

    fn flush_pack(&mut self) -> Result<()> {
        match self.pack.close() {
            Some(pack) => self.write_pack(&pack),
            None => Ok(()),
        }
    }

    fn write_pack(&mut self, pack: &ClosedPack) -> Result<()> {
        let member = self.output.deflater.member(&pack.tar, Kind::Packed);
        self.output.write_packed(&pack.entries, &member)
    }

    fn write_end(&mut self, summary: serde_json::Value) -> Result<()> {
        let output = &mut self.output;
        let hash = output.manifest.finish(&mut output.deflater);
        let mut toc = Toc {
            entries: output.progress.entries,
            bytes: output.progress.content_bytes,
            data_end: output.progress.archive_bytes,
            manifest_blake3: hash.to_hex().to_string(),
            summary,
            ..Toc::new(self.chunk_size as u64)
        };
        let blocks = std::mem::take(&mut output.manifest.closed);
        let size = blocks.iter().map(|block| block.size).sum();

        let mut header = Vec::new();
        push_header(&mut header, MANIFEST, size, output.mtime);
        output.compress_and_write(&header)?;
        for block in blocks {
            toc.manifest.push(ManifestBlock {
                first: block.first,
                offset: output.progress.archive_bytes,
                length: block.member.len() as u64,
                size: block.size,
            });
            output.write(&block.member)?;
        }
        if padding(size) > 0 {
            let mut zeros = Vec::new();
            push_zeros(&mut zeros, padding(size));
            output.compress_and_write(&zeros)?;
        }

        let content = toc.encode(output.mtime).map_err(unwritable_toc)?;
        let offset = output.progress.archive_bytes;
        let length = output.compress_and_write(&content)?;
        let holds = if self.order.has_config() { Holds::Config } else { Holds::Data };
        output.write(&footer::encode(holds, offset, length))?;
        output.out.flush().map_err(|error| ArchiveError::io(NEW_ARCHIVE, "write its last bytes", error))
    }
}

fn unwritable_toc(error: serde_json::Error) -> ArchiveError {
    ArchiveError::io(NEW_ARCHIVE, "write the table of contents", error.into())
}

/// Lets an entry in, or says why it may not come here.
fn check_order(order: &mut NameOrder, name: &str) -> Result<()> {
    order.next(name).map_err(|error| match error {
        OrderError::Duplicate => {
            ArchiveError::DuplicateEntry { archive: NEW_ARCHIVE.to_owned(), name: name.to_owned() }
        }
        OrderError::Refused(reason) => ArchiveError::refused(NEW_ARCHIVE, name, reason),
    })
}

fn check_size(name: &str, size: u64) -> Result<()> {
    if size > MAX_ENTRY {
        return Err(ArchiveError::refused(NEW_ARCHIVE, name, "it has more than 8 TiB"));
    }
    Ok(())
}

/// A large entry that is in memory.
struct Bytes {
    name: String,
    mtime: u64,
    facts: Facts,
    content: Vec<u8>,
}

impl EntrySource for Bytes {
    fn open(self, buf: &mut Vec<u8>) -> Result<Opened, outcome::Failure> {
        *buf = self.content;
        Ok(Opened::Small { name: self.name, mtime: self.mtime, facts: self.facts, seen: None })
    }
}
