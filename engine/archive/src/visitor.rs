//! How the entries of an archive reach the caller.

use crate::facts::Facts;
use outcome::Failure;

/// An entry as a visitor sees it.
#[derive(Debug, Clone)]
pub struct EntryInfo<'a> {
    /// Name, a relative path.
    pub name: &'a str,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change, in seconds since 1970.
    pub mtime: u64,
    /// BLAKE3 of the content: always known for [`Visitor::small`], and known for [`Visitor::large`] where
    /// there is a manifest.
    pub blake3: Option<blake3::Hash>,
    /// What the manifest records about the entry, if there is a manifest and its lines were read completely.
    pub facts: Option<&'a Facts>,
}

/// Takes the entries of an archive.
///
/// An error that it returns ends the visit, which then fails with [`ArchiveError::Visit`](crate::ArchiveError::Visit).
pub trait Visitor: Sync {
    /// Takes a small entry, whose hash is verified if there is a manifest. Called on any thread, in any
    /// order, several at once.
    fn small(&self, entry: &EntryInfo<'_>, content: &[u8]) -> Result<(), Failure>;

    /// Opens a sink for a large entry; `None` if it is not wanted: then its content is not read, and not verified either. Called on any thread, several at
    /// once; without a table of contents on one, in the order of the archive.
    fn large<'a>(&'a self, entry: &EntryInfo<'_>) -> Result<Option<Box<dyn LargeSink + 'a>>, Failure>;
}

/// Takes the content of one large entry.
///
/// Dropped without [`LargeSink::finish`] if the visit fails before the entry is complete.
pub trait LargeSink: Send + Sync {
    /// Takes the bytes at `offset`. Called on several threads at once, in any order, once for every byte.
    fn chunk(&self, offset: u64, bytes: &[u8]) -> Result<(), Failure>;

    /// All bytes have arrived; `blake3` is their hash, which is compared with the manifest's if there is a manifest.
    fn finish(&self, blake3: &blake3::Hash) -> Result<(), Failure>;
}
