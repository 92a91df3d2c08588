//! Proves a database file whole: every tree, every body, every attachment.
//!
//! Tree nodes carry no checksum, so their order, reductions, sizes and the agreement of the trees with each other are
//! what can show damage there; bodies and attachments have checksums of their own.

use crate::btree::{Key, TreeKind};
use crate::data_dir::{self, Range};
use crate::database::Database;
use crate::document::{DocInfo, LocalDocument, Purge};
use crate::error::{CouchFileError, Result};
use crate::read_at::ReadAt;
use crate::revtree::Revision;
use xxhash_rust::xxh3::xxh3_128;

/// So many problems of one file are told in words; the rest are counted.
const MAX_PROBLEMS: usize = 20;

/// What a check found.
#[derive(Debug, Default)]
pub struct Report {
    /// Documents that exist.
    pub documents: u64,
    /// Documents that are deleted.
    pub deleted: u64,
    /// Leaf revisions of both.
    pub leaves: u64,
    /// Bodies read, those of old revisions included.
    pub bodies: u64,
    /// Attachments read.
    pub attachments: u64,
    /// Bytes of them.
    pub attachment_bytes: u64,
    /// Local documents.
    pub local_documents: u64,
    /// Purges remembered.
    pub purges: u64,
    /// What is wrong, in words.
    pub problems: Vec<String>,
    /// How many things are wrong.
    pub problem_count: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.problem_count == 0
    }

    #[allow(clippy::needless_pass_by_value)] // Callers hand over errors and new strings.
    fn problem(&mut self, what: impl std::fmt::Display) {
        self.problem_count += 1;
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(what.to_string());
        }
    }
}

/// The part of the hash space that a shard's documents must lie in.
#[derive(Debug, Clone, Copy)]
pub struct Placement {
    /// The shard's range.
    pub range: Range,
    /// Whether the database is partitioned.
    pub partitioned: bool,
}

/// An order-free fingerprint of a set: sum and number of its members' hashes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fingerprint {
    sum: u128,
    count: u64,
}

impl Fingerprint {
    fn add(&mut self, parts: &[&[u8]], seq: u64) {
        let mut bytes = seq.to_be_bytes().to_vec();
        for part in parts {
            bytes.extend_from_slice(&ReadAt::len(part).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        self.sum = self.sum.wrapping_add(xxh3_128(&bytes));
        self.count += 1;
    }
}

/// Checks everything in a database. Memory does not grow with its size.
///
/// Fails only where bytes cannot be read at all; damage is told in the report.
pub fn check<R: ReadAt>(database: &Database<R>, placement: Option<Placement>) -> Result<Report> {
    let mut report = Report::default();
    settings(database, &mut report)?;
    let in_seq_tree = seq_tree(database, placement, &mut report)?;
    let in_id_tree = id_tree(database, &mut report)?;
    if let (Some(a), Some(b)) = (in_seq_tree, in_id_tree)
        && a != b
    {
        name_disagreements(database, &mut report)?;
    }
    local_tree(database, &mut report)?;
    purge_trees(database, &mut report)?;
    Ok(report)
}

/// Damage becomes a problem in the report (`None`); failed reads stay errors.
fn note<T>(report: &mut Report, result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.is_io() => Err(e),
        Err(e) => {
            report.problem(e);
            Ok(None)
        }
    }
}

fn settings<R: ReadAt>(database: &Database<R>, report: &mut Report) -> Result<()> {
    note(report, database.security_json())?;
    note(report, database.props())?;
    if let Some(ptr) = database.header().legacy_purged_docs {
        note(report, database.blocks().read_term(ptr, "purged revisions"))?;
    }
    let epochs = &database.header().epochs;
    if epochs.windows(2).any(|pair| pair[0].seq <= pair[1].seq) {
        report.problem("the header's epochs are not in strictly descending order");
    }
    Ok(())
}

fn seq_tree<R: ReadAt>(
    database: &Database<R>,
    placement: Option<Placement>,
    report: &mut Report,
) -> Result<Option<Fingerprint>> {
    let mut found = Fingerprint::default();
    let Some(cursor) = note(report, database.cursor(TreeKind::Seq))? else { return Ok(None) };
    let mut cursor = cursor.checking();
    loop {
        let entry = match cursor.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => return Ok(Some(found)),
            Err(e) => {
                note(report, Err::<(), _>(e))?;
                return Ok(None);
            }
        };
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
                report.problem(format!(
                    "{}: does not belong into the range {}",
                    quoted(doc.id),
                    placement.range
                ));
            }
        }
        let Some(tree) = &doc.revisions else { continue };
        found.add(&[doc.id, doc.shared], doc.seq);
        for revision in tree.revisions() {
            revision_body(database, &doc, revision, report)?;
        }
    }
}

fn revision_body<R: ReadAt>(
    database: &Database<R>,
    doc: &DocInfo<'_>,
    revision: &Revision<'_>,
    report: &mut Report,
) -> Result<()> {
    let leaf = revision.children == 0;
    report.leaves += u64::from(leaf);
    let Some(stored) = &revision.stored else {
        if leaf {
            report.problem(format!("{} {revision}: the leaf has no body", quoted(doc.id)));
        }
        return Ok(());
    };
    if leaf && stored.seq > doc.seq {
        report.problem(format!("{} {revision}: its sequence is beyond its document's", quoted(doc.id)));
    }
    // Old revisions keep their place in the tree after a compaction dropped their body.
    let Some(ptr) = stored.summary else { return Ok(()) };
    if ptr == 0 && !leaf {
        return Ok(());
    }
    let summary = match database.summary(stored) {
        Ok(summary) => summary,
        Err(e) if e.is_io() => return Err(e),
        Err(e) => {
            report.problem(format!("{} {revision}: {e}", quoted(doc.id)));
            return Ok(());
        }
    };
    report.bodies += 1;
    if !leaf {
        // Its attachments are mostly those of its descendants, which are read there.
        return Ok(());
    }
    for attachment in &summary.attachments {
        match database.attachment(attachment, |_| Ok(())) {
            Ok(()) => {
                report.attachments += 1;
                report.attachment_bytes += attachment.stored_len;
            }
            Err(e) if e.is_io() => return Err(e),
            Err(e) => {
                report.problem(format!(
                    "{} {revision}: attachment \"{}\": {e}",
                    quoted(doc.id),
                    attachment.name
                ));
            }
        }
    }
    Ok(())
}

fn id_tree<R: ReadAt>(database: &Database<R>, report: &mut Report) -> Result<Option<Fingerprint>> {
    let mut found = Fingerprint::default();
    let Some(cursor) = note(report, database.cursor(TreeKind::Id))? else { return Ok(None) };
    let mut cursor = cursor.checking();
    let mut bodies_elsewhere = true;
    loop {
        let entry = match cursor.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => return Ok(bodies_elsewhere.then_some(found)),
            Err(e) => {
                note(report, Err::<(), _>(e))?;
                return Ok(None);
            }
        };
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
        found.add(&[doc.id, doc.shared], doc.seq);
        // The seq tree of files from before CouchDB 1.2 holds no revision trees: bodies are read from here then.
        if database.header().disk_version < 6 {
            bodies_elsewhere = false;
            for revision in tree.revisions() {
                revision_body(database, &doc, revision, report)?;
            }
        }
    }
}

/// Says which documents the two main trees disagree about.
fn name_disagreements<R: ReadAt>(database: &Database<R>, report: &mut Report) -> Result<()> {
    let before = report.problem_count;
    let compared = database.for_each_document(|doc| -> Result<()> {
        let mut key = crate::term::Encoder::new();
        key.uint(doc.seq);
        let root = database.header().seq_tree.as_ref();
        let mut cursor =
            crate::btree::Cursor::starting_at(database.blocks(), TreeKind::Seq, root, key.finish())?;
        let same = match cursor.next_entry()? {
            Some(entry) if entry.key == Key::Seq(doc.seq) => DocInfo::from_seq_tree(&entry)
                .is_ok_and(|other| other.id == doc.id && other.shared == doc.shared),
            _ => false,
        };
        if !same {
            report.problem(format!("{}: the id tree and the seq tree disagree about it", quoted(doc.id)));
        }
        Ok(())
    });
    note(report, compared)?;
    if report.problem_count == before {
        report.problem("the seq tree holds documents that the id tree does not know");
    }
    Ok(())
}

fn local_tree<R: ReadAt>(database: &Database<R>, report: &mut Report) -> Result<()> {
    let Some(cursor) = note(report, database.cursor(TreeKind::Local))? else { return Ok(()) };
    let mut cursor = cursor.checking();
    loop {
        match cursor.next_entry() {
            Ok(Some(entry)) => match LocalDocument::from_entry(&entry) {
                Ok(_) => report.local_documents += 1,
                Err(e) => report.problem(format!("local document {}: {e}", entry.key)),
            },
            Ok(None) => return Ok(()),
            Err(e) => return note(report, Err::<(), _>(e)).map(|_| ()),
        }
    }
}

fn purge_trees<R: ReadAt>(database: &Database<R>, report: &mut Report) -> Result<()> {
    let mut prints = Vec::new();
    for kind in [TreeKind::Purge, TreeKind::PurgeSeq] {
        let Some(cursor) = note(report, database.cursor(kind))? else { return Ok(()) };
        let mut cursor = cursor.checking();
        let mut print = Fingerprint::default();
        loop {
            match cursor.next_entry() {
                Ok(Some(entry)) => match Purge::from_entry(&entry) {
                    Ok(purge) => {
                        let mut parts = vec![purge.uuid, purge.id];
                        let generations: Vec<_> =
                            purge.revisions.iter().map(|(generation, _)| generation.to_be_bytes()).collect();
                        for ((_, id), generation) in purge.revisions.iter().zip(&generations) {
                            parts.extend([generation.as_slice(), id.0]);
                        }
                        print.add(&parts, purge.seq);
                    }
                    Err(e) => report.problem(format!("entry of the {} at {}: {e}", kind.name(), entry.key)),
                },
                Ok(None) => break,
                Err(e) => return note(report, Err::<(), _>(e)).map(|_| ()),
            }
        }
        prints.push(print);
    }
    report.purges = prints.first().map_or(0, |print| print.count);
    if prints.first() != prints.last() {
        report.problem("the two purge trees disagree");
    }
    Ok(())
}

fn quoted(id: &[u8]) -> String {
    format!("document \"{}\"", String::from_utf8_lossy(id))
}

/// Checks a source from the header on.
///
/// Fails where it cannot be opened as a database at all.
pub fn check_file<R: ReadAt>(source: R, placement: Option<Placement>) -> Result<Report, CouchFileError> {
    check(&Database::open(source)?, placement)
}
