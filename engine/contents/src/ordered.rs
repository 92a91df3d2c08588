//! Processes a database's documents on several threads and hands over the results in order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

use couchfile::database::Database;
use couchfile::document::DocInfo;
use couchfile::error::CouchFileError;
use couchfile::read_at::ReadAt;
use outcome::Result;

use crate::unusable::unusable;

/// Documents that one thread converts at a time, about.
const BATCH: u64 = 500;

/// Calls `convert` for every document on `threads` threads, and `consume` on this thread with each result, in the order of the
/// ids. A `None` is skipped. `what` names the file in errors.
///
/// Memory: a few batches of what `convert` makes.
pub fn convert_in_order<R: ReadAt, T: Send>(
    database: &Database<R>,
    threads: usize,
    what: &str,
    convert: impl Fn(&DocInfo<'_>) -> Result<Option<T>, CouchFileError> + Sync,
    mut consume: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let damaged = |e| unusable(what, e);
    let (live, deleted) = database.counts().map_err(damaged)?;
    let wanted = usize::try_from(((live + deleted) / BATCH).clamp(1, 4096)).unwrap_or(1);
    let parts = database.document_parts(wanted).map_err(damaged)?;
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(threads.max(1));
        for _ in 0..threads.max(1) {
            let sender = sender.clone();
            let (parts, next, stop, convert) = (&parts, &next, &stop, &convert);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(part) = parts.get(number).filter(|_| !stop.load(Ordering::Relaxed)) else {
                        return;
                    };
                    let mut made = Vec::new();
                    let done = database.for_each_document_in(part, |doc| {
                        made.extend(convert(doc)?);
                        Ok::<(), CouchFileError>(())
                    });
                    if sender.send((number, done.map(|()| made))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        // Threads may finish out of order, but none is ahead of another by more than a batch or so.
        let mut early = BTreeMap::new();
        let mut expected = 0;
        let mut outcome = Ok(());
        for (number, made) in receiver {
            early.insert(number, made);
            while let Some(made) = early.remove(&expected) {
                expected += 1;
                if outcome.is_ok() {
                    outcome =
                        made.map_err(damaged).and_then(|made| made.into_iter().try_for_each(&mut consume));
                    stop.store(outcome.is_err(), Ordering::Relaxed);
                }
            }
        }
        outcome
    })
}
