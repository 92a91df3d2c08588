//! An archive without a table of contents: it can only be read from beginning to end.

use archive::{EntryInfo, LargeSink, SequentialArchive, Visitor};
use outcome::Result;

use super::{Files, Source, Visited};

/// An archive without a table of contents.
pub(super) struct Sequential {
    archive: SequentialArchive,
    identity: String,
}

impl Sequential {
    pub(super) fn new(archive: SequentialArchive, identity: &str) -> Self {
        Self { archive, identity: identity_of(identity) }
    }
}

impl Source for Sequential {
    fn name(&self) -> &str {
        self.archive.name()
    }

    fn identity(&self) -> &str {
        &self.identity
    }

    fn files(&self) -> Option<&dyn Files> {
        None
    }

    fn into_files(self: Box<Self>) -> Result<Box<dyn Files>, Box<dyn Source>> {
        Err(self)
    }

    fn visit(
        &self,
        threads: usize,
        wanted: &(dyn Fn(&str) -> bool + Sync),
        visitor: &dyn Visitor,
    ) -> Result<Visited> {
        let end = self.archive.visit(threads, &Wanted { wanted, visitor })?;
        Ok(Visited { record: end.toc.map(|toc| toc.summary), content_bytes: end.content_bytes })
    }

    fn verify(&self, threads: usize, visitor: &dyn Visitor) -> Result<()> {
        self.archive.visit(threads, visitor)?;
        Ok(())
    }
}

/// Passes on the wanted entries.
struct Wanted<'v> {
    wanted: &'v (dyn Fn(&str) -> bool + Sync),
    visitor: &'v dyn Visitor,
}

impl Visitor for Wanted<'_> {
    fn small(&self, entry: &EntryInfo<'_>, content: &[u8]) -> Result<()> {
        if (self.wanted)(entry.name) { self.visitor.small(entry, content) } else { Ok(()) }
    }

    fn large<'a>(&'a self, entry: &EntryInfo<'_>) -> Result<Option<Box<dyn LargeSink + 'a>>> {
        if (self.wanted)(entry.name) { self.visitor.large(entry) } else { Ok(None) }
    }
}

/// Identifies a backup without a manifest by what its store says about it: length and time.
fn identity_of(facts: &str) -> String {
    blake3::hash(facts.as_bytes()).to_hex().to_string()
}
