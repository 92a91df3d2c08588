//! In which order documents are sent.
//!
//! They lie in a file in the order of their changes. A CouchDB that gets them in that order, or any other but that of their ids,
//! writes its tree of ids again and again, which takes three times as long. To read them in the order of their ids, the files
//! have to be unpacked: within an archive, every document would cost a piece of it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use outcome::Result;
use outcome::report::{Notice, Reporter, Severity};
use snapshot::{Document, ShardChanges, SnapshotDatabase, Walk};

use super::batches::{Batch, Batches, unreadable};
use super::sender::Sender;

/// Threads that read, at most; in the order of changes each has a shard of its own.
const READERS: usize = 3;
/// Pieces of a file, of 1 MiB, whose documents are put in order, all readers together. So many of them the archive keeps unpacked.
const PIECES: u64 = 48;
/// How much larger than a byte a piece is, as a power of two.
const PIECE_BITS: u32 = 20;
/// Bytes of documents, without their bodies, that are put in order at a time, all readers together. A document with a thousand
/// revisions has tens of thousands of them.
const IN_ORDER: usize = 24 << 20;
/// So many times the size of a database has to be free where it is unpacked: others need room, too.
const ROOM: u64 = 2;

/// The database with its files, of so many bytes, unpacked where it takes that to read documents in the order of their ids;
/// `None` where it does not, and where there is no room.
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
                "{} has {} MiB free, which is not enough to unpack {} ({} MiB); its documents are sent in the order of \
                 their changes, for which CouchDB takes longer. TMPDIR names another folder",
                folder.display(),
                free >> 20,
                source.name(),
                bytes >> 20
            ),
        });
        return Ok(None);
    }
    reporter.phase(&format!("unpacking {}", source.name()), None);
    let unpacked = source.unpacked_into(&folder, &|| sender.check_interrupted().is_ok())?;
    if unpacked.is_none() {
        sender.check_interrupted()?;
    }
    Ok(unpacked)
}

/// Whether documents can be read in the order of their ids as fast as in any other.
fn is_readable_by_id(source: &SnapshotDatabase, bytes: u64) -> bool {
    // Every shard has a piece that is not full.
    source.is_unpacked() || (bytes >> PIECE_BITS) + source.map().by_range.len() as u64 <= PIECES
}

/// An order.
pub(super) enum Order<'d> {
    /// That of the ids.
    Ids(Batches<'d>),
    /// That of the changes, within each of many windows that of the ids.
    Changes(Windows<'d>),
}

impl<'d> Order<'d> {
    /// The best order in which documents of a database with files of so many bytes can be read.
    pub(super) fn of(source: &'d SnapshotDatabase, bytes: u64) -> Result<Self> {
        if is_readable_by_id(source, bytes) {
            return Ok(Self::Ids(Batches::new(source, &Walk::default())?));
        }
        Ok(Self::Changes(Windows::new(source, bytes)))
    }

    /// An order that goes by the other of the two trees that hold all documents, for what is damaged in the one that this goes
    /// by.
    pub(super) fn other(&self, source: &'d SnapshotDatabase, bytes: u64) -> Result<Self> {
        match self {
            Self::Ids(_) => Ok(Self::Changes(Windows::new(source, bytes))),
            Self::Changes(_) => Ok(Self::Ids(Batches::new(source, &Walk::default())?)),
        }
    }

    /// What was found damaged so far.
    pub(super) fn take_damage(&self) -> Vec<snapshot::Error> {
        match self {
            Self::Ids(batches) => batches.take_damage(),
            Self::Changes(windows) => {
                std::mem::take(&mut windows.damage.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }

    /// How many threads read.
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
    /// Pieces of a file that hold the bodies of a window.
    pieces: usize,
    /// Bytes that the documents of a window take without their bodies.
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

    /// A shard that nobody has taken yet.
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
    /// `None` where it cannot be opened.
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
