//! What an archive without table of contents holds, read in one pass and kept in a temporary file.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use archive::{ArchiveError, EntryInfo, LargeSink, METADATA, SequentialArchive, Visitor};
use couchfile::data_dir::{DataFile, locate};
use couchfile::read_at::{ReadAt, check_range};
use outcome::Failure;

use crate::error::{Error, Result};

/// The largest `metadata.yaml` that is looked at, in bytes.
const METADATA_MAX: u64 = 1 << 20;

/// The shard maps and shards of an archive in a file without name, which is gone when it is dropped.
pub(crate) struct Spooled {
    file: Arc<File>,
    /// Offset and length by path below the data folder.
    places: HashMap<Box<str>, (u64, u64)>,
    /// What `metadata.yaml` says, where there is one.
    pub(crate) metadata: Option<Vec<u8>>,
    /// What our own archives say of themselves.
    pub(crate) summary: serde_json::Value,
}

/// A file in it.
pub(crate) struct Part {
    file: Arc<File>,
    start: u64,
    len: u64,
}

impl ReadAt for Part {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(self.len, buf.len(), offset)?;
        self.file.read_exact_at(buf, self.start + offset)
    }
}

impl Spooled {
    /// Reads the archive from its beginning to its end. Shards of other databases than `only` are passed over.
    pub(crate) fn read(archive: &SequentialArchive, threads: usize, only: Option<&[String]>) -> Result<Self> {
        let file = tempfile::tempfile().map_err(|e| spool_error("create", e))?;
        let pass =
            Pass { file: Arc::new(file), archive: archive.name(), only, state: Mutex::new(State::default()) };
        let seen = archive.visit(threads, &pass).map_err(from_visit)?;
        let state = pass.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let summary = seen.toc.map(|toc| toc.summary).unwrap_or_default();
        Ok(Self { file: pass.file, places: state.places, metadata: state.metadata, summary })
    }

    /// The file with this path below the data folder.
    pub(crate) fn open(&self, path: &str) -> Option<Part> {
        let &(start, len) = self.places.get(path)?;
        Some(Part { file: Arc::clone(&self.file), start, len })
    }
}

fn spool_error(doing: &'static str, source: io::Error) -> Error {
    Error::Spool { doing, folder: std::env::temp_dir().display().to_string(), source }
}

/// Unwraps an error of ours that came back through the archive's visitor.
fn from_visit(error: ArchiveError) -> Error {
    match error {
        ArchiveError::Visit(failure) => {
            failure.take::<Error>().unwrap_or_else(|other| Error::Archive(ArchiveError::Visit(other)))
        }
        other => Error::Archive(other),
    }
}

#[derive(Default)]
struct State {
    places: HashMap<Box<str>, (u64, u64)>,
    metadata: Option<Vec<u8>>,
    root: Option<String>,
    end: u64,
}

struct Pass<'a> {
    file: Arc<File>,
    archive: &'a str,
    only: Option<&'a [String]>,
    state: Mutex<State>,
}

impl Pass<'_> {
    /// Makes room for an entry; `None` where it is not wanted.
    fn place(&self, entry: &EntryInfo<'_>) -> Result<Option<u64>> {
        let Some((root, file)) = locate(entry.name) else { return Ok(None) };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.root {
            Some(known) if known != root => {
                return Err(Error::SeveralFolders {
                    archive: self.archive.to_owned(),
                    first: known.clone(),
                    second: root.to_owned(),
                });
            }
            Some(_) => {}
            None => state.root = Some(root.to_owned()),
        }
        let wanted = match &file {
            DataFile::ShardMaps => true,
            DataFile::Shard(shard) => self.only.is_none_or(|only| only.contains(&shard.db)),
            DataFile::View { .. } => false,
        };
        if !wanted {
            return Ok(None);
        }
        let start = state.end;
        state.end = state.end.saturating_add(entry.size);
        state.places.insert(file.path().into_boxed_str(), (start, entry.size));
        Ok(Some(start))
    }

    fn put(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(|e| spool_error("write", e))
    }
}

impl Visitor for Pass<'_> {
    fn small(&self, entry: &EntryInfo<'_>, content: &[u8]) -> Result<(), Failure> {
        if entry.name == METADATA && entry.size <= METADATA_MAX {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.metadata = Some(content.to_vec());
        }
        if let Some(start) = self.place(entry)? {
            self.put(start, content)?;
        }
        Ok(())
    }

    fn large<'a>(&'a self, entry: &EntryInfo<'_>) -> Result<Option<Box<dyn LargeSink + 'a>>, Failure> {
        let Some(start) = self.place(entry)? else { return Ok(None) };
        Ok(Some(Box::new(Large { pass: self, start })))
    }
}

struct Large<'p, 'a> {
    pass: &'p Pass<'a>,
    start: u64,
}

impl LargeSink for Large<'_, '_> {
    fn chunk(&self, offset: u64, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.pass.put(self.start.saturating_add(offset), bytes)?)
    }

    fn finish(&self, _: &archive::Hash) -> Result<(), Failure> {
        Ok(())
    }
}
