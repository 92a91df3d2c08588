//! The backup archive: a `.tar.gz` of independent gzip members with a table of contents at its end.
//!
//! `docs/archive-format.md` draws the format byte by byte. An [`ArchiveWriter`] compresses on all cores
//! and writes to anything that takes bytes, a pipe included. [`open`] gives an [`IndexedArchive`], out of
//! which one file can be read without the rest, or a [`SequentialArchive`] where there is no table of
//! contents (an archive of couchcopy 0.1 or 0.2, or one made with `tar czf`).
//!
//! Whatever is read is taken for hostile: no input makes this crate panic, hang, or hold more memory than
//! a few chunks per thread.

mod entry;
mod error;
mod facts;
mod footer;
mod gzip;
mod hash;
mod line;
mod manifest;
mod names;
mod reader;
mod sequential;
mod tar;
mod toc;
mod visitor;
mod writer;

pub use blake3::Hash;
pub use entry::{Entry, Location};
pub use error::{ArchiveError, Result};
pub use facts::Facts;
pub use footer::{FOOTER_LENGTH, FORMAT_VERSION};
pub use names::{CONFIG, DBS, MANIFEST, METADATA, TOC};
pub use reader::{Archive, Entries, EntryReader, IndexedArchive, open};
pub use sequential::{SMALL_ENTRY_LIMIT, SequentialArchive, SequentialSummary};
pub use toc::{ManifestBlock, Toc};
pub use visitor::{EntryInfo, LargeSink, Visitor};
pub use writer::{
    ArchiveWriter, CHUNK, DEFAULT_LEVEL, EntrySource, LateFacts, Opened, Progress, Replacement,
    WriterOptions, Written, rewrite,
};
