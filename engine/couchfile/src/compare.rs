//! How two copies of the same shard differ: which documents one copy has and the other lacks, and what was purged in one
//! copy only.
//!
//! A purged revision that a copy still has is not something that the other one lacks: it was removed there on purpose.
//! Source for what a purge record says: `couch_bt_engine.erl` (`purge_seq_tree_split/1`), `mem3_rep.erl` (`pull_purges/5`).

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use crate::btree::{Cursor, Entry, Key, TreeKind};
use crate::database::Database;
use crate::document::{DocInfo, Purge};
use crate::error::{CouchFileError, Result};
use crate::read_at::ReadAt;

/// What one copy says against the other one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Side {
    /// Documents of which the other copy has a revision that this one neither has nor purged.
    pub lacks: u64,
    /// Documents of which this copy has a revision that was purged on the other one.
    pub unpurged: u64,
}

/// Purged revisions by document.
type Purged = HashMap<Vec<u8>, HashSet<(u64, Vec<u8>)>>;

/// The uuids of the purges that a copy remembers. Two copies with equal uuids have purged the same documents.
pub fn purge_uuids<R: ReadAt>(copy: &Database<R>) -> Result<HashSet<Vec<u8>>> {
    let mut uuids = HashSet::new();
    copy.for_each_purge(|purge: &Purge<'_>| -> Result<()> {
        uuids.insert(purge.uuid.to_vec());
        Ok(())
    })?;
    Ok(uuids)
}

/// Compares all documents of two copies. Reads both id trees; memory: the remembered purges.
pub fn compare<A: ReadAt, B: ReadAt>(one: &Database<A>, other: &Database<B>) -> Result<(Side, Side)> {
    let (one_purged, other_purged) = (purged(one)?, purged(other)?);
    let mut sides = (Side::default(), Side::default());
    in_step(one, other, TreeKind::Id, |pair| {
        let (id, ones, others) = match pair {
            Pair::Both(a, b) => (a.key, Some(info(a)?), Some(info(b)?)),
            Pair::One(a) => (a.key, Some(info(a)?), None),
            Pair::Other(b) => (b.key, None, Some(info(b)?)),
        };
        let Key::Bytes(id) = id else { return Ok(()) };
        judge(ones.as_ref(), others.as_ref(), one_purged.get(id), &mut sides.0.lacks, &mut sides.1.unpurged);
        judge(
            others.as_ref(),
            ones.as_ref(),
            other_purged.get(id),
            &mut sides.1.lacks,
            &mut sides.0.unpurged,
        );
        Ok(())
    })?;
    Ok(sides)
}

/// Looks at what `theirs` has of a document and `ours` has not: purged here, or lacking here.
fn judge(
    ours: Option<&DocInfo<'_>>,
    theirs: Option<&DocInfo<'_>>,
    purged_here: Option<&HashSet<(u64, Vec<u8>)>>,
    lacks: &mut u64,
    unpurged_there: &mut u64,
) {
    let Some(theirs) = theirs.and_then(|theirs| theirs.revisions.as_ref()) else { return };
    let known = ours.and_then(|ours| ours.revisions.as_ref()).map_or(&[][..], |tree| tree.revisions());
    let (mut is_lacking, mut is_unpurged) = (false, false);
    // A document that was edited more often than `revs_limit` has forgotten its first revisions, not missed them.
    let roots = known.iter().filter(|known| known.parent.is_none());
    let forgotten = roots.map(|root| root.generation).max().unwrap_or(0);
    for leaf in theirs.leaves() {
        if leaf.generation < forgotten {
            continue;
        }
        if known.iter().any(|known| known.generation == leaf.generation && known.id == leaf.id) {
            continue;
        }
        if purged_here.is_some_and(|purged| purged.contains(&(leaf.generation, leaf.id.0.to_vec()))) {
            is_unpurged = true;
        } else {
            is_lacking = true;
        }
    }
    *lacks += u64::from(is_lacking);
    *unpurged_there += u64::from(is_unpurged);
}

fn purged<R: ReadAt>(copy: &Database<R>) -> Result<Purged> {
    let mut purged = Purged::new();
    copy.for_each_purge(|purge: &Purge<'_>| -> Result<()> {
        let revisions = purge.revisions.iter().map(|(generation, id)| (*generation, id.0.to_vec()));
        purged.entry(purge.id.to_vec()).or_default().extend(revisions);
        Ok(())
    })?;
    Ok(purged)
}

fn info<'e>(entry: &Entry<'e>) -> Result<DocInfo<'e>> {
    DocInfo::from_id_tree(entry)
        .map_err(|e| CouchFileError::damaged("entry of the id tree", 0, format!("{}: {e}", entry.key)))
}

/// What two trees have under one key.
pub enum Pair<'p, 'e> {
    /// Both have an entry.
    Both(&'p Entry<'e>, &'p Entry<'e>),
    /// Only the first one has.
    One(&'p Entry<'e>),
    /// Only the second one has.
    Other(&'p Entry<'e>),
}

/// Goes through the same tree of two files side by side, in the order of its keys, which are texts or sequences.
pub fn in_step<A: ReadAt, B: ReadAt>(
    one: &Database<A>,
    other: &Database<B>,
    kind: TreeKind,
    mut each: impl FnMut(Pair<'_, '_>) -> Result<()>,
) -> Result<()> {
    let (mut ones, mut others): (Cursor<'_, A>, Cursor<'_, B>) = (one.cursor(kind)?, other.cursor(kind)?);
    let (mut a, mut b) = (ones.next_entry()?, others.next_entry()?);
    loop {
        let order = match (&a, &b) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => match (&a.key, &b.key) {
                (Key::Bytes(a), Key::Bytes(b)) => a.cmp(b),
                (Key::Seq(a), Key::Seq(b)) => a.cmp(b),
                _ => return Err(CouchFileError::damaged(kind.name(), 0, "keys of two kinds")),
            },
        };
        match (order, &a, &b) {
            (Ordering::Equal, Some(one), Some(other)) => each(Pair::Both(one, other))?,
            (Ordering::Less, Some(one), _) => each(Pair::One(one))?,
            (_, _, Some(other)) => each(Pair::Other(other))?,
            _ => {}
        }
        if order != Ordering::Greater {
            a = ones.next_entry()?;
        }
        if order != Ordering::Less {
            b = others.next_entry()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ejson::encode_json;
    use crate::writer::{DatabaseWriter, NewBody, NewDocument, Settings};

    fn body(v: u32) -> NewBody {
        let term = encode_json(&json!({"v": v})).unwrap();
        NewBody { term, deleted: false, attachments: Vec::new() }
    }

    /// Documents with so many revisions each, and purges of first revisions.
    fn copy(documents: &[(&str, u32)], purges: &[&str]) -> Vec<u8> {
        let mut writer = DatabaseWriter::new(Vec::new(), Settings::new("a".repeat(32), "n@h")).unwrap();
        for (id, revisions) in documents {
            let mut document = NewDocument::first(id.as_bytes(), body(1));
            for revision in 2..=*revisions {
                document.edit(revision as usize - 2, body(revision)).unwrap();
            }
            writer.add(&document).unwrap();
        }
        for id in purges {
            let document = NewDocument::first(id.as_bytes(), body(1));
            let revision = &document.revisions[0];
            writer.add_purge(&format!("uuid of {id}"), id.as_bytes(), &[(1, revision.id.clone())]);
        }
        writer.finish().unwrap()
    }

    fn compared(one: &[u8], other: &[u8]) -> ((u64, u64), (u64, u64)) {
        let open = |bytes| Database::open(bytes).unwrap();
        let (one, other) = compare(&open(one), &open(other)).unwrap();
        ((one.lacks, one.unpurged), (other.lacks, other.unpurged))
    }

    #[test]
    fn copies_that_are_the_same_lack_nothing() {
        let file = copy(&[("a", 1), ("b", 3)], &["c"]);
        assert_eq!(compared(&file, &file), ((0, 0), (0, 0)));
    }

    #[test]
    fn a_purge_that_one_copy_missed_is_no_lack_of_the_other() {
        let purged = copy(&[("a", 1)], &["b", "c"]);
        let missed = copy(&[("a", 1), ("b", 1), ("c", 1)], &[]);
        assert_eq!(compared(&purged, &missed), ((0, 0), (0, 2)));
        assert_eq!(compared(&missed, &purged), ((0, 2), (0, 0)));
    }

    #[test]
    fn what_was_written_after_a_purge_is_lacking() {
        let purged = copy(&[("a", 1), ("new", 1)], &["b"]);
        let missed = copy(&[("a", 2), ("b", 2), ("c", 1)], &[]);
        // Of b the second revision was not purged, of a the second one is unknown to the first copy, c as well.
        assert_eq!(compared(&purged, &missed), ((3, 0), (1, 0)));
    }

    #[test]
    fn an_older_revision_is_behind_a_newer_one() {
        assert_eq!(compared(&copy(&[("a", 1)], &[]), &copy(&[("a", 2)], &[])), ((1, 0), (0, 0)));
    }

    #[test]
    fn revisions_that_a_document_has_forgotten_are_not_lacking() {
        let mut document = NewDocument::first(b"a", body(1));
        for revision in 2..=10 {
            document.edit(revision as usize - 2, body(revision)).unwrap();
        }
        // As with `_revs_limit` 3.
        document.revisions.drain(..7);
        for revision in &mut document.revisions {
            revision.parent = revision.parent.and_then(|parent| parent.checked_sub(7));
        }
        let mut writer = DatabaseWriter::new(Vec::new(), Settings::new("b".repeat(32), "n@h")).unwrap();
        writer.add(&document).unwrap();
        let newer = writer.finish().unwrap();
        assert_eq!(compared(&newer, &copy(&[("a", 2)], &[])), ((0, 0), (1, 0)));
        assert_eq!(compared(&newer, &copy(&[("a", 10)], &[])), ((0, 0), (0, 0)));
    }

    #[test]
    fn many_documents_side_by_side() {
        let ids: Vec<String> = (0..3000).map(|i| format!("{i:05}")).collect();
        let all: Vec<(&str, u32)> = ids.iter().map(|id| (id.as_str(), 1)).collect();
        let even: Vec<(&str, u32)> = all.iter().copied().step_by(2).collect();
        assert_eq!(compared(&copy(&even, &[]), &copy(&all, &[])), ((1500, 0), (0, 0)));
        assert_eq!(compared(&copy(&[], &[]), &copy(&all, &[])), ((3000, 0), (0, 0)));
    }
}
