//! Bodies and attachments, each with a checksum of its own.

use std::sync::mpsc::{Receiver, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};

use super::report::Report;
use crate::btree::{Entry, Key};
use crate::database::Database;
use crate::document::DocInfo;
use crate::error::Result;
use crate::read_at::ReadAt;
use crate::revtree::Revision;

/// Entries of the sequence tree that one thread takes at a time, at most, and bytes of them. A tree that is not cut into parts has
/// few documents, which may have large attachments.
const ENTRIES: usize = 4;
const BYTES: usize = 256 << 10;

/// Some entries of the sequence tree, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Sequence, and where the value begins and ends.
    entries: Vec<(u64, usize, usize)>,
}

impl Batch {
    fn add(&mut self, seq: u64, value: &[u8]) {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.entries.push((seq, begin, self.bytes.len()));
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= ENTRIES || self.bytes.len() >= BYTES
    }

    /// Checks the bodies of all its documents.
    fn check<R: ReadAt>(&self, database: &Database<R>, report: &mut Report) -> Result<()> {
        for &(seq, begin, end) in &self.entries {
            let value = self.bytes.get(begin..end).unwrap_or_default();
            // The walk has read it before.
            let Ok(doc) = DocInfo::from_seq_tree(&Entry { key: Key::Seq(seq), value }) else { continue };
            of_document(database, &doc, report)?;
        }
        Ok(())
    }
}

/// Where the walk of the sequence tree hands documents for their bodies to be checked.
pub(super) type Hand<'h> = dyn FnMut(&DocInfo<'_>, &[u8], &mut Report) -> Result<()> + 'h;

/// Does the walk, and has other threads check the bodies of what it hands over, so that `threads` threads work; of one thread it
/// checks them itself.
pub(super) fn walk_with<R: ReadAt, T>(
    database: &Database<R>,
    threads: usize,
    report: &mut Report,
    walk: impl FnOnce(&mut Report, &mut Hand<'_>) -> Result<T>,
) -> Result<T> {
    if threads < 2 {
        return walk(report, &mut |doc, _, report| of_document(database, doc, report));
    }
    let (sender, batches) = sync_channel::<Batch>(2 * threads);
    let batches = Mutex::new(batches);
    std::thread::scope(|scope| {
        let batches = &batches;
        let workers: Vec<_> = (1..threads).map(|_| scope.spawn(|| help(database, batches))).collect();
        let mut batch = Batch::default();
        let mut hand = |doc: &DocInfo<'_>, value: &[u8], report: &mut Report| {
            batch.add(doc.seq, value);
            if batch.is_full() {
                match sender.try_send(std::mem::take(&mut batch)) {
                    // They are busy.
                    Err(TrySendError::Full(batch)) => batch.check(database, report)?,
                    // They take everything until the end.
                    Ok(()) | Err(TrySendError::Disconnected(_)) => {}
                }
            }
            Ok(())
        };
        let walked = walk(report, &mut hand);
        let _ = sender.send(batch);
        drop(sender);
        let mut failed = None;
        for worker in workers {
            match worker.join() {
                Ok(Ok(found)) => report.merge(found),
                Ok(Err(e)) => failed = Some(e),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        failed.map_or(walked, Err)
    })
}

fn help<R: ReadAt>(database: &Database<R>, batches: &Mutex<Receiver<Batch>>) -> Result<Report> {
    let mut report = Report::default();
    let mut result = Ok(());
    loop {
        let batch = batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = batch else { return result.map(|()| report) };
        if result.is_ok() {
            result = batch.check(database, &mut report);
        }
    }
}

/// Checks the bodies and attachments of all revisions of a document.
pub(super) fn of_document<R: ReadAt>(
    database: &Database<R>,
    doc: &DocInfo<'_>,
    report: &mut Report,
) -> Result<()> {
    let Some(tree) = &doc.revisions else { return Ok(()) };
    for revision in tree.revisions() {
        of_revision(database, doc, revision, report)?;
    }
    Ok(())
}

fn of_revision<R: ReadAt>(
    database: &Database<R>,
    doc: &DocInfo<'_>,
    revision: &Revision<'_>,
    report: &mut Report,
) -> Result<()> {
    let leaf = revision.children == 0;
    report.leaves += u64::from(leaf);
    let Some(stored) = &revision.stored else {
        if leaf {
            report.problem(format!("{} {revision}: the leaf has no body", super::quoted(doc.id)));
        }
        return Ok(());
    };
    if leaf && stored.seq > doc.seq {
        report
            .problem(format!("{} {revision}: its sequence is beyond its document's", super::quoted(doc.id)));
    }
    // Old revisions keep their place in the tree after a compaction dropped their body.
    let Some(ptr) = stored.summary else { return Ok(()) };
    if ptr == 0 && !leaf {
        return Ok(());
    }
    let summary = match database.summary(stored) {
        Ok(summary) => summary,
        Err(e) if e.is_io() => return Err(e),
        Err(e) => {
            report.problem(format!("{} {revision}: {e}", super::quoted(doc.id)));
            return Ok(());
        }
    };
    report.bodies += 1;
    if !leaf {
        // Its attachments are mostly those of its descendants, which are read there.
        return Ok(());
    }
    for attachment in &summary.attachments {
        match database.attachment(attachment, |_| Ok(())) {
            Ok(()) => {
                report.attachments += 1;
                report.attachment_bytes += attachment.stored_len;
            }
            Err(e) if e.is_io() => return Err(e),
            Err(e) => {
                report.problem(format!(
                    "{} {revision}: attachment \"{}\": {e}",
                    super::quoted(doc.id),
                    attachment.name
                ));
            }
        }
    }
    Ok(())
}
