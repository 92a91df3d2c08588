//! Reads any tar, compressed or not, in one pass from its beginning.

mod input;
mod manifest;
mod names;
mod tar_entries;
mod workers;

use std::io::Read;
use std::sync::{Arc, Mutex};

use couchfile::read_at::ReadAt;
use outcome::Lock;

use crate::error::{ArchiveError, Result};
use crate::names::{MANIFEST, TOC};
use crate::tar::{BLOCK, header};
use crate::toc::Toc;
use crate::visitor::{EntryInfo, Visitor};

use input::{GZIP_MAGIC, Input, SourceReader};
use manifest::ManifestCheck;
use names::NameSet;
use tar_entries::{TarEntries, TarEntry};
use workers::Workers;

/// Entries up to this many bytes come to [`Visitor::small`], others to [`Visitor::large`].
pub const SMALL_ENTRY_LIMIT: u64 = 8 << 20;

/// Bytes of a large entry that are given to its sink at once.
const PIECE: usize = 1 << 20;

/// An archive without a table of contents, or one that cannot be sought in: couchcopy's own, one made with
/// `tar czf`, a pipe.
pub struct SequentialArchive {
    name: String,
    origin: Origin,
}

enum Origin {
    Source(Arc<dyn ReadAt>),
    /// Can be read once.
    Stream(Mutex<Option<Box<dyn Read + Send>>>),
}

/// What a visit has seen.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct SequentialSummary {
    /// Number of files, without our own manifest and table of contents.
    pub files: u64,
    /// Number of entries that are folders.
    pub folders: u64,
    /// Bytes of content of the files.
    pub content_bytes: u64,
    /// Whether the archive had a manifest of ours; every file was then compared with it.
    pub manifest_verified: bool,
    /// The table of contents, if the archive had one.
    pub toc: Option<Toc>,
}

impl SequentialArchive {
    /// An archive that is in `source`; `name` is what errors call it.
    pub fn from_source(source: Arc<dyn ReadAt>, name: &str) -> Self {
        Self { name: name.to_owned(), origin: Origin::Source(source) }
    }

    /// An archive that comes from `reader`, which can be visited once; `name` is what errors call it.
    pub fn from_reader(reader: Box<dyn Read + Send>, name: &str) -> Self {
        Self { name: name.to_owned(), origin: Origin::Stream(Mutex::new(Some(reader))) }
    }

    /// What errors call the archive: its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Length of the archive in bytes, if it is known.
    pub fn length(&self) -> Option<u64> {
        match &self.origin {
            Origin::Source(source) => Some(source.len()),
            Origin::Stream(_) => None,
        }
    }

    /// Fails if the first bytes are neither gzip nor tar.
    pub(crate) fn check_start(&self) -> Result<()> {
        let Origin::Source(source) = &self.origin else {
            return Ok(());
        };
        let mut start = [0; BLOCK];
        let length = source.len().min(BLOCK as u64) as usize;
        let (start, _) = start.split_at_mut(length);
        source
            .read_exact_at(start, 0)
            .map_err(|error| ArchiveError::io(&self.name, "read its first bytes", error))?;
        if start.is_empty() {
            return Err(ArchiveError::truncated(&self.name, "before its first byte"));
        }
        let tar = start.first_chunk::<BLOCK>().is_some_and(|block| header::parse(block).is_ok());
        if start.starts_with(&GZIP_MAGIC) || tar {
            Ok(())
        } else {
            Err(ArchiveError::NotGzip { archive: self.name.clone() })
        }
    }

    /// Gives all files to a visitor, in one pass; decompresses on one thread, visits small files on `threads`
    /// (0: as many as there are cores).
    ///
    /// Fails on entries that are neither files nor folders, on names that are not relative paths or occur twice,
    /// on damage, and where the end of the tar stream is missing. Names need not be those of a backup.
    pub fn visit(&self, threads: usize, visitor: &dyn Visitor) -> Result<SequentialSummary> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        };
        let reader: Box<dyn Read + Send> = match &self.origin {
            Origin::Source(source) => Box::new(SourceReader::new(Arc::clone(source))),
            Origin::Stream(stream) => stream.locked().take().ok_or_else(|| {
                let error = std::io::Error::other("a stream can be read only once");
                ArchiveError::io(&self.name, "read it again", error)
            })?,
        };
        let mut pass = Pass {
            name: &self.name,
            entries: TarEntries::new(Input::new(reader, &self.name)?),
            names: NameSet::default(),
            summary: SequentialSummary::default(),
            buf: Vec::new(),
        };
        let workers = Workers::new(visitor);
        let own = workers.run(threads, || pass.visit_files(&workers, visitor))?;
        pass.check_own_entries(own, &workers.into_check_values())?;
        Ok(pass.summary)
    }
}

/// One pass over an archive.
struct Pass<'a> {
    name: &'a str,
    entries: TarEntries<'a>,
    names: NameSet,
    summary: SequentialSummary,
    buf: Vec<u8>,
}

impl Pass<'_> {
    /// Gives every file to the visitor, until the end or our own manifest, which is given back.
    fn visit_files(&mut self, workers: &Workers<'_>, visitor: &dyn Visitor) -> Result<Option<TarEntry>> {
        while let Some(entry) = self.entries.next()? {
            if workers.failed() {
                return Ok(None);
            }
            if entry.folder {
                self.summary.folders += 1;
                self.names.add_folder(&entry.name).map_err(|error| error.tell(self.name, &entry.name))?;
                continue;
            }
            self.names.add_file(&entry.name).map_err(|error| error.tell(self.name, &entry.name))?;
            if entry.name == MANIFEST || entry.name == TOC {
                return Ok(Some(entry));
            }
            let index = self.summary.files as usize;
            self.summary.files += 1;
            self.summary.content_bytes = self.summary.content_bytes.saturating_add(entry.size);
            if entry.size <= SMALL_ENTRY_LIMIT {
                let content = self.entries.read_content(&entry)?;
                workers.send(index, entry, content);
            } else {
                self.visit_large(workers, visitor, index, &entry)?;
            }
        }
        Ok(None)
    }

    fn visit_large(
        &mut self,
        workers: &Workers<'_>,
        visitor: &dyn Visitor,
        index: usize,
        entry: &TarEntry,
    ) -> Result<()> {
        let info =
            EntryInfo { name: &entry.name, size: entry.size, mtime: entry.mtime, blake3: None, facts: None };
        let sink = visitor.large(&info).map_err(ArchiveError::Visit)?;
        let mut hasher = blake3::Hasher::new();
        let mut offset = 0;
        self.buf.resize(PIECE, 0);
        while offset < entry.size {
            let length = (entry.size - offset).min(PIECE as u64);
            let (piece, _) = self.buf.split_at_mut(length as usize);
            self.entries.read_piece(entry, piece)?;
            hasher.update(piece);
            if let Some(sink) = &sink {
                sink.chunk(offset, piece).map_err(ArchiveError::Visit)?;
            }
            offset += length;
            if workers.failed() {
                return Ok(());
            }
        }
        self.entries.skip_padding(entry)?;
        let hash = hasher.finalize();
        workers.add_check_value(index, manifest::check_value(&entry.name, entry.size, &hash));
        sink.map_or(Ok(()), |sink| sink.finish(&hash).map_err(ArchiveError::Visit))
    }

    /// Compares what was seen with our own manifest and table of contents.
    fn check_own_entries(&mut self, mut next: Option<TarEntry>, seen: &[u64]) -> Result<()> {
        let mut manifest = None;
        while let Some(entry) = next.take() {
            if entry.name == MANIFEST && manifest.is_none() && self.summary.toc.is_none() {
                let mut check = ManifestCheck::new(self.name, seen);
                self.entries.stream(&entry, |piece| check.take(piece))?;
                manifest = Some(check.finish()?);
                self.summary.manifest_verified = true;
            } else if entry.name == TOC && self.summary.toc.is_none() {
                let content = self.entries.read_bounded(&entry, crate::toc::MAX_TOC)?;
                let toc: Toc = serde_json::from_slice(&content).map_err(|error| {
                    ArchiveError::inconsistent(
                        self.name,
                        format!("the table of contents cannot be read: {error}"),
                    )
                })?;
                self.check_toc(&toc, manifest.as_ref())?;
                self.summary.toc = Some(toc);
            } else {
                return Err(ArchiveError::refused(self.name, &entry.name, "it comes after the manifest"));
            }
            next = self.entries.next()?;
        }
        Ok(())
    }

    fn check_toc(&self, toc: &Toc, manifest: Option<&blake3::Hash>) -> Result<()> {
        if toc.version > crate::FORMAT_VERSION {
            return Err(ArchiveError::NewerVersion { archive: self.name.to_owned(), version: toc.version });
        }
        let agrees = toc.entries == self.summary.files
            && toc.bytes == self.summary.content_bytes
            && manifest.is_some_and(|hash| hash.to_hex().as_str() == toc.manifest_blake3);
        if agrees {
            Ok(())
        } else {
            Err(ArchiveError::inconsistent(
                self.name,
                "the table of contents does not describe the manifest and the entries before it",
            ))
        }
    }
}
