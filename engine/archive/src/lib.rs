//! The backup archive: a `.tar.gz` of independent gzip members with a table of contents at its end.
//!
//! `docs/archive-format.md` draws the format byte by byte. An [`ArchiveWriter`] compresses on all cores and writes to
//! anything that takes bytes, for example a pipe. [`open`] returns an [`IndexedArchive`], from which one file can be read
//! without the rest, or a [`SequentialArchive`] if there is no table of contents (an archive of couchcopy 0.1 or 0.2, or one
//! made with `tar czf`).
//!
//! Every input counts as hostile: no input makes this crate panic, hang, or hold more memory than a few chunks per thread.
//!
//! # Example
//!
//! Write an archive and read it:
//!
//! ```
//! use archive::{Archive, ArchiveWriter, Facts, METADATA, WriterOptions, open};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("backup.tar.gz");
//! # let (mtime, shard_maps) = (1_795_355_234, vec![0; 4096]);
//! let mut writer = ArchiveWriter::new(std::fs::File::create(&path)?, WriterOptions::default());
//! writer.add_bytes(METADATA, mtime, Facts::Metadata, b"backup:\n  date: 2026-11-22\n")?;
//! writer.add_bytes("data/_dbs.couch", mtime, Facts::Other, &shard_maps)?;
//! writer.finish(serde_json::json!({"databases": 0}))?;
//!
//! let Archive::Indexed(archive) = open(&path)? else { panic!("the archive has a table of contents") };
//! let names = archive.entries().map(|entry| Ok(entry?.name)).collect::<archive::Result<Vec<_>>>()?;
//! assert_eq!(names, [METADATA, "data/_dbs.couch"]);
//! let entry = archive.find("data/_dbs.couch")?.expect("it is listed above");
//! assert_eq!(archive.read(&entry, 1 << 20)?, shard_maps);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
pub use manifest::Documents;
pub use names::{CONFIG, DBS, MANIFEST, METADATA, TOC};
pub use reader::{Archive, Entries, EntryReader, IndexedArchive, VerifyingReader, open, open_source};
pub use sequential::{SMALL_ENTRY_LIMIT, SequentialArchive, SequentialSummary};
pub use toc::{ManifestBlock, Toc};
pub use visitor::{EntryInfo, LargeSink, Visitor};
pub use writer::{
    ArchiveWriter, CHUNK, DEFAULT_LEVEL, EntrySource, FileStat, Glance, LateFacts, Opened, Progress,
    Replacement, Seen, WriterOptions, Written, rewrite,
};
