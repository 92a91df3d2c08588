//! Which of several copies of a shard is saved.

use std::cmp::Reverse;

use couchfile::database::Database;
use couchfile::internal_replication::sent_to;
use couchfile::read_at::FileBytes;

use super::file;
use super::folder::NodeFolder;
use super::plan::PlannedShard;

/// A copy that can be read.
struct Copy {
    folder: u16,
    database: Database<FileBytes>,
    /// Documents, deleted ones too.
    documents: u64,
}

/// The folders of a shard's copies, the best copy first.
///
/// A copy on a node that was away misses documents, or it has all of them but some at older revisions. So the copy with
/// most documents comes first, and among equals the one that has most to send to another one. Where that is equal, too,
/// the order stays: the shard map's preferred copy comes first. A copy that cannot be read comes last.
pub(super) fn order(folders: &[NodeFolder], shard: &PlannedShard) -> Box<[u16]> {
    let mut copies = Vec::new();
    let mut unreadable = Vec::new();
    for &folder in &shard.folders {
        let path = folders[usize::from(folder)].path.join(&shard.path);
        let opened = file::open_shard(&path).ok().and_then(|database| {
            let (documents, deleted) = database.counts().ok()?;
            Some(Copy { folder, database, documents: documents + deleted })
        });
        match opened {
            Some(copy) => copies.push(copy),
            None => unreadable.push(folder),
        }
    }
    let most = copies.iter().map(|copy| copy.documents).max().unwrap_or(0);
    let mut rated: Vec<(Reverse<u64>, Reverse<u64>, u16)> = copies
        .iter()
        .map(|copy| {
            let unsent = if copy.documents == most { unsent(copy, &copies) } else { 0 };
            (Reverse(copy.documents), Reverse(unsent), copy.folder)
        })
        .collect();
    rated.sort_by_key(|&(documents, unsent, _)| (documents, unsent));
    rated.into_iter().map(|(_, _, folder)| folder).chain(unreadable).collect()
}

/// How many changes of a copy some other copy has not got from it. Clients' writes reach all copies at once and are sent
/// between them some seconds later, so a few say nothing; a copy that was away has none.
fn unsent(copy: &Copy, copies: &[Copy]) -> u64 {
    let seq = copy.database.header().update_seq;
    let others = copies.iter().filter(|other| other.folder != copy.folder);
    let sent = others.map(|other| {
        let uuid = other.database.header().uuid.as_deref();
        uuid.and_then(|uuid| sent_to(&copy.database, uuid).ok().flatten()).unwrap_or(0)
    });
    sent.min().map_or(0, |sent| seq.saturating_sub(sent))
}
