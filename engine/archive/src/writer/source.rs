//! What is to be archived, opened on the worker threads.

use couchfile::read_at::ReadAt;
use serde::{Deserialize, Serialize};

use super::{NEW_ARCHIVE, check_size};
use outcome::Failure;

use crate::error::{ArchiveError, Result};
use crate::facts::Facts;
use crate::manifest::PendingLine;
use crate::names::{METADATA, check_data_name};
use crate::tar::encode::{push_header, push_zeros};
use crate::tar::{encode::header_length, padding};

/// Something that becomes an entry when it is opened.
pub trait EntrySource: Send {
    /// What is known without opening it; `None` if not even its name is. Called at most once before [`Self::open`].
    ///
    /// A backup that builds on an earlier one does not open what is as it was.
    fn glance(&self) -> Option<Glance> {
        None
    }

    /// Called in place of [`Self::open`] if the entry is the one of an earlier backup, which had this memo of [`Seen::memo`].
    fn keep(self, memo: Option<&[u8]>)
    where
        Self: Sized,
    {
        let _ = memo;
    }

    /// Opens it. Called once, on a worker thread, about in the order of the sources and not long before the
    /// entry is written. `buf` is an empty, reused buffer that takes the content of a small entry.
    ///
    /// An error ends the archive.
    fn open(self, buf: &mut Vec<u8>) -> Result<Opened, Failure>;
}

/// What is known of a source before it is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// Name of the entry that it becomes, if it becomes one.
    pub name: String,
    /// The file's stat; `None` if the file has to be opened anyway.
    pub stat: Option<FileStat>,
}

/// What the file system says of a file. While all of it stays the same, so does a file that CouchDB wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    /// Bytes of the file, which may be more than those that are saved.
    pub length: u64,
    /// Time of the last change, in nanoseconds since 1970.
    pub changed: i64,
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
}

impl FileStat {
    /// That of a file.
    pub fn of(facts: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self {
            length: facts.len(),
            changed: facts.mtime().saturating_mul(1_000_000_000).saturating_add(facts.mtime_nsec()),
            device: facts.dev(),
            inode: facts.ino(),
        }
    }
}

/// What a later backup wants to know of a file that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its stat when it was opened.
    pub stat: FileStat,
    /// What the source wants to be told if the file is as it was, see [`EntrySource::keep`].
    pub memo: Option<Box<[u8]>>,
}

/// What [`EntrySource::open`] found.
pub enum Opened {
    /// Nothing to add to the archive: the file was deleted in the meantime, or is damaged. The source has reported it.
    Skip,
    /// The content is in the buffer; anything over a few MiB had better come as [`Opened::Large`].
    Small {
        /// Name of the entry.
        name: String,
        /// Time of its last change, in seconds since 1970.
        mtime: u64,
        /// What it is.
        facts: Facts,
        /// For the next backup; `None` if it has to open the file in any case.
        seen: Option<Seen>,
    },
    /// The content is read in chunks, on all threads. Any size will do.
    Large {
        /// Name of the entry.
        name: String,
        /// Time of its last change, in seconds since 1970.
        mtime: u64,
        /// What it is.
        facts: Facts,
        /// For the next backup; `None` if it has to open the file in any case.
        seen: Option<Seen>,
        /// Its content.
        data: Box<dyn ReadAt>,
    },
    /// The content comes from a stream that cannot be read again. Its size is known from the start; its facts only when all
    /// of it has been read.
    Stream {
        /// Name of the entry.
        name: String,
        /// Time of its last change, in seconds since 1970.
        mtime: u64,
        /// Its content. Every byte is read once, in chunks on all threads; a read whose turn has not come waits for it. Chunks
        /// are begun in order.
        data: Box<dyn ReadAt>,
        /// Tells what it is, after all of it was read.
        facts: LateFacts,
        /// For the next backup; `None` if it has to open the file in any case.
        seen: Option<Seen>,
    },
}

/// Tells what an entry is, once all of it was read.
pub type LateFacts = Box<dyn FnOnce() -> Facts + Send>;

/// What a large entry is.
pub(super) enum FactsOf {
    /// Known from the beginning.
    Known(Facts),
    /// Known in the end: the content is a stream.
    Late(LateFacts),
}

impl FactsOf {
    /// Called when all of the entry has been read.
    pub(super) fn tell(self) -> Facts {
        match self {
            Self::Known(facts) => facts,
            Self::Late(late) => late(),
        }
    }

    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Self::Late(_))
    }
}

/// A small entry whose tar form stands in a buffer.
pub(super) struct SmallEntry {
    pub(super) line: PendingLine,
    pub(super) size: u64,
    pub(super) mtime: u64,
    /// Length of its headers.
    pub(super) header: usize,
}

impl SmallEntry {
    /// Appends headers, content and padding to `tar`.
    pub(super) fn new(
        name: &str,
        mtime: u64,
        facts: &Facts,
        content: &[u8],
        tar: &mut Vec<u8>,
    ) -> Result<Self> {
        let size = content.len() as u64;
        let line = PendingLine::new(name, size, &blake3::hash(content), facts).map_err(|error| {
            ArchiveError::io(NEW_ARCHIVE, format!("write the manifest line of {name:?}"), error.into())
        })?;
        push_header(tar, name, size, mtime);
        tar.extend_from_slice(content);
        push_zeros(tar, padding(size));
        Ok(Self { line, size, mtime, header: header_length(name) })
    }
}

/// Opened sources, in order.
pub(super) struct Segment {
    /// How many sources it is made of.
    pub(super) count: u64,
    pub(super) items: Vec<Item>,
    /// The small entries one after the other as tar.
    pub(super) tar: Vec<u8>,
    /// Why the source after the last item could not be opened.
    pub(super) error: Option<ArchiveError>,
}

impl Segment {
    /// Bytes that it holds, or stands for.
    pub(super) fn weight(&self) -> usize {
        let large = match self.items.last() {
            Some(Item::Large { data, .. }) => {
                usize::try_from(data.len()).unwrap_or(usize::MAX).min(super::CHUNK)
            }
            _ => 0,
        };
        self.tar.len() + large
    }

    /// Whether it ends in a large entry that is a stream.
    pub(super) fn streams(&self) -> bool {
        matches!(self.items.last(), Some(Item::Large { facts, .. }) if facts.is_stream())
    }
}

pub(super) enum Item {
    /// `length` is that of its tar form in the segment.
    Small {
        name: String,
        entry: SmallEntry,
        length: usize,
    },
    Large {
        name: String,
        mtime: u64,
        facts: FactsOf,
        data: Box<dyn ReadAt>,
    },
}

/// Opens sources until about `limit` bytes are open; what is left stays in `sources`.
///
/// A large entry counts as a full segment, so that few files are open at once.
pub(super) fn open_segment<S: EntrySource>(
    sources: &mut std::vec::IntoIter<S>,
    buf: &mut Vec<u8>,
    chunk_size: usize,
    limit: usize,
) -> Segment {
    let mut segment = Segment { count: 0, items: Vec::new(), tar: Vec::new(), error: None };
    while segment.tar.len() < limit {
        let Some(source) = sources.next() else {
            break;
        };
        segment.count += 1;
        buf.clear();
        match open_item(source, buf, chunk_size, &mut segment.tar) {
            Ok(None) => {}
            Ok(Some(item)) => {
                let large = matches!(item, Item::Large { .. });
                segment.items.push(item);
                if large {
                    break;
                }
            }
            Err(error) => {
                segment.error = Some(error);
                break;
            }
        }
    }
    segment
}

/// Reads a content into `buf` if it fits into one chunk; `false` if it does not.
fn read_if_small(name: &str, data: &dyn ReadAt, chunk_size: usize, buf: &mut Vec<u8>) -> Result<bool> {
    let size = data.len();
    check_size(name, size)?;
    if size > chunk_size as u64 {
        return Ok(false);
    }
    buf.clear();
    buf.resize(size as usize, 0);
    read_chunk(name, data, buf, 0)?;
    Ok(true)
}

fn open_item<S: EntrySource>(
    source: S,
    buf: &mut Vec<u8>,
    chunk_size: usize,
    tar: &mut Vec<u8>,
) -> Result<Option<Item>> {
    let (name, mtime, facts) = match source.open(buf).map_err(ArchiveError::Visit)? {
        Opened::Skip => return Ok(None),
        Opened::Small { name, mtime, facts, .. } => {
            if buf.len() > chunk_size {
                let data = Box::new(std::mem::take(buf));
                return Ok(Some(Item::Large { name, mtime, facts: FactsOf::Known(facts), data }));
            }
            (name, mtime, facts)
        }
        Opened::Large { name, mtime, facts, data, .. } => {
            if !read_if_small(&name, data.as_ref(), chunk_size, buf)? {
                return Ok(Some(Item::Large { name, mtime, facts: FactsOf::Known(facts), data }));
            }
            (name, mtime, facts)
        }
        Opened::Stream { name, mtime, data, facts, .. } => {
            if !read_if_small(&name, data.as_ref(), chunk_size, buf)? {
                return Ok(Some(Item::Large { name, mtime, facts: FactsOf::Late(facts), data }));
            }
            (name, mtime, facts())
        }
    };
    // Before a name makes headers; its place among the others is checked later.
    if name != METADATA {
        check_data_name(&name).map_err(|reason| ArchiveError::refused(NEW_ARCHIVE, &name, reason))?;
    }
    let start = tar.len();
    let entry = SmallEntry::new(&name, mtime, &facts, buf, tar)?;
    Ok(Some(Item::Small { name, entry, length: tar.len() - start }))
}

/// Reads the bytes of an entry at `offset`.
pub(super) fn read_chunk(name: &str, data: &dyn ReadAt, buf: &mut [u8], offset: u64) -> Result<()> {
    data.read_exact_at(buf, offset).map_err(|error| {
        let doing = format!("read {} bytes at {offset} of what becomes {name:?}", buf.len());
        ArchiveError::io(NEW_ARCHIVE, doing, error)
    })
}
