//! The revisions of a document that can still be read, in all states of its files.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write;

use contents::unusable;
use couchfile::btree::Sizes;
use couchfile::document::DocInfo;
use couchfile::states::{Span, State};
use couchfile::time_table::TimeTable;
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Code, Failure, Result, printable, with_causes};
use serde::Serialize;
use snapshot::SnapshotDatabase;
use store::Place;

use super::copies::{Copies, Lineage};
use super::time_text;
use crate::documents::write;

/// The most revisions that are collected: a document has a thousand at most, unless somebody has raised its limit.
const MOST: usize = 100_000;

/// How many revisions were found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Revisions {
    /// Revisions that can be read.
    pub readable: u64,
    /// Files that could not be read to their ends.
    pub damaged: u64,
}

/// A revision that can be read.
#[derive(Debug, Clone, Serialize)]
struct Line {
    rev: String,
    deleted: bool,
    /// Bytes of its body as JSON and its attachments, as CouchDB counts them; 0 if the file does not record it.
    bytes: u64,
    /// The sequence at which it was written.
    written: u64,
    first: Seen,
    last: Seen,
    /// Where it can be read.
    backup: String,
    /// The file there.
    shard: String,
    /// The sequence at which it can be read there; `None`: in the newest state.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_seq: Option<u64>,
}

/// When a revision was seen.
#[derive(Debug, Clone, Serialize)]
struct Seen {
    sequence: u64,
    /// Not before this time, according to the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// The first or the last backup that saved it in its newest state.
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    begun: Option<String>,
}

/// Writes every revision of a document that can be read in any state of any file, the highest generation first. `db` is `None` if
/// the place is a `.couch` file.
///
/// Fails if no revision can be read.
pub fn document_history(
    place: &Place,
    db: Option<&str>,
    id: &str,
    json: bool,
    threads: usize,
    reporter: &dyn Reporter,
    out: &mut dyn Write,
) -> Result<Revisions> {
    let copies = Copies::open(place, db, threads)?;
    let mut found = Found { copies: &copies, lines: HashMap::new() };
    let mut damaged = 0;
    for lineage in copies.lineages(Some(id), reporter)? {
        if let Err(e) = found.search(&lineage, id, reporter) {
            damaged += 1;
            reporter.notice(&Notice { severity: Severity::Problem, text: with_causes(&e) });
        }
    }
    let mut lines: Vec<Line> = found.lines.into_values().collect();
    if lines.is_empty() {
        return Err(Failure::refused(
            Code::new("CC-H10"),
            format!("no state of {} in {place} holds a document {id}", db.unwrap_or("the database")),
            "A compaction removes older states, and purged documents with them. An older backup may hold the document.",
        ));
    }
    let generation = |rev: &str| rev.split('-').next().and_then(|g| g.parse::<u64>().ok()).unwrap_or(0);
    lines.sort_by(|a, b| {
        (generation(&b.rev), b.written, &b.rev).cmp(&(generation(&a.rev), a.written, &a.rev))
    });
    if !json {
        write(
            out,
            format!("{:<36} {:>11}  {:<40} last seen\n", "revision", "bytes", "first seen").as_bytes(),
        )?;
    }
    for line in &lines {
        let text = if json {
            serde_json::to_string(line).map_err(|e| Failure::bug(e.to_string()))?
        } else {
            text(line, copies.is_repository())
        };
        write(out, text.as_bytes())?;
        write(out, b"\n")?;
    }
    Ok(Revisions { readable: lines.len() as u64, damaged })
}

fn text(line: &Line, is_repository: bool) -> String {
    let seen = |seen: &Seen| {
        let mut text = format!("sequence {}", seen.sequence);
        if let Some(since) = &seen.since {
            let _ = write!(text, ", not before {since}");
        }
        if let Some(begun) = &seen.begun {
            let _ = write!(text, ", backup of {begun}");
        }
        text
    };
    let mut text = format!(
        "{:<36} {:>11}  {:<40} {}",
        printable(&line.rev),
        line.bytes,
        seen(&line.first),
        seen(&line.last)
    );
    if line.deleted {
        text.push_str("  (deleted)");
    }
    if is_repository {
        let _ = write!(text, "  in {}", line.backup);
    }
    text
}

struct Found<'c> {
    copies: &'c Copies,
    lines: HashMap<String, Line>,
}

impl Found<'_> {
    /// Collects the revisions in the states of a file.
    fn search(&mut self, lineage: &Lineage, id: &str, reporter: &dyn Reporter) -> Result<()> {
        let copies = self.copies;
        copies.with(&lineage.copy, reporter, |file| {
            let newest = file.header_offset();
            let times = file.time_table().unwrap_or_default();
            let failed =
                |e| unusable(format!("{} in {}", lineage.copy.path, copies.name_of(lineage.copy.backup)), e);
            let each = |document: &DocInfo<'_>, span: &Span| {
                self.note(document, span, lineage, &times, span.newest.offset == newest);
                Ok::<bool, couchfile::CouchFileError>(true)
            };
            file.document_history(id.as_bytes(), each).map_err(failed)
        })
    }

    /// Notes the revisions of a document in some states.
    fn note(
        &mut self,
        document: &DocInfo<'_>,
        span: &Span,
        lineage: &Lineage,
        times: &TimeTable,
        is_newest: bool,
    ) {
        let Some(tree) = &document.revisions else { return };
        // Backups of which the newest state is one of these.
        let within =
            |mark: &&super::copies::Mark| (span.oldest.offset..=span.newest.offset).contains(&mark.offset);
        let last = lineage.marks.iter().find(within).map(|mark| mark.backup);
        let first = lineage.marks.iter().rev().find(within).map(|mark| mark.backup);
        for revision in tree.revisions() {
            let Some(stored) = revision.stored.filter(|stored| stored.summary.is_some()) else { continue };
            let rev = revision.to_string();
            let first = self.seen(&span.oldest, first, times);
            if let Some(line) = self.lines.get_mut(&rev) {
                // Which of the backups was the first is known of any of the states in which it was.
                let backup = line.first.backup.take().zip(line.first.begun.take());
                line.first = first;
                if let (None, Some((backup, begun))) = (&line.first.backup, backup) {
                    (line.first.backup, line.first.begun) = (Some(backup), Some(begun));
                }
                if line.last.backup.is_none()
                    && let Some(last) = last
                {
                    line.last.backup = Some(self.copies.name_of(last));
                    line.last.begun = self.copies.begun(last).map(str::to_owned);
                }
                continue;
            }
            if self.lines.len() >= MOST {
                continue;
            }
            let Sizes { external, .. } = stored.sizes;
            let line = Line {
                deleted: stored.deleted,
                bytes: external,
                written: stored.seq,
                first,
                last: self.seen(&span.newest, last, times),
                backup: self.copies.name_of(lineage.copy.backup),
                shard: lineage.copy.path.clone(),
                at_seq: (!is_newest).then_some(span.newest.seq()),
                rev: rev.clone(),
            };
            self.lines.insert(rev, line);
        }
    }

    fn seen(&self, state: &State, backup: Option<usize>, times: &TimeTable) -> Seen {
        let begun = backup.and_then(|backup| self.copies.begun(backup)).map(str::to_owned);
        Seen {
            sequence: state.seq(),
            since: times.since(state.seq()).and_then(time_text),
            backup: backup.filter(|_| begun.is_some()).map(|backup| self.copies.name_of(backup)),
            begun,
        }
    }
}

/// The database in the newest state in which a revision of a document can be read; `None` if there is none.
pub(crate) fn find_revision(
    database: &SnapshotDatabase,
    id: &str,
    rev: &str,
) -> Result<Option<SnapshotDatabase>> {
    let rev = rev.to_ascii_lowercase();
    for number in database.shards_of(id) {
        let file = database.shard(number)?;
        let mut end = None;
        file.document_history(id.as_bytes(), |document: &DocInfo<'_>, span: &Span| {
            let mut revisions = document.revisions.iter().flat_map(couchfile::revtree::RevTree::revisions);
            let is_here = revisions.any(|revision| {
                revision.stored.is_some_and(|stored| stored.summary.is_some()) && revision.to_string() == rev
            });
            end = is_here.then_some(span.newest.end);
            Ok::<bool, couchfile::CouchFileError>(!is_here)
        })
        .map_err(|e| unusable(format!("{id} of {}", database.name()), e))?;
        if let Some(end) = end {
            return Ok(Some(database.with_shard_until(number, end)?));
        }
    }
    Ok(None)
}
