//! Whether the copies of a range hold the same documents.

use std::collections::HashSet;

use couchfile::btree::{Key, TreeKind};
use couchfile::compare::{compare as compare_documents, purge_uuids};
use couchfile::database::Database;
use couchfile::read_at::ReadAt;
use couchfile::shard_map::ShardMap;

use super::copy::Copy;
use super::finding::{Finding, FindingKind, counted};
use super::verdict::{Before, Notebook};

/// Distant copies with more documents than this are compared by their numbers of documents only.
const COMPARED: u64 = 20_000;

/// What a copy does not have now that another copy had before.
#[derive(Default)]
struct Behind {
    /// Documents that it lacks, and the number of the copy that had them.
    lacks: Option<(u64, usize)>,
    /// Documents that it still has although they were purged in the other copy.
    unpurged: Option<(u64, usize)>,
    /// Purges that it does not remember.
    forgot: Option<(u64, usize)>,
}

/// Compares the copies of a range. In the first look it is noted which ones differ; in later ones they are compared with what
/// they were then.
pub(super) fn compare(
    map: &ShardMap,
    copies: &[Copy],
    deep: bool,
    notes: &Notebook<'_>,
    finding: &impl Fn(FindingKind, usize, String) -> Finding,
) {
    let states = || copies.iter().map(|copy| ((copy.range, copy.folder), copy.state())).collect();
    if notes.suspects().is_all() {
        if copies.len() > 1 && differ(copies, deep) {
            notes.compare_again(&map.db, states());
        }
        return;
    }
    let Some(before) = notes.suspects().before(&map.db) else { return };
    if !copies.iter().any(|copy| before.contains_key(&(copy.range, copy.folder))) {
        return;
    }
    let Some(behind) = then_and_now(copies, before) else {
        notes.compare_again(&map.db, states());
        return;
    };
    let node = |number: usize| copies.get(number).map_or(0, |copy| copy.folder);
    for (copy, behind) in copies.iter().zip(behind) {
        let name = |number| {
            finding(FindingKind::DocumentsDiffer, node(number), String::new()).node.unwrap_or_default()
        };
        if let Some((lacks, other)) = behind.lacks {
            let found = format!(
                "lacks {}, or revisions of them, that the copy on {} had before the pause",
                counted(lacks, "document"),
                name(other)
            );
            notes.note_at_once(finding(FindingKind::DocumentsDiffer, copy.folder, found));
        }
        let found = match (behind.unpurged, behind.forgot) {
            (Some((unpurged, other)), _) => {
                format!(
                    "holds {} that the copy on {} had purged before the pause",
                    counted(unpurged, "document"),
                    name(other)
                )
            }
            (None, Some((forgot, other))) => format!(
                "does not remember {} that the copy on {} remembered before the pause",
                counted(forgot, "purge"),
                name(other)
            ),
            (None, None) => continue,
        };
        notes.note_at_once(finding(FindingKind::PurgesDiffer, copy.folder, found));
    }
}

/// Whether copies differ at first sight: by what their headers count, by their purges or, if wanted, by their documents.
fn differ(copies: &[Copy], deep: bool) -> bool {
    let Some((first, others)) = copies.split_first() else { return false };
    others.iter().any(|other| {
        (first.counts, first.purges) != (other.counts, other.purges)
            || (first.purges > 0 && purged(&first.database) != purged(&other.database))
            || (deep
                && compare_documents(&first.database, &other.database)
                    .is_ok_and(|(a, b)| a != b || a.lacks > 0))
    })
}

/// The purges that a copy remembers; none if they cannot be read: that is damage, which is found elsewhere.
fn purged<R: ReadAt>(database: &Database<R>) -> HashSet<Vec<u8>> {
    purge_uuids(database).unwrap_or_default()
}

/// Compares each copy as it is now with each other copy as it was. `None` if an earlier state is not in its file any more.
fn then_and_now(copies: &[Copy], before: &Before) -> Option<Vec<Behind>> {
    let mut all: Vec<Behind> = copies.iter().map(|_| Behind::default()).collect();
    for (i, one) in copies.iter().enumerate() {
        // A copy that was not there then has nothing to compare with.
        let Some(state) = before.get(&(one.range, one.folder)) else { continue };
        let then = one.then(state)?;
        let then_purged = purged(&then);
        for (_, (now, behind)) in copies.iter().zip(&mut all).enumerate().filter(|(j, _)| *j != i) {
            let is_far =
                (one.is_distant || now.is_distant) && one.documents().max(now.documents()) > COMPARED;
            if is_far {
                note_more(&mut behind.lacks, state.heard().saturating_sub(now.heard()), i);
                continue;
            }
            let Ok((_, side)) = compare_documents(&then, &now.database) else { continue };
            note_more(&mut behind.lacks, side.lacks, i);
            note_more(&mut behind.unpurged, side.unpurged, i);
            if !then_purged.is_empty() && remembers_all(now) {
                let known = purged(&now.database);
                note_more(&mut behind.forgot, then_purged.difference(&known).count() as u64, i);
            }
        }
    }
    Some(all)
}

/// Keeps the larger one of what is known and this number of the copy `i`, if it is not 0.
fn note_more(known: &mut Option<(u64, usize)>, number: u64, i: usize) {
    if number > known.map_or(0, |(known, _)| known) {
        *known = Some((number, i));
    }
}

/// Whether no compaction has dropped purges of a copy: then it remembers as many as it has given numbers to.
fn remembers_all(copy: &Copy) -> bool {
    let Ok(mut cursor) = copy.database.cursor_back(TreeKind::PurgeSeq, None) else { return false };
    match cursor.next_entry() {
        Ok(Some(entry)) => entry.key == Key::Seq(copy.purges),
        Ok(None) => true,
        Err(_) => false,
    }
}
