//! A backup in a repository.

use std::io;

use archive::Visitor;
use couchfile::read_at::ReadAt;
use outcome::Result;
use repository::{
    FileRecord, LostFile, OpenRecord, OpenSnapshot, Repository, Selector, Snapshot, SnapshotName,
};

use super::{FileEntry, FileToVerify, Files, OPEN_FILE, OpenFile, ROOT, Source, Visited};

/// A backup in a repository.
pub(super) struct Stored {
    repository: Repository,
    backup: OpenSnapshot,
    identity: String,
}

impl Stored {
    /// Opens the backup that is meant.
    pub(super) fn open(repository: Repository, selector: &Selector) -> Result<Self> {
        let (name, snapshot) = repository.select(selector)?;
        Self::of(repository, name, snapshot)
    }

    /// Opens a backup.
    pub(super) fn of(repository: Repository, name: SnapshotName, snapshot: Snapshot) -> Result<Self> {
        let backup = OpenSnapshot::of(&repository, name, snapshot)?;
        let identity = backup.name().to_string();
        Ok(Self { repository, backup, identity })
    }
}

impl Source for Stored {
    fn name(&self) -> &str {
        self.backup.place()
    }

    fn identity(&self) -> &str {
        &self.identity
    }

    fn files(&self) -> Option<&dyn Files> {
        Some(self)
    }

    fn into_files(self: Box<Self>) -> Result<Box<dyn Files>, Box<dyn Source>> {
        Ok(self)
    }

    fn visit(
        &self,
        threads: usize,
        wanted: &(dyn Fn(&str) -> bool + Sync),
        visitor: &dyn Visitor,
    ) -> Result<Visited> {
        self.backup.visit(threads, wanted, visitor)?;
        Ok(Visited { record: Some(self.backup.record().clone()), content_bytes: self.content_bytes() })
    }

    fn verify(&self, threads: usize, visitor: &dyn Visitor) -> Result<()> {
        self.backup.visit(threads, &|_| true, visitor)
    }
}

impl Files for Stored {
    fn root(&self) -> &str {
        ROOT
    }

    fn record(&self) -> &serde_json::Value {
        self.backup.record()
    }

    fn content_bytes(&self) -> u64 {
        self.backup.snapshot().content_bytes
    }

    fn entries(&self) -> Box<dyn Iterator<Item = Result<FileEntry>> + Send + '_> {
        Box::new(self.backup.files().map(|file| Ok(file?.into())))
    }

    fn open(&self, name: &str) -> Result<Option<OpenFile>> {
        let Some(file) = self.backup.find(name)? else { return Ok(None) };
        let opened = self.backup.open_file(file)?;
        let memory = OPEN_FILE.saturating_add(opened.memory());
        Ok(Some(OpenFile { content: Box::new(opened), memory }))
    }

    fn open_to_verify<'p>(
        &self,
        name: &str,
        progress: &'p (dyn Fn(u64) + Sync),
    ) -> Result<Option<Box<dyn FileToVerify + 'p>>> {
        let Some(file) = self.backup.find(name)?.filter(|file| file.size > repository::PIECE) else {
            return Ok(None);
        };
        Ok(Some(Box::new(Verifying { opened: self.backup.open_file(file)?, progress })))
    }

    fn repository(&self) -> Option<&str> {
        Some(self.repository.id())
    }

    fn is_in_objects(&self) -> bool {
        true
    }

    fn lost(&self) -> Result<Vec<LostFile>> {
        self.repository.lost_files(&self.backup)
    }

    fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.backup.find(name)? else { return Ok(None) };
        self.backup.read(file, limit).map(Some)
    }
}

/// A large file that is verified while it is read.
struct Verifying<'p> {
    opened: OpenRecord,
    progress: &'p (dyn Fn(u64) + Sync),
}

impl ReadAt for Verifying<'_> {
    fn len(&self) -> u64 {
        self.opened.len()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let read = self.opened.read_exact_at(buf, offset);
        self.tell();
        read
    }
}

impl Verifying<'_> {
    /// Reports what was verified since the last report.
    fn tell(&self) {
        let new = self.opened.take_verified();
        if new > 0 {
            (self.progress)(new);
        }
    }
}

impl FileToVerify for Verifying<'_> {
    fn finish(&self, threads: usize) -> Result<()> {
        let finished = self.opened.finish(threads);
        self.tell();
        finished
    }
}

impl From<FileRecord> for FileEntry {
    fn from(file: FileRecord) -> Self {
        let FileRecord { name, size, blake3, facts, .. } = file;
        Self { name, size, blake3: Some(blake3), facts }
    }
}
