//! One pass over a database's documents: some threads read, others send.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use couchfile::document::{AttachmentForm, Encoding, JsonOptions};
use couchfile::ejson::NegativeZero;
use couchfile::error::CouchFileError;
use couchfile::revtree::Revision;
use filter::{Filter, Judged, Replaced};
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Failure, Result};
use snapshot::{Document, SnapshotDatabase, Walk};

use super::batches::{self, Batch, Batches, DOCUMENTS, unreadable};
use super::bulk::{self, Bulk};
use super::multipart::{KeptMultipart, Multipart};
use super::order::Order;
use super::sender::Sender;
use super::taken::Taken;

/// Requests at the same time.
const SENDERS: usize = 4;
/// Requests that wait to be sent.
const READY: usize = 2;
/// Bytes of the requests that a reader builds, for all shards together.
const BULKS: usize = 8 << 20;
/// Attachments up to this size, in bytes, are sent within the document.
const INLINE: u64 = 256 << 10;
/// Attachments up to this size, in bytes, are held in memory; larger ones are sent while they are read.
const KEPT: u64 = 4 << 20;

/// The beginning of the ids of design documents.
const DESIGN: &str = "_design/";

/// Something to send.
enum Parcel {
    Bulk(Bulk),
    Document(KeptMultipart),
}

impl Parcel {
    fn send(self, sender: &Sender<'_>) -> Result<()> {
        match self {
            Self::Bulk(bulk) => bulk.send(sender),
            Self::Document(document) => document.send(sender),
        }
    }
}

/// Sends all documents except design documents; with `ask_first` only the missing revisions. `bytes` is the size of the
/// database's files.
pub(super) fn documents(
    source: &SnapshotDatabase,
    sender: &Sender<'_>,
    filter: Option<&dyn Filter>,
    bytes: u64,
    ask_first: bool,
    reporter: &dyn Reporter,
) -> Result<()> {
    let order = Order::of(source, bytes)?;
    in_order(source, sender, filter, &order, ask_first, reporter)?;
    let damage = order.take_damage();
    if damage.is_empty() {
        return Ok(());
    }
    // What one tree hides the other one may show.
    let other = order.other(source, bytes)?;
    in_order(source, sender, filter, &other, true, reporter)?;
    tell_damage(damage, &other, sender, reporter);
    Ok(())
}

/// Reports damage that was skipped, after the documents have been read through the other tree too.
fn tell_damage(
    damage: Vec<snapshot::Error>,
    other: &Order<'_>,
    sender: &Sender<'_>,
    reporter: &dyn Reporter,
) {
    let found_otherwise = other.take_damage().is_empty();
    for error in damage {
        if found_otherwise {
            let text =
                format!("{error}; these documents were read through another tree, and nothing is missing");
            reporter.notice(&Notice { severity: Severity::Warning, text });
        } else {
            sender.lose(&error);
        }
    }
}

fn in_order(
    source: &SnapshotDatabase,
    sender: &Sender<'_>,
    filter: Option<&dyn Filter>,
    order: &Order<'_>,
    ask_first: bool,
    reporter: &dyn Reporter,
) -> Result<()> {
    let work = Work { stop: AtomicBool::new(false), failure: Mutex::new(None), read: AtomicU64::new(0) };
    let (queue, parcels) = sync_channel::<Parcel>(READY);
    let parcels = Mutex::new(parcels);
    std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| work.send_all(&parcels, sender, reporter));
        }
        for _ in 0..order.readers() {
            let queue = queue.clone();
            let work = &work;
            scope.spawn(move || {
                let mut give = |parcel| work.queue(&queue, parcel);
                let mut reader = Reader::new(source, sender, filter, Kind::Ordinary, &mut give);
                work.note(reader.all(order, ask_first, &|count| work.count(count)));
            });
        }
        drop(queue);
    });
    work.failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Sends all design documents, one after the other; with `ask_first` only the missing revisions.
pub(super) fn design_documents(
    source: &SnapshotDatabase,
    sender: &Sender<'_>,
    filter: Option<&dyn Filter>,
    bytes: u64,
    ask_first: bool,
) -> Result<()> {
    let mut give = |parcel: Parcel| parcel.send(sender);
    let mut reader = Reader::new(source, sender, filter, Kind::Design, &mut give);
    let order = Order::Ids(Batches::new(source, &Walk::prefix(DESIGN))?);
    reader.all(&order, ask_first, &|_| ())?;
    if order.take_damage().is_empty() {
        return Ok(());
    }
    // Reported where all other documents were read.
    reader.all(&order.other(source, bytes)?, true, &|_| ())
}

/// The state that readers and senders share.
struct Work {
    stop: AtomicBool,
    /// The first failure.
    failure: Mutex<Option<Failure>>,
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
            return Err(Failure::bug("reading continued after sending had failed"));
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

/// The documents to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Design,
    /// All others.
    Ordinary,
}

/// Builds requests from documents.
struct Reader<'r, 's> {
    source: &'r SnapshotDatabase,
    sender: &'r Sender<'s>,
    taken: Taken<'s>,
    kind: Kind,
    /// One request for each shard: CouchDB writes documents of one shard in one go.
    bulks: Vec<Bulk>,
    give: &'r mut dyn FnMut(Parcel) -> Result<()>,
}

impl<'r, 's> Reader<'r, 's> {
    fn new(
        source: &'r SnapshotDatabase,
        sender: &'r Sender<'s>,
        filter: Option<&'s dyn Filter>,
        kind: Kind,
        give: &'r mut dyn FnMut(Parcel) -> Result<()>,
    ) -> Self {
        let bulks = source.map().by_range.iter().map(|_| Bulk::default()).collect();
        Self { source, sender, taken: Taken::new(filter, source), kind, bulks, give }
    }

    /// The documents of this reader, in their order.
    fn all(&mut self, order: &Order<'_>, ask_first: bool, read: &dyn Fn(u64)) -> Result<()> {
        match order {
            Order::Ids(batches) => loop {
                let batch = batches.next()?;
                if batch.is_empty() {
                    break;
                }
                self.batch(&batch, ask_first, read)?;
            },
            Order::Changes(windows) => {
                while let Some(mut shard) = windows.next_shard()? {
                    loop {
                        let window: Batch<'_> = shard.next()?;
                        if window.is_empty() {
                            break;
                        }
                        for batch in window.chunks(DOCUMENTS) {
                            self.batch(batch, ask_first, read)?;
                        }
                    }
                }
            }
        }
        self.finish()
    }

    fn batch(&mut self, batch: &[(usize, Document<'_>)], ask_first: bool, read: &dyn Fn(u64)) -> Result<()> {
        self.sender.check_interrupted()?;
        let is_design = self.kind == Kind::Design;
        let of_kind = || batch.iter().filter(|(_, document)| document.id().starts_with(DESIGN) == is_design);
        let missing = if ask_first {
            let revisions = batches::revisions(self.source, of_kind().map(|(_, document)| document))?;
            Some(batches::missing(&revisions, self.sender)?)
        } else {
            None
        };
        for (shard, document) in of_kind() {
            match &missing {
                None => self.document(*shard, document, None)?,
                Some(missing) => {
                    if let Some(revs) = missing.get(document.id()) {
                        self.document(*shard, document, Some(revs))?;
                    }
                }
            }
        }
        read(batch.len() as u64);
        Ok(())
    }

    /// All or some leaf revisions of a document.
    fn document(
        &mut self,
        shard: usize,
        document: &Document<'_>,
        only: Option<&HashSet<String>>,
    ) -> Result<()> {
        let leaves = document.leaves().map_err(unreadable(self.source, document))?;
        for leaf in &leaves {
            let rev = leaf.to_string();
            if only.is_some_and(|only| !only.contains(&rev)) {
                continue;
            }
            let content = match self.taken.judge(self.source, document, leaf) {
                Ok(Judged::Kept) => None,
                Ok(Judged::Replaced(content)) => Some(content),
                Ok(Judged::LeftOut) => {
                    self.sender.leave_out();
                    continue;
                }
                Err(damage) if contents::is_damage(&damage) => {
                    self.sender.refuse(document.id(), &rev, damage.to_string());
                    continue;
                }
                Err(error) => return Err(error),
            };
            match self.revision(shard, document, leaf, content) {
                Ok(()) => {}
                Err(Problem::Other(error)) => return Err(error),
                Err(Problem::Damage(e @ CouchFileError::Io { .. })) => {
                    return Err(unreadable(self.source, document)(e));
                }
                // The rest can still be had.
                Err(Problem::Damage(damage)) => self.sender.refuse(document.id(), &rev, damage.to_string()),
            }
        }
        let most = (BULKS / self.bulks.len()).min(bulk::BYTES).min(self.sender.request_limit());
        if self.bulks[shard].is_full(most) { self.flush(shard) } else { Ok(()) }
    }

    fn revision(
        &mut self,
        shard: usize,
        document: &Document<'_>,
        leaf: &Revision<'_>,
        content: Option<Replaced>,
    ) -> Result<(), Problem> {
        let mut attachments =
            if has_attachments(leaf) { document.summary(leaf)?.attachments } else { Vec::new() };
        let size = attachments.iter().fold(0u64, |sum, attachment| sum.saturating_add(attachment.stored_len));
        // What is gzipped would be gzipped anew, not always into the same bytes.
        let inline = size <= INLINE && attachments.iter().all(|a| a.encoding == Encoding::Identity);
        if let Some(content) = &content {
            attachments.retain(|attachment| content.attachments().contains(&attachment.name));
        }
        if inline || attachments.is_empty() {
            let attachments = if inline { AttachmentForm::InlineAfter(0) } else { AttachmentForm::Stubs };
            let options =
                JsonOptions { revs: true, attachments, zero: NegativeZero::Kept, ..JsonOptions::default() };
            let json = document.json(leaf, options)?;
            let json = match content {
                Some(content) => content.in_place_of(&json).map_err(CouchFileError::Invalid)?,
                None => json,
            };
            self.bulks[shard].add(&json);
            return Ok(());
        }
        let size = attachments.iter().fold(0u64, |sum, attachment| sum.saturating_add(attachment.stored_len));
        let request = Multipart::new(document, leaf, &attachments, content)?;
        if size <= KEPT {
            let request = request.kept(document, &attachments)?;
            return (self.give)(Parcel::Document(request)).map_err(Problem::Other);
        }
        request.stream(document, &attachments, self.sender).map_err(Problem::Other)
    }

    fn flush(&mut self, shard: usize) -> Result<()> {
        self.sender.check_interrupted()?;
        (self.give)(Parcel::Bulk(std::mem::take(&mut self.bulks[shard])))
    }

    fn finish(&mut self) -> Result<()> {
        for shard in 0..self.bulks.len() {
            if !self.bulks[shard].is_empty() {
                self.flush(shard)?;
            }
        }
        Ok(())
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
    /// The revision is damaged in the archive.
    Damage(CouchFileError),
    /// Nothing can be sent.
    Other(Failure),
}

impl From<CouchFileError> for Problem {
    fn from(error: CouchFileError) -> Self {
        Self::Damage(error)
    }
}
