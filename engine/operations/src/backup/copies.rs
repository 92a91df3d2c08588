//! Which of several copies, of a shard or of the shard maps, is saved.

use std::cmp::Reverse;

use couchfile::database::Database;
use couchfile::internal_replication::sent_to;
use couchfile::read_at::{FileBytes, ReadAt};

use super::file;
use super::folder::NodeFolder;
use super::plan::PlannedShard;

/// The folders of a shard's copies, the best copy first. A copy that cannot be read comes last.
pub(super) fn order(folders: &[NodeFolder], shard: &PlannedShard) -> Box<[u16]> {
    let mut copies = Vec::new();
    let mut unreadable = Vec::new();
    for &folder in &shard.folders {
        let path = folders[usize::from(folder)].path.join(&shard.path);
        match file::open_shard(&path) {
            Ok(database) => copies.push((folder, database)),
            Err(_) => unreadable.push(folder),
        }
    }
    let databases: Vec<&Database<FileBytes>> = copies.iter().map(|(_, database)| database).collect();
    rank(&databases).into_iter().map(|i| copies[i].0).chain(unreadable).collect()
}

/// Puts copies in order, the best one first.
///
/// A copy on a node that was away misses documents, or it has all of them but some at older revisions. So the copy with
/// most documents comes first, deleted ones counted, and among equals the one that has most to send to another one. Where
/// that is equal, too, the order stays.
pub(super) fn rank<R: ReadAt>(copies: &[&Database<R>]) -> Vec<usize> {
    let documents = |copy: &Database<R>| copy.counts().map_or(0, |(live, deleted)| live + deleted + 1);
    let counts: Vec<u64> = copies.iter().map(|copy| documents(copy)).collect();
    let most = counts.iter().max().copied().unwrap_or(0);
    let tie = counts.iter().filter(|&&count| count == most).count() > 1;
    let mut rated: Vec<(Reverse<u64>, Reverse<u64>, usize)> = (0..copies.len())
        .map(|i| {
            let unsent = if tie && counts[i] == most { unsent(i, copies) } else { 0 };
            (Reverse(counts[i]), Reverse(unsent), i)
        })
        .collect();
    rated.sort_unstable();
    rated.into_iter().map(|(_, _, i)| i).collect()
}

/// How many changes of a copy some other copy has not got from it. Clients' writes reach all copies at once and are sent
/// between them some seconds later, so a few say nothing; a copy that was away has none.
fn unsent<R: ReadAt>(i: usize, copies: &[&Database<R>]) -> u64 {
    let others = copies.iter().enumerate().filter(|(other, _)| *other != i);
    let sent = others.map(|(_, other)| {
        let uuid = other.header().uuid.as_deref();
        uuid.and_then(|uuid| sent_to(copies[i], uuid).ok().flatten()).unwrap_or(0)
    });
    sent.min().map_or(0, |sent| copies[i].header().update_seq.saturating_sub(sent))
}
