//! Checks that everything has arrived.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use filter::{Filter, Judged};
use outcome::report::Reporter;
use outcome::{Code, Failure, Result, parallel};
use snapshot::{Info, SnapshotDatabase, Walk};

use super::batches::{self, Batch, Batches, Revisions, unreadable};
use super::sender::Sender;
use super::taken::Taken;

/// Requests at the same time.
const THREADS: usize = 4;
/// Revisions that an error names.
const TOLD: usize = 5;
/// How long copies may lag behind the copies that have answered.
const LAG: Duration = Duration::from_secs(90);
/// Pause between two checks.
const PAUSE: Duration = Duration::from_millis(250);

/// Documents that a database should have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Expected {
    documents: u64,
    deleted: u64,
}

impl Expected {
    /// All of the archive.
    pub(super) fn of(info: &Info) -> Self {
        Self { documents: info.documents, deleted: info.deleted }
    }
}

/// The documents of a batch, and the leaf revisions of each.
struct Wanted<'d> {
    batch: Batch<'d>,
    revisions: Revisions<Vec<String>>,
}

/// Fails unless every leaf revision of every document has arrived, except those that are known to have been refused and those that
/// the filter leaves out. Returns the number of documents of which something has arrived.
pub(super) fn documents(
    source: &SnapshotDatabase,
    sender: &Sender<'_>,
    filter: Option<&dyn Filter>,
    reporter: &dyn Reporter,
) -> Result<Expected> {
    // In the order of the ids, so that CouchDB reads every node of its trees once.
    let batches = Batches::new(source, &Walk::default())?;
    let next = || -> Result<Option<Wanted<'_>>> {
        let batch = batches.next()?;
        if batch.is_empty() {
            return Ok(None);
        }
        let revisions = batches::revisions(source, batch.iter().map(|(_, document)| document))?;
        Ok(Some(Wanted { batch, revisions }))
    };
    let arrived: Mutex<Expected> = Mutex::default();
    let seen = AtomicU64::new(0);
    let lost: Mutex<(Vec<String>, u64)> = Mutex::default();
    let begun = Instant::now();
    let work = || -> Result<()> {
        let mut taken = Taken::new(filter, source);
        while let Some(Wanted { batch, revisions }) = next()? {
            sender.check_interrupted()?;
            let mut missing = lacking(&revisions, sender)?;
            if !taken.is_everything() {
                let of_batch = count(source, &batch, &missing)?;
                let mut arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
                arrived.documents += of_batch.documents;
                arrived.deleted += of_batch.deleted;
                drop(arrived);
                missing = wanted(source, &batch, missing, &mut taken)?;
            }
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
        return Ok(arrived.into_inner().unwrap_or_else(PoisonError::into_inner));
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

/// The documents of a batch of which something has arrived.
fn count(source: &SnapshotDatabase, batch: &Batch<'_>, missing: &Revisions<Vec<String>>) -> Result<Expected> {
    let mut arrived = Expected::default();
    for (_, document) in batch {
        let missing = missing.get(document.id()).map(Vec::as_slice).unwrap_or_default();
        let tree = document.revisions().map_err(unreadable(source, document))?;
        let mut there = tree.leaves().filter(|leaf| !missing.contains(&leaf.to_string())).peekable();
        if there.peek().is_none() {
            continue;
        }
        if there.all(|leaf| leaf.stored.is_some_and(|stored| stored.deleted)) {
            arrived.deleted += 1;
        } else {
            arrived.documents += 1;
        }
    }
    Ok(arrived)
}

/// Those of the missing revisions that the filter does not leave out.
fn wanted(
    source: &SnapshotDatabase,
    batch: &Batch<'_>,
    mut missing: Revisions<Vec<String>>,
    taken: &mut Taken<'_>,
) -> Result<Revisions<Vec<String>>> {
    for (_, document) in batch {
        let Some(revs) = missing.get_mut(document.id()) else { continue };
        let tree = document.revisions().map_err(unreadable(source, document))?;
        for leaf in tree.leaves() {
            let rev = leaf.to_string();
            if revs.contains(&rev) && matches!(taken.judge(source, document, leaf)?, Judged::LeftOut) {
                revs.retain(|other| *other != rev);
            }
        }
    }
    missing.retain(|_, revs| !revs.is_empty());
    Ok(missing)
}

/// Fails if the database has fewer documents than expected. It may have more, because clients may write already.
pub(super) fn counts(expected: Expected, sender: &Sender<'_>) -> Result<()> {
    let wanted = expected.documents.saturating_add(expected.deleted);
    let (documents, deleted) = sender.target.counts(|documents, deleted| {
        documents == expected.documents && deleted == expected.deleted || documents + deleted > wanted
    })?;
    if documents.saturating_add(deleted) >= wanted {
        return Ok(());
    }
    Err(Failure::incomplete(
        Code::new("CC-R32"),
        format!(
            "{} has {documents} documents and {deleted} deleted ones, but {} and {} were to be restored",
            sender.target.name, expected.documents, expected.deleted
        ),
        "Check CouchDB's log, and run the same command again.",
    ))
}
