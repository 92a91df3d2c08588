//! The order in which documents are sent.
//!
//! A file holds documents in the order of their changes. A CouchDB that receives them in any order but that of their ids writes
//! its tree of ids again and again, which takes three times as long. To read documents in the order of their ids, the files have
//! to be unpacked: in an archive, every document would require unpacking a piece.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use outcome::Result;
use outcome::report::{Counter, Notice, Reporter, Severity};
use snapshot::{Document, ShardChanges, SnapshotDatabase, Walk};

use super::batches::{Batch, Batches, unreadable};
use super::sender::Sender;

/// The most reading threads; in the order of changes each thread reads its own shard.
const READERS: usize = 3;
/// Pieces of a file, of 1 MiB, whose documents are sorted, for all readers together. The archive keeps this number of pieces
/// unpacked.
const PIECES: u64 = 48;
/// The size of a piece in bytes, as a power of two.
const PIECE_BITS: u32 = 20;
/// Bytes of documents, without their bodies, that are sorted at a time, for all readers together. A document with a thousand
/// revisions has tens of thousands of bytes.
const IN_ORDER: usize = 24 << 20;
/// The free space that unpacking requires, as a multiple of the database's size: other programs need space too.
const ROOM: u64 = 2;

/// The database with its files unpacked, if reading documents in the order of their ids requires it; `None` if it does not, or if
/// there is not enough space. `bytes` is the size of the files.
pub(super) fn unpacked(
    source: &SnapshotDatabase,
    bytes: u64,
    sender: &Sender<'_>,
    reporter: &dyn Reporter,
) -> Result<Option<SnapshotDatabase>> {
    if is_readable_by_id(source, bytes) {
        return Ok(None);
    }
    let folder = std::env::temp_dir();
    let free = rustix::fs::statvfs(&folder).map_or(0, |found| found.f_bavail.saturating_mul(found.f_frsize));
    if free < bytes.saturating_mul(ROOM) {
        reporter.notice(&Notice {
            severity: Severity::Info,
            text: format!(
                "{} has {} MiB free, which is not enough to unpack {} ({} MiB); its documents are sent in the order of their \
                 changes, which takes CouchDB longer. Set TMPDIR to use another directory",
                folder.display(),
                free >> 20,
                source.name(),
                bytes >> 20
            ),
        });
        return Ok(None);
    }
    reporter.phase_of_bytes(&format!("unpacking {}", source.name()), None, Some(bytes));
    let progress = Counter::new(reporter);
    let unpacked = source.unpacked_into(&folder, &|bytes| {
        progress.add(0, bytes);
        sender.check_interrupted().is_ok()
    })?;
    if unpacked.is_none() {
        sender.check_interrupted()?;
    }
    Ok(unpacked)
}

/// Whether documents can be read in the order of their ids as fast as in any other order.
fn is_readable_by_id(source: &SnapshotDatabase, bytes: u64) -> bool {
    // Every shard has a piece that is not full.
    source.is_unpacked() || (bytes >> PIECE_BITS) + source.map().by_range.len() as u64 <= PIECES
}

/// An order of documents.
pub(super) enum Order<'d> {
    /// The order of the ids.
    Ids(Batches<'d>),
    /// The order of the changes, and within each of many windows the order of the ids.
    Changes(Windows<'d>),
}

impl<'d> Order<'d> {
    /// The best order in which documents of a database can be read. `bytes` is the size of its files.
    pub(super) fn of(source: &'d SnapshotDatabase, bytes: u64) -> Result<Self> {
        if is_readable_by_id(source, bytes) {
            return Ok(Self::Ids(Batches::new(source, &Walk::default())?));
        }
        Ok(Self::Changes(Windows::new(source, bytes)))
    }

    /// An order that uses the other one of the two trees that hold all documents, for documents that are damaged in the first
    /// tree.
    pub(super) fn other(&self, source: &'d SnapshotDatabase, bytes: u64) -> Result<Self> {
        match self {
            Self::Ids(_) => Ok(Self::Changes(Windows::new(source, bytes))),
            Self::Changes(_) => Ok(Self::Ids(Batches::new(source, &Walk::default())?)),
        }
    }

    /// The damage found so far.
    pub(super) fn take_damage(&self) -> Vec<snapshot::Error> {
        match self {
            Self::Ids(batches) => batches.take_damage(),
            Self::Changes(windows) => {
                std::mem::take(&mut windows.damage.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }

    /// The number of reading threads.
    pub(super) fn readers(&self) -> usize {
        match self {
            Self::Ids(_) => READERS,
            Self::Changes(windows) => windows.readers,
        }
    }
}

/// Shards in the order of their changes.
pub(super) struct Windows<'d> {
    source: &'d SnapshotDatabase,
    /// The next shard.
    next: AtomicUsize,
    readers: usize,
    /// The most pieces of a file that hold the bodies of a window.
    pieces: usize,
    /// The most bytes that the documents of a window take without their bodies.
    bytes: usize,
    damage: Mutex<Vec<snapshot::Error>>,
}

impl<'d> Windows<'d> {
    fn new(source: &'d SnapshotDatabase, bytes: u64) -> Self {
        let shards = source.map().by_range.len();
        // Rather one shard in order than several without.
        let of_shard = (bytes / (shards as u64).max(1)) >> PIECE_BITS;
        let readers = (PIECES / of_shard.saturating_add(1)).clamp(1, READERS.min(shards.max(1)) as u64);
        // In as few windows as possible, of the same size: a small one would touch as much of the tree as a large one.
        let most = PIECES / readers;
        let pieces = (of_shard + 1).div_ceil((of_shard + 1).div_ceil(most)) as usize;
        let readers = readers as usize;
        let bytes = IN_ORDER / readers;
        Self { source, next: AtomicUsize::new(0), readers, pieces, bytes, damage: Mutex::default() }
    }

    /// A shard that no thread has taken yet.
    pub(super) fn next_shard(&self) -> Result<Option<Window<'_, 'd>>> {
        let shard = self.next.fetch_add(1, Ordering::Relaxed);
        if shard >= self.source.map().by_range.len() {
            return Ok(None);
        }
        let changes = match self.source.shard_changes_around_damage(shard) {
            Ok(changes) => Some(changes),
            Err(e) if e.is_damage() => {
                self.note(e);
                None
            }
            Err(e) => return Err(e.into()),
        };
        Ok(Some(Window { windows: self, shard, changes }))
    }

    fn note(&self, damage: snapshot::Error) {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner).push(damage);
    }

    /// The pieces of the file that hold a document's leaves.
    fn places(&self, document: &Document<'_>) -> Result<Vec<u64>> {
        let revisions = document.revisions().map_err(unreadable(self.source, document))?;
        Ok(revisions.leaves().filter_map(|leaf| Some(leaf.stored?.summary? >> PIECE_BITS)).collect())
    }
}

/// The windows of one shard.
pub(super) struct Window<'w, 'd> {
    windows: &'w Windows<'d>,
    shard: usize,
    /// `None` if the shard cannot be opened.
    changes: Option<ShardChanges<'d>>,
}

impl<'d> Window<'_, 'd> {
    /// The documents of the next window, in the order of their ids; none at the end.
    pub(super) fn next(&mut self) -> Result<Batch<'d>> {
        let (mut window, mut places, mut bytes) = (Vec::new(), HashSet::new(), 0);
        while bytes < self.windows.bytes
            && places.len() < self.windows.pieces
            && let Some(document) = self.changes.as_mut().and_then(Iterator::next)
        {
            let document = match document {
                Ok(document) => document,
                Err(e) if e.is_damage() => {
                    self.windows.note(e);
                    continue;
                }
                Err(e) => return Err(e.into()),
            };
            places.extend(self.windows.places(&document)?);
            bytes += document.bytes_in_memory();
            window.push((self.shard, document));
        }
        window.sort_by(|(_, a), (_, b)| a.id().cmp(b.id()));
        Ok(window)
    }
}
