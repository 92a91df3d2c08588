//! The revisions of a document that can still be read, in all states of its files.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use contents::{AnySource, unusable};
use couchfile::data_dir::Range;
use couchfile::database::Database;
use couchfile::document::{Attachment, DocInfo};
use couchfile::revtree::{Revision, Stored};
use couchfile::states::{Span, State};
use couchfile::time_table::TimeTable;
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Result, with_causes};
use serde::Serialize;
use snapshot::SnapshotDatabase;

use super::copies::{Backups, Copies, Lineage, Mark};
use super::time_text;

/// The most revisions that are collected: a document has a thousand at most, unless somebody has raised its limit.
const MOST: usize = 100_000;
/// The most revisions whose attachments are listed.
const MOST_WITH_ATTACHMENTS: usize = 1000;

/// A revision of a document that can be read.
#[derive(Debug, Clone, Serialize)]
pub struct SeenRevision {
    /// The revision.
    pub rev: String,
    /// Whether it deletes the document.
    pub deleted: bool,
    /// Bytes of its body as JSON and its attachments, as CouchDB counts them; 0 if the file does not record it.
    pub bytes: u64,
    /// The sequence at which it was written.
    pub written: u64,
    /// The oldest state that holds it.
    pub first: Seen,
    /// The newest state that holds it.
    pub last: Seen,
    /// Where it can be read.
    #[serde(flatten)]
    pub at: Readable,
    /// When it was the revision that CouchDB shows; `None` if it never was in any state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown: Option<Shown>,
    /// Its attachments in the order of the file; `None` if they were not listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachments: Option<Vec<SavedAttachment>>,
}

/// When a revision was seen.
#[derive(Debug, Clone, Serialize)]
pub struct Seen {
    /// The sequence of the state in its file.
    pub sequence: u64,
    /// Not before this time, according to the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The first or the last backup that saved it in its newest state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// When this backup began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun: Option<String>,
    /// The number of this backup.
    #[serde(skip)]
    pub number: Option<usize>,
}

/// A state of a file.
#[derive(Debug, Clone, Serialize)]
pub struct Readable {
    /// What messages call the backup that holds the file.
    pub backup: String,
    /// The path of the file below the data directory.
    pub shard: String,
    /// The sequence of the state; `None`: the newest state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_seq: Option<u64>,
    /// The number of the backup.
    #[serde(skip)]
    pub number: usize,
    /// The range of the shard.
    #[serde(skip)]
    pub range: Option<Range>,
}

/// When a revision was the one that CouchDB shows.
#[derive(Debug, Clone, Serialize)]
pub struct Shown {
    /// The oldest state in which it was.
    pub first: Seen,
    /// The newest state in which it was.
    pub last: Seen,
    /// A state in which it is: the newest state of a backup, if there is such a backup.
    #[serde(flatten)]
    pub at: Readable,
}

/// An attachment of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SavedAttachment {
    /// Its name.
    pub name: String,
    /// Its MIME type.
    pub content_type: String,
    /// Bytes of its content; of an attachment that was uploaded gzipped, bytes as stored.
    pub length: u64,
    /// `md5-` and the MD5 of the bytes as stored in Base64; nothing in ancient files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// The revisions of a document that can be read in some backups.
#[derive(Debug, Clone, Default)]
pub struct FoundRevisions {
    /// The highest generation first.
    pub revisions: Vec<SeenRevision>,
    /// Files that could not be read to their ends.
    pub damaged: u64,
}

/// Every revision of a document that can be read in any state of its files in some backups, with its attachments. Nothing if no
/// backup holds the database or the document. Backups and files that cannot be read are reported.
pub fn revisions_in(backups: &dyn Backups, id: &str, reporter: &dyn Reporter) -> Result<FoundRevisions> {
    let copies = Copies::of(backups);
    let lineages = copies.lineages(Some(id), reporter)?.unwrap_or_default();
    Ok(search(&copies, &lineages, id, true, reporter))
}

/// Searches some files, the newest first.
pub(super) fn search(
    copies: &Copies<'_>,
    lineages: &[Lineage],
    id: &str,
    lists_attachments: bool,
    reporter: &dyn Reporter,
) -> FoundRevisions {
    let mut found = Found { copies, lists_attachments, revisions: HashMap::new() };
    let mut damaged = 0;
    for lineage in lineages {
        if let Err(e) = found.search(lineage, id, reporter) {
            damaged += 1;
            reporter.notice(&Notice { severity: Severity::Problem, text: with_causes(&e) });
        }
    }
    let mut revisions: Vec<SeenRevision> = found.revisions.into_values().collect();
    let generation = |rev: &str| rev.split('-').next().and_then(|g| g.parse::<u64>().ok()).unwrap_or(0);
    revisions.sort_by(|a, b| {
        (generation(&b.rev), b.written, &b.rev).cmp(&(generation(&a.rev), a.written, &a.rev))
    });
    FoundRevisions { revisions, damaged }
}

struct Found<'c> {
    copies: &'c Copies<'c>,
    lists_attachments: bool,
    revisions: HashMap<String, SeenRevision>,
}

/// Some states of a file in which a document is the same.
struct SameStates<'s> {
    file: &'s Database<AnySource>,
    span: &'s Span,
    lineage: &'s Lineage,
    times: &'s TimeTable,
    /// The newest and the oldest backup of which the newest state is one of these.
    last: Option<&'s Mark>,
    first: Option<&'s Mark>,
}

impl Found<'_> {
    /// Collects the revisions in the states of a file.
    fn search(&mut self, lineage: &Lineage, id: &str, reporter: &dyn Reporter) -> Result<()> {
        let copies = self.copies;
        copies.with(&lineage.copy, reporter, |file| {
            let times = file.time_table().unwrap_or_default();
            let failed =
                |e| unusable(format!("{} in {}", lineage.copy.path, copies.name_of(lineage.copy.backup)), e);
            let each = |document: &DocInfo<'_>, span: &Span| {
                let within = |mark: &&Mark| (span.oldest.offset..=span.newest.offset).contains(&mark.offset);
                let last = lineage.marks.iter().find(within);
                let first = lineage.marks.iter().rev().find(within);
                self.note(document, &SameStates { file, span, lineage, times: &times, last, first });
                Ok::<bool, couchfile::CouchFileError>(true)
            };
            file.document_history(id.as_bytes(), each).map_err(failed)
        })
    }

    /// Notes the revisions of a document in some states.
    fn note(&mut self, document: &DocInfo<'_>, states: &SameStates<'_>) {
        let Some(tree) = &document.revisions else { return };
        let winner = tree.winner();
        for revision in tree.revisions() {
            let Some(stored) = revision.stored.filter(|stored| stored.summary.is_some()) else { continue };
            let rev = revision.to_string();
            let first = self.seen(&states.span.oldest, states.first, states.times);
            let last = self.seen(&states.span.newest, states.last, states.times);
            let shown = winner.is_some_and(|winner| is_same(winner, revision)).then(|| Shown {
                first: first.clone(),
                last: last.clone(),
                at: self.readable(states, states.last),
            });
            if let Some(known) = self.revisions.get_mut(&rev) {
                extend(&mut known.first, &mut known.last, first, last);
                match (&mut known.shown, shown) {
                    (Some(known), Some(shown)) => {
                        if known.last.backup.is_none() && shown.last.backup.is_some() {
                            known.at = shown.at;
                        }
                        extend(&mut known.first, &mut known.last, shown.first, shown.last);
                    }
                    (known @ None, shown) => *known = shown,
                    (Some(_), None) => {}
                }
            } else if self.revisions.len() < MOST {
                let lists = self.lists_attachments && self.revisions.len() < MOST_WITH_ATTACHMENTS;
                let found = SeenRevision {
                    deleted: stored.deleted,
                    bytes: stored.sizes.external,
                    written: stored.seq,
                    first,
                    last,
                    at: self.readable(states, None),
                    shown,
                    attachments: if lists { attachments(states.file, &stored) } else { None },
                    rev: rev.clone(),
                };
                self.revisions.insert(rev, found);
            }
        }
    }

    /// The newest of some states; of a backup that has it as its newest one, if there is a mark.
    fn readable(&self, states: &SameStates<'_>, mark: Option<&Mark>) -> Readable {
        let copy = &states.lineage.copy;
        let is_newest = states.span.newest.offset == states.file.header_offset();
        let number = mark.map_or(copy.backup, |mark| mark.backup);
        Readable {
            backup: self.copies.name_of(number),
            shard: copy.path.clone(),
            at_seq: (mark.is_none() && !is_newest).then_some(states.span.newest.seq()),
            number,
            range: copy.range,
        }
    }

    fn seen(&self, state: &State, mark: Option<&Mark>, times: &TimeTable) -> Seen {
        let begun = mark.and_then(|mark| self.copies.begun(mark.backup)).map(str::to_owned);
        let number = mark.map(|mark| mark.backup).filter(|_| begun.is_some());
        Seen {
            sequence: state.seq(),
            since: times.since(state.seq()).and_then(time_text),
            backup: number.map(|number| self.copies.name_of(number)),
            begun,
            number,
        }
    }
}

/// Extends the time in which something was seen by an older one. Which backups saved it is known of any of the states.
fn extend(first: &mut Seen, last: &mut Seen, older_first: Seen, older_last: Seen) {
    let backup = (first.backup.take(), first.begun.take(), first.number.take());
    *first = older_first;
    if first.backup.is_none() {
        (first.backup, first.begun, first.number) = backup;
    }
    if last.backup.is_none() {
        (last.backup, last.begun, last.number) = (older_last.backup, older_last.begun, older_last.number);
    }
}

fn is_same(a: &Revision<'_>, b: &Revision<'_>) -> bool {
    (a.generation, a.id) == (b.generation, b.id)
}

/// The attachments of a revision; `None` if its summary cannot be read.
fn attachments(file: &Database<AnySource>, stored: &Stored<'_>) -> Option<Vec<SavedAttachment>> {
    let saved = |attachment: Attachment| SavedAttachment {
        length: attachment.decoded_len().unwrap_or(attachment.stored_len),
        digest: (!attachment.md5.is_empty())
            .then(|| format!("md5-{}", BASE64_STANDARD.encode(&attachment.md5))),
        name: attachment.name,
        content_type: attachment.content_type,
    };
    Some(file.summary(stored).ok()?.attachments.into_iter().map(saved).collect())
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
