//! Which of several copies of a shard or of the shard maps is saved.

use std::cmp::Reverse;
use std::collections::HashSet;

use contents::{Choice, CopyRecord};
use couchfile::compare::{Side, compare, purge_uuids};
use couchfile::data_dir::DataFile;
use couchfile::database::Database;
use couchfile::internal_replication::sent_to;
use couchfile::read_at::{FileBytes, ReadAt};

use crate::file;
use crate::folder::NodeFolder;
use crate::plan::PlannedShard;
use crate::security::Securities;

/// Numbers of the data directories of a shard's copies, the best copy first, and the differences, if they are worth reporting.
pub(super) type Order = (Box<[u16]>, Option<Choice>);

/// Copies with more documents than this are not compared document by document.
const COMPARED: u64 = 1_000_000;

/// The data directories of a shard's copies, the best copy first, and the differences, if they are worth reporting. A copy that
/// cannot be read comes last.
///
/// The security objects of the copies that will not be saved are counted.
pub(super) fn order(folders: &[NodeFolder], shard: &PlannedShard, securities: &Securities) -> Order {
    let mut copies = Vec::new();
    let mut unreadable = Vec::new();
    for &folder in &shard.folders {
        let of_node = &folders[usize::from(folder)];
        match file::open_shard(&of_node.path.join(&shard.path), &of_node.patience) {
            Ok(database) => copies.push((folder, database)),
            Err(_) => unreadable.push(folder),
        }
    }
    let databases: Vec<&Database<FileBytes>> = copies.iter().map(|(_, database)| database).collect();
    let judged = judge(&databases);
    if let Some(DataFile::Shard(name)) = DataFile::parse(&shard.path) {
        // That of the saved one is counted when it is saved.
        for &i in judged.order.iter().skip(1) {
            securities.note_of(&name.db, databases[i]);
        }
    }
    let numbers: Vec<u16> = copies.iter().map(|(folder, _)| *folder).collect();
    let order = judged.order.clone();
    let choice = judged.choice(folders, &shard.path, &numbers);
    (order.into_iter().map(|i| copies[i].0).chain(unreadable).collect(), choice)
}

/// The result of comparing copies.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// Numbers of the copies, the best one first.
    pub(super) order: Vec<usize>,
    /// What is known about each copy.
    records: Vec<CopyRecord>,
    /// Whether a copy lacks a purge that another copy has.
    purges_differ: bool,
    /// Whether two copies have the same uuid.
    same_uuid: bool,
}

impl Judged {
    /// The differences to report; `None` if all copies are the same.
    pub(super) fn choice(self, folders: &[NodeFolder], path: &str, numbers: &[u16]) -> Option<Choice> {
        let alike = |record: &CopyRecord| {
            self.records.first().is_some_and(|first| {
                (first.documents, first.deleted, first.purges)
                    == (record.documents, record.deleted, record.purges)
            })
        };
        if !self.purges_differ && !self.same_uuid && self.records.iter().all(alike) {
            return None;
        }
        let in_order = self.order.iter().filter_map(|&i| {
            let folder = &folders[usize::from(*numbers.get(i)?)];
            Some(CopyRecord { node: folder.node_display_name(), ..self.records.get(i)?.clone() })
        });
        Choice::new(path, in_order.collect(), self.purges_differ, self.same_uuid)
    }
}

/// Sorts copies, the best one first.
///
/// A copy on a node that was down lacks documents, or has older revisions of some. So the copy with most documents, including
/// deleted ones, comes first, and among equals the copy that has most changes to send to another copy. If that is equal too, the
/// order stays.
///
/// A copy may also have missed purges: then it has *more* documents than the others. If copies remember different purges, all
/// their documents are compared: the copy that lacks the fewest documents of the others (except purged ones) comes first, and
/// among equals the copy that has the fewest documents that were purged elsewhere. Copies with the same uuid are compared in the
/// same way: internal replication treats them as one copy, so that its checkpoints are useless.
pub(super) fn judge<R: ReadAt>(copies: &[&Database<R>]) -> Judged {
    let mut records: Vec<CopyRecord> = copies.iter().map(|copy| record(copy)).collect();
    let mut judged =
        Judged { same_uuid: has_twins(copies), purges_differ: other_purges(copies), ..Judged::default() };
    let small = records.iter().all(|record| record.documents + record.deleted <= COMPARED);
    let compared =
        (judged.purges_differ || judged.same_uuid) && small && note_differences(copies, &mut records);
    let counts = |record: &CopyRecord| (record.documents, record.deleted, record.purges);
    if judged.same_uuid
        || judged.purges_differ
        || records.windows(2).any(|pair| counts(&pair[0]) != counts(&pair[1]))
    {
        for (i, record) in records.iter_mut().enumerate() {
            record.unsent = Some(unsent(i, copies));
        }
    }
    if compared {
        judged.order = (0..copies.len()).collect();
        judged.order.sort_by_key(|&i| {
            let record = &records[i];
            (
                record.lacks,
                record.unpurged,
                Reverse(record.documents + record.deleted),
                Reverse(record.unsent),
            )
        });
        // Other purges may have come to the same.
        judged.purges_differ = records.iter().any(|record| record.unpurged.unwrap_or(0) > 0);
    } else if judged.purges_differ {
        judged.order = by_sums(&records);
    } else {
        judged.order = rank(copies);
    }
    judged.records = records;
    judged
}

/// The order of copies that remember different purges and are too large to be compared: the sum of documents and purges grows
/// with everything that reaches a copy, writes and purges.
pub(super) fn by_sums(records: &[CopyRecord]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..records.len()).collect();
    order.sort_by_key(|&i| {
        let record = &records[i];
        (Reverse(record.documents + record.deleted + record.purges), Reverse(record.purges))
    });
    order
}

fn record<R: ReadAt>(copy: &Database<R>) -> CopyRecord {
    let (documents, deleted) = copy.counts().unwrap_or_default();
    let purges = copy.header().least_purge_seq(copy.header_offset()).unwrap_or(0);
    CopyRecord { documents, deleted, purges, ..CopyRecord::default() }
}

/// Whether two copies have the same uuid.
fn has_twins<R: ReadAt>(copies: &[&Database<R>]) -> bool {
    let mut seen = HashSet::new();
    copies.iter().filter_map(|copy| copy.header().uuid.as_deref()).any(|uuid| !seen.insert(uuid))
}

/// Whether copies remember different purges. Unreadable data is not a difference: another check finds the damage.
fn other_purges<R: ReadAt>(copies: &[&Database<R>]) -> bool {
    if copies.iter().all(|copy| copy.header().purge_tree.is_none()) {
        return false;
    }
    let uuids: Vec<_> = copies.iter().filter_map(|copy| purge_uuids(copy).ok()).collect();
    uuids.windows(2).any(|pair| pair[0] != pair[1])
}

/// Compares every copy with every other copy. `false` if one cannot be read.
fn note_differences<R: ReadAt>(copies: &[&Database<R>], records: &mut [CopyRecord]) -> bool {
    let mut sides = vec![Side::default(); copies.len()];
    for i in 0..copies.len() {
        for j in i + 1..copies.len() {
            let Ok((one, other)) = compare(copies[i], copies[j]) else { return false };
            for (number, side) in [(i, one), (j, other)] {
                sides[number].lacks = sides[number].lacks.max(side.lacks);
                sides[number].unpurged = sides[number].unpurged.max(side.unpurged);
            }
        }
    }
    for (record, side) in records.iter_mut().zip(sides) {
        record.lacks = Some(side.lacks);
        record.unpurged = Some(side.unpurged);
    }
    true
}

/// Sorts copies by their numbers of documents and by the changes they have to send, ignoring purges.
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

/// The number of changes of a copy that another copy has not received from it. Clients' writes reach all copies at once and are
/// replicated between them some seconds later, so a few changes mean nothing; a copy that was away has none.
fn unsent<R: ReadAt>(i: usize, copies: &[&Database<R>]) -> u64 {
    let others = copies.iter().enumerate().filter(|(other, _)| *other != i);
    let sent = others.map(|(_, other)| {
        let uuid = other.header().uuid.as_deref();
        uuid.and_then(|uuid| sent_to(copies[i], uuid).ok().flatten()).unwrap_or(0)
    });
    sent.min().map_or(0, |sent| copies[i].header().update_seq.saturating_sub(sent))
}

#[cfg(test)]
mod tests {
    use couchfile::writer::{DatabaseWriter, NewBody, NewDocument, Settings};

    use super::*;

    fn first(id: u32) -> NewDocument {
        let term = couchfile::ejson::encode_json(&serde_json::json!({})).unwrap();
        NewDocument::first(
            id.to_string().as_bytes(),
            NewBody { term, deleted: false, attachments: Vec::new() },
        )
    }

    fn copy(uuid: char, documents: std::ops::Range<u32>, purged: std::ops::Range<u32>) -> Vec<u8> {
        let settings = Settings::new(uuid.to_string().repeat(32), "n@h");
        let mut writer = DatabaseWriter::new(Vec::new(), settings).unwrap();
        for id in documents.filter(|id| !purged.contains(id)) {
            writer.add(&first(id)).unwrap();
        }
        for id in purged {
            let document = first(id);
            let revision = (1, document.revisions[0].id.clone());
            writer.add_purge(&id.to_string(), &document.id, &[revision]);
        }
        writer.finish().unwrap()
    }

    fn judged(copies: &[Vec<u8>]) -> Judged {
        let databases: Vec<Database<&[u8]>> =
            copies.iter().map(|copy| Database::open(copy.as_slice()).unwrap()).collect();
        judge(&databases.iter().collect::<Vec<_>>())
    }

    #[test]
    fn the_copy_that_has_purged_more_is_taken_though_it_has_fewer_documents() {
        let found = judged(&[copy('a', 0..50, 0..0), copy('b', 0..50, 0..10), copy('c', 0..50, 0..10)]);
        assert_eq!(found.order[2], 0);
        assert!(found.purges_differ);
        let missed: Vec<_> = found.records.iter().map(|record| record.unpurged).collect();
        assert_eq!(missed, [Some(10), Some(0), Some(0)]);
    }

    #[test]
    fn a_copy_that_lacks_documents_is_not_taken_for_its_purges() {
        let found = judged(&[copy('a', 0..40, 0..10), copy('b', 0..50, 0..0)]);
        assert_eq!(found.order, [1, 0]);
        assert!(found.purges_differ);
        assert_eq!((found.records[0].lacks, found.records[1].lacks), (Some(10), Some(0)));
    }

    #[test]
    fn what_was_written_besides_is_seen_behind_purges() {
        // As many documents, but ten of them purged here and ten new.
        let found = judged(&[copy('a', 0..50, 0..0), copy('b', 0..60, 0..10)]);
        assert_eq!(found.order, [1, 0]);
    }

    #[test]
    fn copies_with_the_same_uuid_are_compared() {
        let found = judged(&[copy('a', 0..40, 0..0), copy('a', 10..50, 0..0)]);
        assert!(found.same_uuid && !found.purges_differ);
        assert_eq!((found.records[0].lacks, found.records[1].lacks), (Some(10), Some(10)));
    }

    #[test]
    fn without_purges_the_copy_with_most_documents_is_taken() {
        assert_eq!(judged(&[copy('a', 0..40, 0..0), copy('b', 0..50, 0..0)]).order, [1, 0]);
    }
}
