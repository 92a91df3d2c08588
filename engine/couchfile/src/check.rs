//! Verifies a database file completely: every tree, every body, every attachment.
//!
//! Tree nodes carry no checksum, so their order, reductions, sizes and the agreement of the trees with each other are
//! what can show damage there; bodies and attachments have checksums of their own. A damaged node does not end the check: what
//! lies behind it is read, and what it hides is named.

mod bodies;
mod documents;
mod in_parts;
mod report;

use crate::btree::TreeKind;
use crate::data_dir::Range;
use crate::database::Database;
use crate::document::{LocalDocument, Purge};
use crate::error::{CouchFileError, Result};
use crate::read_at::ReadAt;

use documents::Fingerprint;
pub use report::{Misplaced, Report};

/// The part of the hash space that a shard's documents must lie in.
#[derive(Debug, Clone, Copy)]
pub struct Placement {
    /// The shard's range.
    pub range: Range,
    /// Whether the database is partitioned.
    pub partitioned: bool,
}

/// Checks everything in a database. Memory does not grow with its size.
///
/// Fails only if bytes cannot be read at all; damage is recorded in the report.
pub fn check<R: ReadAt>(database: &Database<R>, placement: Option<Placement>) -> Result<Report> {
    check_with(database, placement, 1)
}

/// Checks a file on up to `threads` threads: each takes subtrees with the bodies and attachments of their documents.
pub fn check_with<R: ReadAt>(
    database: &Database<R>,
    placement: Option<Placement>,
    threads: usize,
) -> Result<Report> {
    let mut report = Report::default();
    settings(database, &mut report)?;
    documents::check(database, placement, threads, &mut report)?;
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
    note(report, database.time_seq())?;
    if let Some(ptr) = database.header().legacy_purged_docs {
        note(report, database.blocks().read_term(ptr, "purged revisions"))?;
    }
    let epochs = &database.header().epochs;
    if epochs.windows(2).any(|pair| pair[0].seq <= pair[1].seq) {
        report.problem("the header's epochs are not in strictly descending order");
    }
    Ok(())
}

fn local_tree<R: ReadAt>(database: &Database<R>, report: &mut Report) -> Result<()> {
    let mut cursor = database.cursor_around_damage(TreeKind::Local)?.checking();
    while let Some(entry) = cursor.next_entry()? {
        match LocalDocument::from_entry(&entry) {
            Ok(_) => report.local_documents += 1,
            Err(e) => report.problem(format!("local document {}: {e}", entry.key)),
        }
    }
    for fault in cursor.take_faults() {
        match fault.lost {
            None => report.problem(fault.why),
            Some(lost) => {
                report.problem(format!("{}; local documents {lost} cannot be read", fault.why));
            }
        }
    }
    Ok(())
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
/// Fails if it cannot be opened as a database at all.
pub fn check_file<R: ReadAt>(source: R, placement: Option<Placement>) -> Result<Report, CouchFileError> {
    check(&Database::open(source)?, placement)
}
