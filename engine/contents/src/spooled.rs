//! The files of a backup that can only be read from beginning to end: read in one pass and kept in a temporary file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use archive::{EntryInfo, Facts, LargeSink, METADATA, Visitor};
use couchfile::data_dir::DataFile;
use couchfile::read_at::ReadAt;
use outcome::report::{Counter, Reporter};
use outcome::{Failure, FailureKind, Result};

use crate::metadata::Metadata;
use crate::root::Root;
use crate::source::{FileEntry, Files, OpenFile, Source, Visited};
use crate::spool::{Spool, SpoolPart};

/// Bytes of memory of an open file.
const OPEN_FILE: u64 = 2 << 10;

/// A file that was read.
#[derive(Debug, Clone)]
pub struct SpooledFile {
    /// The name of the file in the data directory.
    pub file: DataFile,
    /// Its content.
    pub content: SpoolPart,
    /// Time of the last change, in seconds since 1970.
    pub mtime: u64,
}

/// Files of a backup in a temporary file that is removed when this is dropped.
#[derive(Debug)]
pub struct SpooledFiles {
    /// By path below the data directory.
    pub files: BTreeMap<String, SpooledFile>,
    /// The content of `metadata.yaml`, if there is one.
    pub metadata: Option<Vec<u8>>,
    /// Files that no backup needs.
    pub ignored: u64,
    root: String,
    record: serde_json::Value,
    content_bytes: u64,
}

impl SpooledFiles {
    /// Reads the backup from beginning to end and keeps the wanted files of its data directory in a temporary file in `folder`.
    pub fn read(
        source: &dyn Source,
        threads: usize,
        folder: &Path,
        wanted: &(dyn Fn(&DataFile) -> bool + Sync),
        reporter: &dyn Reporter,
    ) -> Result<Self> {
        match Self::read_until_damage(source, threads, folder, wanted, reporter)? {
            (spooled, None) => Ok(spooled),
            (_, Some(damage)) => Err(damage),
        }
    }

    /// Reads a backup that may be damaged: the files before the damage, and why there are no more. The file that the damage lies in
    /// ends where the damage begins.
    pub fn read_until_damage(
        source: &dyn Source,
        threads: usize,
        folder: &Path,
        wanted: &(dyn Fn(&DataFile) -> bool + Sync),
        reporter: &dyn Reporter,
    ) -> Result<(Self, Option<Failure>)> {
        let pass = Pass {
            spool: Spool::within(folder)?,
            backup: source.name(),
            wanted,
            state: Mutex::default(),
            written: AtomicU64::new(0),
            progress: Counter::new(reporter),
        };
        let (visited, damage) = match source.visit(threads, &|_| true, &pass) {
            Ok(visited) => (visited, None),
            Err(damage) if damage.kind() == FailureKind::Archive => (Visited::default(), Some(damage)),
            Err(failure) => return Err(failure),
        };
        let mut state = pass.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if damage.is_some() {
            // An entry's size is only a claim until its content has come.
            let written = pass.written.into_inner();
            for file in state.files.values_mut() {
                file.content = file.content.up_to(written);
            }
        }
        let spooled = Self {
            files: state.files,
            metadata: state.metadata,
            ignored: state.ignored,
            root: state.root.into_name(),
            record: visited.record.unwrap_or_default(),
            content_bytes: visited.content_bytes,
        };
        Ok((spooled, damage))
    }

    /// The file with this name in the backup.
    fn named(&self, name: &str) -> Option<&SpooledFile> {
        self.files.get(name.strip_prefix(self.root.as_str())?)
    }
}

impl Files for SpooledFiles {
    fn root(&self) -> &str {
        &self.root
    }

    fn record(&self) -> &serde_json::Value {
        &self.record
    }

    fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    fn entries(&self) -> Box<dyn Iterator<Item = Result<FileEntry>> + Send + '_> {
        Box::new(self.files.iter().map(|(path, file)| {
            Ok(FileEntry {
                name: format!("{}{path}", self.root),
                size: file.content.len(),
                blake3: None,
                facts: Facts::Other,
            })
        }))
    }

    fn open(&self, name: &str) -> Result<Option<OpenFile>> {
        let open =
            |file: &SpooledFile| OpenFile { content: Box::new(file.content.clone()), memory: OPEN_FILE };
        Ok(self.named(name).map(open))
    }

    fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        if name == METADATA {
            return Ok(self.metadata.clone());
        }
        let Some(file) = self.named(name).filter(|file| file.content.len() <= limit) else { return Ok(None) };
        file.content.read().map(Some)
    }
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, SpooledFile>,
    metadata: Option<Vec<u8>>,
    ignored: u64,
    root: Root,
    /// Where the spool ends.
    end: u64,
}

struct Pass<'a> {
    spool: Spool,
    backup: &'a str,
    wanted: &'a (dyn Fn(&DataFile) -> bool + Sync),
    state: Mutex<State>,
    /// Offset in the spool after the last byte that was written.
    written: AtomicU64,
    progress: Counter<'a>,
}

impl Pass<'_> {
    fn put(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.spool.put(offset, bytes)?;
        self.written.fetch_max(offset.saturating_add(bytes.len() as u64), Ordering::Relaxed);
        Ok(())
    }

    /// Reserves space for a file in the spool; returns its offset there. `None` if the file is not wanted.
    fn place(&self, entry: &EntryInfo<'_>) -> Result<Option<u64>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = state.root.file(self.backup, entry.name)? else {
            state.ignored += 1;
            return Ok(None);
        };
        if !(self.wanted)(&file) {
            return Ok(None);
        }
        let offset = state.end;
        state.end = offset.saturating_add(entry.size);
        let content = self.spool.part(offset, entry.size);
        state.files.insert(file.path(), SpooledFile { file, content, mtime: entry.mtime });
        Ok(Some(offset))
    }
}

impl Visitor for Pass<'_> {
    fn small(&self, entry: &EntryInfo<'_>, content: &[u8]) -> Result<()> {
        if entry.name == METADATA {
            if entry.size <= Metadata::LARGEST {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.metadata = Some(content.to_vec());
            }
            return Ok(());
        }
        self.progress.add(1, entry.size);
        if let Some(offset) = self.place(entry)? {
            self.put(offset, content)?;
        }
        Ok(())
    }

    fn large<'a>(&'a self, entry: &EntryInfo<'_>) -> Result<Option<Box<dyn LargeSink + 'a>>> {
        let Some(begin) = self.place(entry)? else {
            self.progress.add(1, entry.size);
            return Ok(None);
        };
        self.progress.add(1, 0);
        Ok(Some(Box::new(Large { pass: self, begin })))
    }
}

/// A large file on its way into the spool.
struct Large<'p> {
    pass: &'p Pass<'p>,
    begin: u64,
}

impl LargeSink for Large<'_> {
    fn chunk(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.pass.progress.add(0, bytes.len() as u64);
        self.pass.put(self.begin.saturating_add(offset), bytes)
    }

    fn finish(&self, _: &archive::Hash) -> Result<()> {
        Ok(())
    }
}
