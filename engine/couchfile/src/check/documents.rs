//! The id tree and the sequence tree, each on its own and against the other.

use xxhash_rust::xxh3::xxh3_128;

use super::bodies::{self, Hand};
use super::report::Report;
use super::{Placement, in_parts, note, quoted};
use crate::btree::{Cursor, Fault, Key, LostKeys, TreeKind};
use crate::data_dir;
use crate::database::Database;
use crate::document::DocInfo;
use crate::error::Result;
use crate::read_at::ReadAt;

/// An order-free fingerprint of a set: sum and number of its members' hashes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint {
    sum: u128,
    pub(super) count: u64,
}

impl Fingerprint {
    fn merge(&mut self, other: &Self) {
        self.sum = self.sum.wrapping_add(other.sum);
        self.count += other.count;
    }

    pub(super) fn add(&mut self, parts: &[&[u8]], seq: u64) {
        let length = parts.iter().map(|part| 8 + <[u8]>::len(part)).sum::<usize>();
        let mut bytes = Vec::with_capacity(8 + length);
        bytes.extend_from_slice(&seq.to_be_bytes());
        for part in parts {
            bytes.extend_from_slice(&ReadAt::len(part).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        self.sum = self.sum.wrapping_add(xxh3_128(&bytes));
        self.count += 1;
    }
}

/// What a walk over one of the two trees found.
#[derive(Debug, Default)]
struct Walked {
    /// Of entries with all that CouchDB 3 writes.
    full: Fingerprint,
    /// Of entries without the sizes, which older files lack in the sequence tree.
    bare: Fingerprint,
    /// Entries without sizes.
    short: u64,
    /// Entries without revision trees; only the sequence tree of files from before CouchDB 1.2 has them.
    treeless: u64,
    lost: Vec<LostKeys>,
}

impl Walked {
    fn add(&mut self, doc: &DocInfo<'_>) {
        self.full.add(&[doc.id, doc.shared], doc.seq);
        self.bare.add(&[doc.id, &[u8::from(doc.deleted)], doc.tree], doc.seq);
        self.short += u64::from(!doc.has_sizes);
        self.treeless += u64::from(doc.revisions.is_none());
    }

    /// Puts together what was found in the parts of a tree.
    fn merge(parts: Vec<Self>) -> Self {
        let mut all = Self::default();
        for part in parts {
            all.full.merge(&part.full);
            all.bare.merge(&part.bare);
            all.short += part.short;
            all.treeless += part.treeless;
            all.lost.extend(part.lost);
        }
        all
    }

    fn has_lost(&self, key: &Key<'_>) -> bool {
        self.lost.iter().any(|lost| lost.contains(key))
    }

    /// Reports damaged nodes. `what` names the entries, `so` says what is not possible with them.
    fn note_faults(&mut self, faults: Vec<Fault>, what: &str, so: &str, report: &mut Report) {
        for Fault { why, lost } in faults {
            match lost {
                None => report.problem(why),
                Some(lost) => {
                    report.problem(format!("{why}; {} {what} {lost} {so}", lost.entries));
                    self.lost.push(lost);
                }
            }
        }
    }
}

/// Checks both trees and all bodies.
pub(super) fn check<R: ReadAt>(
    database: &Database<R>,
    placement: Option<Placement>,
    threads: usize,
    report: &mut Report,
) -> Result<()> {
    let by_seq = Walked::merge(match in_parts::cut(database, TreeKind::Seq, threads)? {
        None => bodies::walk_with(database, threads, report, |report, hand| {
            let cursor = database.cursor_around_damage(TreeKind::Seq)?.checking();
            Ok(vec![seq_tree(database, placement, cursor, report, hand)?])
        })?,
        parts => {
            in_parts::walk(database, TreeKind::Seq, parts.as_deref(), threads, report, |cursor, report| {
                let mut hand = |doc: &DocInfo<'_>, _: &[u8], report: &mut Report| {
                    bodies::of_document(database, doc, report)
                };
                seq_tree(database, placement, cursor, report, &mut hand)
            })?
        }
    });
    let parts = in_parts::cut(database, TreeKind::Id, threads)?;
    let by_id = Walked::merge(in_parts::walk(
        database,
        TreeKind::Id,
        parts.as_deref(),
        threads,
        report,
        |cursor, report| id_tree(database, cursor, &by_seq, report),
    )?);
    if !by_id.lost.is_empty() {
        return name_lost_ids(database, &by_id, report);
    }
    let alike = by_seq.full == by_id.full || (by_seq.short > 0 && by_seq.bare == by_id.bare);
    if by_seq.lost.is_empty() && !alike {
        name_disagreements(database, by_seq.full.count == by_id.full.count, report)?;
    }
    Ok(())
}

fn seq_tree<R: ReadAt>(
    database: &Database<R>,
    placement: Option<Placement>,
    mut cursor: Cursor<'_, R>,
    report: &mut Report,
    hand: &mut Hand<'_>,
) -> Result<Walked> {
    let mut walked = Walked::default();
    while let Some(entry) = cursor.next_entry()? {
        let doc = match DocInfo::from_seq_tree(&entry) {
            Ok(doc) => doc,
            Err(e) => {
                report.problem(format!("entry of the seq tree at {}: {e}", entry.key));
                continue;
            }
        };
        if doc.seq > database.header().update_seq {
            report.problem(format!(
                "{}: its sequence {} is beyond the database's, {}",
                quoted(doc.id),
                doc.seq,
                database.header().update_seq
            ));
        }
        if let Some(placement) = placement {
            let hash = data_dir::document_hash(doc.id, placement.partitioned);
            if !placement.range.contains(hash) {
                report.misplaced(doc.id, placement.range);
            }
        }
        walked.add(&doc);
        hand(&doc, entry.value, report)?;
    }
    let faults = cursor.take_faults();
    walked.note_faults(faults, "changes", "cannot be read", report);
    Ok(walked)
}

fn id_tree<R: ReadAt>(
    database: &Database<R>,
    mut cursor: Cursor<'_, R>,
    by_seq: &Walked,
    report: &mut Report,
) -> Result<Walked> {
    let mut walked = Walked::default();
    while let Some(entry) = cursor.next_entry()? {
        let doc = match DocInfo::from_id_tree(&entry) {
            Ok(doc) => doc,
            Err(e) => {
                report.problem(format!("entry of the id tree at {}: {e}", entry.key));
                continue;
            }
        };
        report.documents += u64::from(!doc.deleted);
        report.deleted += u64::from(doc.deleted);
        let Some(tree) = &doc.revisions else { continue };
        if tree.is_deleted() != doc.deleted {
            report.problem(format!("{}: its deleted flag does not fit its revisions", quoted(doc.id)));
        }
        if !tree.is_ordered() {
            report.problem(format!("{}: its revision tree is out of order", quoted(doc.id)));
        }
        walked.add(&doc);
        let lost = by_seq.has_lost(&Key::Seq(doc.seq));
        if lost {
            report.problem(format!("{}: its change cannot be read", quoted(doc.id)));
        }
        if lost || (by_seq.treeless > 0 && is_treeless(database, &doc)?) {
            bodies::of_document(database, &doc, report)?;
        }
    }
    let faults = cursor.take_faults();
    walked.note_faults(faults, "documents", "cannot be found by their ids", report);
    Ok(walked)
}

/// A document's entry of the sequence tree, handed to `found`; `None` if there is none of this document.
fn in_seq_tree<R: ReadAt, T>(
    database: &Database<R>,
    doc: &DocInfo<'_>,
    found: impl FnOnce(&DocInfo<'_>) -> T,
) -> Result<Option<T>> {
    let mut cursor = database.cursor_from(TreeKind::Seq, Key::Seq(doc.seq))?;
    Ok(match cursor.next_entry()? {
        Some(entry) if entry.key == Key::Seq(doc.seq) => {
            DocInfo::from_seq_tree(&entry).ok().map(|other| found(&other))
        }
        _ => None,
    })
}

/// Whether the sequence tree does not hold the revisions of a document, so that their bodies have not been checked there.
fn is_treeless<R: ReadAt>(database: &Database<R>, doc: &DocInfo<'_>) -> Result<bool> {
    match in_seq_tree(database, doc, |other| other.revisions.is_none()) {
        Ok(found) => Ok(found.unwrap_or(true)),
        Err(e) if e.is_io() => Err(e),
        Err(_) => Ok(true),
    }
}

/// Says which documents the two trees disagree about. What counts is what entries mean: older files have other forms of them.
fn name_disagreements<R: ReadAt>(
    database: &Database<R>,
    equally_many: bool,
    report: &mut Report,
) -> Result<()> {
    let before = report.problem_count;
    let compared = database.for_each_document(|doc| -> Result<()> {
        let same = in_seq_tree(database, doc, |other| doc.means_the_same(other))?;
        if same != Some(true) {
            report.problem(format!("{}: the id tree and the seq tree disagree about it", quoted(doc.id)));
        }
        Ok(())
    });
    note(report, compared)?;
    if report.problem_count == before && !equally_many {
        report.problem("the seq tree holds documents that the id tree does not know");
    }
    Ok(())
}

/// Says which documents cannot be found by their ids, as far as the sequence tree knows them.
fn name_lost_ids<R: ReadAt>(database: &Database<R>, by_id: &Walked, report: &mut Report) -> Result<()> {
    let mut cursor = database.cursor_around_damage(TreeKind::Seq)?;
    while let Some(entry) = cursor.next_entry()? {
        let Ok(doc) = DocInfo::from_seq_tree(&entry) else { continue };
        if by_id.has_lost(&Key::Bytes(doc.id)) {
            report.problem(format!("{}: it cannot be found by its id", quoted(doc.id)));
        }
    }
    Ok(())
}
