//! An archive with a table of contents.

use archive::{Entry, IndexedArchive, VerifyingReader, Visitor};
use outcome::Result;

use super::{FileEntry, FileToVerify, Files, OPEN_FILE, OpenFile, ROOT, Source, Visited};

/// An archive with a table of contents.
pub(super) struct Indexed {
    archive: IndexedArchive,
}

impl Indexed {
    pub(super) fn new(archive: IndexedArchive) -> Self {
        Self { archive }
    }
}

impl Source for Indexed {
    fn name(&self) -> &str {
        self.archive.name()
    }

    fn identity(&self) -> &str {
        &self.archive.toc().manifest_blake3
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
        self.archive.visit(threads, wanted, visitor)?;
        Ok(Visited {
            record: Some(self.archive.toc().summary.clone()),
            content_bytes: self.archive.toc().bytes,
        })
    }

    fn verify(&self, threads: usize, visitor: &dyn Visitor) -> Result<()> {
        Ok(self.archive.verify(threads, visitor)?)
    }

    fn members(&self) -> Option<&IndexedArchive> {
        Some(&self.archive)
    }
}

impl Files for Indexed {
    fn root(&self) -> &str {
        ROOT
    }

    fn record(&self) -> &serde_json::Value {
        &self.archive.toc().summary
    }

    fn content_bytes(&self) -> u64 {
        self.archive.toc().bytes
    }

    fn entries(&self) -> Box<dyn Iterator<Item = Result<FileEntry>> + Send + '_> {
        Box::new(self.archive.entries().map(|entry| Ok(entry?.into())))
    }

    fn open(&self, name: &str) -> Result<Option<OpenFile>> {
        let reader = match self.archive.open(name)? {
            // The index of names has only what comes by name: metadata.yaml comes first.
            None => match self.archive.find(name)? {
                Some(entry) => self.archive.open_entry(&entry)?,
                None => return Ok(None),
            },
            Some(reader) => reader,
        };
        let memory = OPEN_FILE.saturating_add(reader.bytes_in_memory());
        Ok(Some(OpenFile { content: Box::new(reader), memory }))
    }

    fn open_to_verify<'p>(
        &self,
        name: &str,
        progress: &'p (dyn Fn(u64) + Sync),
    ) -> Result<Option<Box<dyn FileToVerify + 'p>>> {
        let reader = self.archive.open_to_verify(name, progress)?;
        Ok(reader.map(|reader| Box::new(reader) as Box<dyn FileToVerify + 'p>))
    }

    fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        match self.archive.find(name)? {
            Some(entry) => Ok(Some(self.archive.read(&entry, limit)?)),
            None => Ok(None),
        }
    }
}

impl FileToVerify for VerifyingReader<'_> {
    fn finish(&self, threads: usize) -> Result<()> {
        Ok(VerifyingReader::finish(self, threads)?)
    }
}

impl From<Entry> for FileEntry {
    fn from(entry: Entry) -> Self {
        let Entry { name, size, blake3, facts, .. } = entry;
        Self { name, size, blake3: Some(blake3), facts }
    }
}
