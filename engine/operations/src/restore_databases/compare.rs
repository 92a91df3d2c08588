//! Whether everything has arrived.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use snapshot::{Info, SnapshotDatabase};

use super::sender::Sender;
use super::windows::{Window, beginning};
use crate::error::{OperationError, Result};
use crate::parallel;
use crate::report::Reporter;

/// Shards compared at a time.
const THREADS: usize = 4;
/// Revisions named in an error.
const TOLD: usize = 5;

/// Fails unless every leaf revision of every document is there, but for those that are known to have been refused.
pub(super) fn documents(
    source: &SnapshotDatabase,
    sender: &Sender<'_>,
    reporter: &dyn Reporter,
) -> Result<()> {
    let shards = source.map().by_range.len();
    let (next, seen) = (AtomicUsize::new(0), AtomicU64::new(0));
    let lost: Mutex<(Vec<String>, u64)> = Mutex::default();
    let work = || -> Result<()> {
        loop {
            let shard = next.fetch_add(1, Ordering::Relaxed);
            if shard >= shards {
                return Ok(());
            }
            let mut since = beginning(source, shard);
            loop {
                sender.check_interrupted()?;
                let window = Window::read(source, &since, |_| true)?;
                for (id, revs) in window.missing(sender)? {
                    for rev in revs.iter().filter(|rev| !sender.is_refused(&id, rev)) {
                        let mut lost = lost.lock().unwrap_or_else(PoisonError::into_inner);
                        lost.1 += 1;
                        if lost.0.len() < TOLD {
                            lost.0.push(format!("{id} {rev}"));
                        }
                    }
                }
                let count = window.revisions.len() as u64;
                reporter.advance(seen.fetch_add(count, Ordering::Relaxed) + count, 0);
                since = window.next;
                if window.is_last {
                    break;
                }
            }
        }
    };
    let threads = vec![(); THREADS.min(shards.max(1))];
    parallel::all_at_once(&threads, |_, ()| work()).into_iter().collect::<Result<()>>()?;
    let (told, lost) = lost.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Of very many refused revisions not all are remembered.
    if lost <= sender.refused_revisions().saturating_sub(sender.remembered()) {
        return Ok(());
    }
    Err(OperationError::incomplete(
        format!("{lost} revisions are not in {} after all was sent: {}", sender.target.name, told.join(", ")),
        "Somebody else may have purged them, or deleted the database meanwhile. Give the same command again.",
    ))
}

/// Fails where there are fewer documents than in the archive. There may be more: others may write already.
pub(super) fn counts(info: &Info, sender: &Sender<'_>) -> Result<()> {
    let wanted = info.documents.saturating_add(info.deleted);
    let (documents, deleted) = sender.target.counts(|documents, deleted| {
        documents == info.documents && deleted == info.deleted || documents + deleted > wanted
    })?;
    if documents.saturating_add(deleted) >= wanted {
        return Ok(());
    }
    Err(OperationError::incomplete(
        format!(
            "{} has {documents} documents and {deleted} deleted ones, the archive {} and {}",
            sender.target.name, info.documents, info.deleted
        ),
        "Look into CouchDB's log, and give the same command again.",
    ))
}
