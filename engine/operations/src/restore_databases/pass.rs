//! One pass over a database's documents: read on some threads, sent on others.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use couchfile::document::{AttachmentForm, Encoding, JsonOptions};
use couchfile::error::CouchFileError;
use couchfile::revtree::Revision;
use snapshot::{Document, Flow, SnapshotDatabase, Walk};

use super::bulk::Bulk;
use super::multipart::{KeptMultipart, Multipart};
use super::sender::Sender;
use super::windows::{self, Window, beginning, unreadable};
use crate::error::{OperationError, Result};
use crate::report::Reporter;

/// Shards read at a time, at most. Documents of one request belong to one shard, so that CouchDB writes them in one go.
const READERS: usize = 3;
/// Pieces of a file, of 1 MiB, whose documents are sent in the order of their ids, all readers together. So many of them the
/// archive keeps unpacked.
const PIECES: u64 = 48;
/// How much larger than a byte a piece is, as a power of two.
const PIECE_BITS: u32 = 20;
/// Bytes of documents, without their bodies, that are put in order at a time, all readers together. A document with a thousand
/// revisions has tens of thousands of them.
const IN_ORDER: usize = 24 << 20;
/// Requests at a time.
const SENDERS: usize = 4;
/// Requests that are ready before they can be sent.
const READY: usize = 2;
/// Attachments of a document that are sent within it, in bytes.
const INLINE: u64 = 256 << 10;
/// Attachments of a document that are held in memory, in bytes; larger ones are sent while they are read.
const KEPT: u64 = 4 << 20;

/// What design documents begin with.
const DESIGN: &str = "_design/";

/// Something to send.
enum Parcel {
    Bulk(Bulk),
    Document(KeptMultipart),
}

impl Parcel {
    fn send(&self, sender: &Sender<'_>) -> Result<()> {
        match self {
            Self::Bulk(bulk) => bulk.send(sender),
            Self::Document(document) => document.send(sender),
        }
    }
}

/// Sends all documents but design documents; where `ask_first`, only the revisions that are missing. `bytes` is the size of
/// the database's files.
pub(super) fn documents(
    source: &SnapshotDatabase,
    sender: &Sender<'_>,
    bytes: u64,
    ask_first: bool,
    reporter: &dyn Reporter,
) -> Result<()> {
    let shards = source.map().by_range.len();
    // Rather one shard in order than several without.
    let of_shard = (bytes / (shards as u64).max(1)) >> PIECE_BITS;
    let readers = (PIECES / of_shard.saturating_add(1)).clamp(1, READERS.min(shards.max(1)) as u64);
    // In as few windows as possible, of the same size: a small one would touch as much of the tree as a large one.
    let most = PIECES / readers;
    let pieces = (of_shard + 1).div_ceil((of_shard + 1).div_ceil(most)) as usize;
    let limits = WindowLimits { pieces, bytes: IN_ORDER / readers as usize };
    let next = AtomicUsize::new(0);
    let work = Work { stop: AtomicBool::new(false), failure: Mutex::new(None), read: AtomicU64::new(0) };
    let (queue, parcels) = sync_channel::<Parcel>(READY);
    let parcels = Mutex::new(parcels);
    std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| work.send_all(&parcels, sender, reporter));
        }
        for _ in 0..readers {
            let queue = queue.clone();
            let (next, work) = (&next, &work);
            scope.spawn(move || {
                work.note(loop {
                    let shard = next.fetch_add(1, Ordering::Relaxed);
                    if shard >= shards {
                        break Ok(());
                    }
                    let mut give = |parcel| work.queue(&queue, parcel);
                    let mut reader = Reader { source, sender, bulk: Bulk::default(), give: &mut give };
                    let read = |count| work.count(count);
                    let done = if ask_first {
                        reader.lacking(shard, &read)
                    } else {
                        reader.all(shard, limits, &read)
                    };
                    if let Err(error) = done {
                        break Err(error);
                    }
                });
            });
        }
        drop(queue);
    });
    work.failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Sends all design documents, one after the other.
pub(super) fn design_documents(source: &SnapshotDatabase, sender: &Sender<'_>) -> Result<()> {
    let mut give = |parcel: Parcel| parcel.send(sender);
    let mut reader = Reader { source, sender, bulk: Bulk::default(), give: &mut give };
    source.documents(&Walk::prefix(DESIGN), |document| {
        sender.check_interrupted()?;
        reader.document(document, None)?;
        Ok::<Flow, OperationError>(Flow::On)
    })?;
    reader.finish()
}

/// What readers and senders share.
struct Work {
    stop: AtomicBool,
    /// The first one.
    failure: Mutex<Option<OperationError>>,
    /// Documents that have been read.
    read: AtomicU64,
}

impl Work {
    fn note(&self, done: Result<()>) {
        if let Err(error) = done {
            // Whoever stops for it finds the reason noted.
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            self.stop.store(true, Ordering::Release);
        }
    }

    fn count(&self, documents: u64) {
        self.read.fetch_add(documents, Ordering::Relaxed);
    }

    fn queue(&self, queue: &SyncSender<Parcel>, parcel: Parcel) -> Result<()> {
        // Senders take everything until the end, so that nobody waits for them in vain.
        if self.stop.load(Ordering::Acquire) || queue.send(parcel).is_err() {
            return Err(OperationError::Bug("the reading went on after the sending had failed".into()));
        }
        Ok(())
    }

    fn send_all(&self, parcels: &Mutex<Receiver<Parcel>>, sender: &Sender<'_>, reporter: &dyn Reporter) {
        loop {
            let parcel = parcels.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(parcel) = parcel else { return };
            if self.stop.load(Ordering::Relaxed) {
                continue;
            }
            self.note(parcel.send(sender));
            reporter.advance(self.read.load(Ordering::Relaxed), sender.bytes());
        }
    }
}

/// How many documents are put in order at a time.
#[derive(Debug, Clone, Copy)]
struct WindowLimits {
    /// Pieces of the file that hold their bodies.
    pieces: usize,
    /// Bytes that they take without their bodies.
    bytes: usize,
}

/// Makes requests of documents.
struct Reader<'r, 's> {
    source: &'r SnapshotDatabase,
    sender: &'r Sender<'s>,
    bulk: Bulk,
    give: &'r mut dyn FnMut(Parcel) -> Result<()>,
}

impl Reader<'_, '_> {
    /// All documents of a shard.
    ///
    /// They lie in the file in the order of their changes, and are sent, as far as memory reaches, in the order of their ids: a
    /// CouchDB that gets them in any other order writes its tree of ids again and again, which takes three times as long.
    fn all(&mut self, shard: usize, limits: WindowLimits, read: &dyn Fn(u64)) -> Result<()> {
        let mut changes = self.source.shard_changes(shard, 0)?;
        loop {
            let (mut window, mut places, mut bytes) = (Vec::new(), HashSet::new(), 0);
            while bytes < limits.bytes
                && places.len() < limits.pieces
                && let Some(document) = changes.next()
            {
                let document = document?;
                if document.id().starts_with(DESIGN) {
                    read(1);
                    continue;
                }
                places.extend(self.places(&document)?);
                bytes += document.bytes_in_memory();
                window.push(document);
            }
            if window.is_empty() {
                return self.finish();
            }
            window.sort_by(|a, b| a.id().cmp(b.id()));
            for document in &window {
                self.document(document, None)?;
                read(1);
            }
        }
    }

    /// The pieces of the file that hold a document's leaves.
    fn places(&self, document: &Document<'_>) -> Result<Vec<u64>> {
        let revisions = document.revisions().map_err(unreadable(self.source, document))?;
        Ok(revisions.leaves().filter_map(|leaf| Some(leaf.stored?.summary? >> PIECE_BITS)).collect())
    }

    /// The revisions of a shard that the database lacks.
    fn lacking(&mut self, shard: usize, read: &dyn Fn(u64)) -> Result<()> {
        let mut since = beginning(self.source, shard);
        loop {
            self.sender.check_interrupted()?;
            let window = Window::read(self.source, &since, |id| !id.starts_with(DESIGN))?;
            let missing = windows::missing(&window.revisions, self.sender)?;
            read(window.revisions.len() as u64);
            if !missing.is_empty() {
                let end = window.next.of(shard);
                self.source.changes(&since, false, |document, reached| {
                    if let Some(revs) = missing.get(document.id()) {
                        self.document(document, Some(revs))?;
                    }
                    let ended = !window.is_last && reached.of(shard) >= end;
                    Ok::<Flow, OperationError>(if ended { Flow::Stop } else { Flow::On })
                })?;
            }
            since = window.next;
            if window.is_last {
                return self.finish();
            }
        }
    }

    /// The leaf revisions of a document, or some of them.
    fn document(&mut self, document: &Document<'_>, only: Option<&HashSet<String>>) -> Result<()> {
        let leaves = document.leaves().map_err(unreadable(self.source, document))?;
        for leaf in &leaves {
            let rev = leaf.to_string();
            if only.is_some_and(|only| !only.contains(&rev)) {
                continue;
            }
            match self.revision(document, leaf) {
                Ok(()) => {}
                Err(Problem::Other(error)) => return Err(error),
                Err(Problem::Damage(e @ CouchFileError::Io { .. })) => {
                    return Err(unreadable(self.source, document)(e));
                }
                // The rest can still be had.
                Err(Problem::Damage(damage)) => self.sender.refuse(document.id(), &rev, damage.to_string()),
            }
        }
        if self.bulk.is_full() { self.flush() } else { Ok(()) }
    }

    fn revision(&mut self, document: &Document<'_>, leaf: &Revision<'_>) -> Result<(), Problem> {
        let attachments =
            if has_attachments(leaf) { document.summary(leaf)?.attachments } else { Vec::new() };
        let size = attachments.iter().fold(0u64, |sum, attachment| sum.saturating_add(attachment.stored_len));
        // What is gzipped would be gzipped anew, not always into the same bytes.
        let inline = size <= INLINE && attachments.iter().all(|a| a.encoding == Encoding::Identity);
        if inline {
            let attachments = AttachmentForm::InlineAfter(0);
            let options = JsonOptions { revs: true, attachments, ..JsonOptions::default() };
            self.bulk.add(&document.json(leaf, options)?);
            return Ok(());
        }
        let request = Multipart::new(document, leaf, &attachments)?;
        if size <= KEPT {
            let request = request.kept(document, &attachments)?;
            return (self.give)(Parcel::Document(request)).map_err(Problem::Other);
        }
        request.stream(document, &attachments, self.sender).map_err(Problem::Other)
    }

    fn flush(&mut self) -> Result<()> {
        self.sender.check_interrupted()?;
        (self.give)(Parcel::Bulk(std::mem::take(&mut self.bulk)))
    }

    fn finish(&mut self) -> Result<()> {
        if self.bulk.is_empty() { Ok(()) } else { self.flush() }
    }
}

/// Whether a leaf may have attachments.
fn has_attachments(leaf: &Revision<'_>) -> bool {
    /// An empty list as a term.
    const NONE: [u8; 1] = [106];
    leaf.stored.is_some_and(|stored| stored.attachments != Some(&NONE))
}

/// Why a revision cannot be sent.
enum Problem {
    /// It is damaged in the archive.
    Damage(CouchFileError),
    /// Nothing can be sent.
    Other(OperationError),
}

impl From<CouchFileError> for Problem {
    fn from(error: CouchFileError) -> Self {
        Self::Damage(error)
    }
}
