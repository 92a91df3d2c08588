//! Checks that everything has arrived.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use outcome::report::Reporter;
use outcome::{Code, Failure, Result, parallel};
use snapshot::{Info, SnapshotDatabase, Walk};

use super::batches::{self, Batches, Revisions};
use super::sender::Sender;

/// Requests at the same time.
const THREADS: usize = 4;
/// Revisions that an error names.
const TOLD: usize = 5;
/// How long copies may lag behind the copies that have answered.
const LAG: Duration = Duration::from_secs(90);
/// Pause between two checks.
const PAUSE: Duration = Duration::from_millis(250);

/// Fails unless every leaf revision of every document has arrived, except those that are known to have been refused.
pub(super) fn documents(
    source: &SnapshotDatabase,
    sender: &Sender<'_>,
    reporter: &dyn Reporter,
) -> Result<()> {
    // In the order of the ids, so that CouchDB reads every node of its trees once.
    let batches = Batches::new(source, &Walk::default())?;
    let next = || -> Result<Option<Revisions<Vec<String>>>> {
        let batch = batches.next()?;
        if batch.is_empty() {
            return Ok(None);
        }
        batches::revisions(source, batch.iter().map(|(_, document)| document)).map(Some)
    };
    let seen = AtomicU64::new(0);
    let lost: Mutex<(Vec<String>, u64)> = Mutex::default();
    let begun = Instant::now();
    let work = || -> Result<()> {
        while let Some(revisions) = next()? {
            sender.check_interrupted()?;
            let mut missing = lacking(&revisions, sender)?;
            // CouchDB has answered for what two of three copies have, and may ask the third.
            while !missing.is_empty() && begun.elapsed() < LAG {
                std::thread::sleep(PAUSE);
                sender.check_interrupted()?;
                missing = lacking(&missing, sender)?;
            }
            for (id, rev) in missing.iter().flat_map(|(id, revs)| revs.iter().map(move |rev| (id, rev))) {
                let mut lost = lost.lock().unwrap_or_else(PoisonError::into_inner);
                lost.1 += 1;
                if lost.0.len() < TOLD {
                    lost.0.push(format!("{id} {rev}"));
                }
            }
            let count = revisions.len() as u64;
            reporter.advance(seen.fetch_add(count, Ordering::Relaxed) + count, 0);
        }
        Ok(())
    };
    parallel::all_at_once(&[(); THREADS], |_, ()| work()).into_iter().collect::<Result<()>>()?;
    let (told, lost) = lost.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Of very many refused revisions not all are remembered.
    if lost <= sender.refused_revisions().saturating_sub(sender.remembered()) {
        return Ok(());
    }
    Err(Failure::incomplete(
        Code::new("CC-R31"),
        format!(
            "{lost} revisions are missing in {} after all revisions were sent: {}",
            sender.target.name,
            told.join(", ")
        ),
        "Someone else may have purged them or deleted the database in the meantime. Run the same command again.",
    ))
}

/// The revisions that the database lacks and that are not known to have been refused.
fn lacking(revisions: &Revisions<Vec<String>>, sender: &Sender<'_>) -> Result<Revisions<Vec<String>>> {
    let missing = batches::missing(revisions, sender)?;
    let expected = missing.into_iter().map(|(id, revs)| {
        let revs: Vec<String> = revs.into_iter().filter(|rev| !sender.is_refused(&id, rev)).collect();
        (id, revs)
    });
    Ok(expected.filter(|(_, revs)| !revs.is_empty()).collect())
}

/// Fails if the database has fewer documents than the archive. It may have more, because clients may write already.
pub(super) fn counts(info: &Info, sender: &Sender<'_>) -> Result<()> {
    let wanted = info.documents.saturating_add(info.deleted);
    let (documents, deleted) = sender.target.counts(|documents, deleted| {
        documents == info.documents && deleted == info.deleted || documents + deleted > wanted
    })?;
    if documents.saturating_add(deleted) >= wanted {
        return Ok(());
    }
    Err(Failure::incomplete(
        Code::new("CC-R32"),
        format!(
            "{} has {documents} documents and {deleted} deleted ones, but the archive has {} and {}",
            sender.target.name, info.documents, info.deleted
        ),
        "Check CouchDB's log, and run the same command again.",
    ))
}
