//! Reads one document, or one of its attachments, from an archive.

use std::cell::Cell;
use std::io::Write;

use contents::unusable;
use couchfile::document::{AttachmentForm, JsonOptions};
use couchfile::error::CouchFileError;
use couchfile::json::Json;
use couchfile::revtree::Revision;
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Code, Failure, Result};
use serde_json::{Value, json};
use snapshot::{Document, Moment, SnapshotDatabase};
use store::Place;

use super::{document_name, open_database, write};
use crate::history::find_revision;

/// Which parts of a document are read.
#[derive(Debug, Clone, Default)]
pub struct GetOptions {
    /// The moment at which the database is shown; `None`: as it was saved.
    pub at: Option<Moment>,
    /// The revision; `None`: the winner.
    pub rev: Option<String>,
    /// Include the ids of its ancestors (`_revisions`) and what remains of them (`_revs_info`).
    pub revs: bool,
    /// Include the revisions in conflict with it.
    pub conflicts: bool,
    /// Include the content of attachments.
    pub attachments: bool,
    /// Read the content of this attachment instead of the document.
    pub attachment: Option<String>,
    /// Write JSON with line breaks, for people.
    pub pretty: bool,
}

/// Writes a document, or an attachment of it, to `out`.
///
/// Fails if the document, revision or attachment does not exist; the remedy lists what exists.
pub fn get(
    place: &Place,
    db: &str,
    id: &str,
    options: &GetOptions,
    threads: usize,
    reporter: &dyn Reporter,
    out: &mut dyn Write,
) -> Result<()> {
    let database = open_database(place, db, options.at.as_ref(), threads, reporter)?;
    if id.starts_with("_local/") {
        let found = database.local(id)?.ok_or_else(|| no_document(&database, id))?;
        return put(&found.to_vec(), options.pretty, out);
    }
    // A revision may be in older states of the file only.
    let older = match &options.rev {
        Some(rev) if options.at.is_none() && !holds(&database, id, rev)? => {
            find_revision(&database, id, rev)?
        }
        _ => None,
    };
    let database = older.as_ref().unwrap_or(&database);
    read(database, id, options, reporter, out)
}

/// Whether the newest state of a database holds the body of a revision.
fn holds(database: &SnapshotDatabase, id: &str, rev: &str) -> Result<bool> {
    let Some(document) = database.document(id)? else { return Ok(false) };
    let found = document.revision(rev).map_err(|e| unusable(document_name(database, id), e))?;
    Ok(found.is_some_and(|revision| revision.stored.is_some()))
}

fn read(
    database: &SnapshotDatabase,
    id: &str,
    options: &GetOptions,
    reporter: &dyn Reporter,
    out: &mut dyn Write,
) -> Result<()> {
    let document = database.document(id)?.ok_or_else(|| no_document(database, id))?;
    let damaged = |e| unusable(document_name(database, id), e);
    let winner = document.winner().map_err(damaged)?;
    let revision = match &options.rev {
        Some(rev) => {
            let found = document.revision(rev).map_err(damaged)?;
            found.ok_or_else(|| no_revision(database, &document, rev))?
        }
        None if document.is_deleted() => {
            return Err(Failure::refused(
                Code::new("CC-C10"),
                format!("{} is deleted", document_name(database, id)),
                format!("Give `--rev {winner}` to show what remains of it."),
            ));
        }
        None => winner,
    };
    if revision.stored.is_none() {
        return Err(Failure::refused(
            Code::new("CC-C11"),
            format!("the body of revision {revision} of {} is not stored", document_name(database, id)),
            "A compaction removes the bodies of revisions that are not leaves. `--revs` shows which bodies are stored.",
        ));
    }
    if let Some(name) = &options.attachment {
        return attachment(database, &document, &revision, name, reporter, out);
    }
    let more = more(&document, &revision, options).map_err(damaged)?;
    let form = if options.attachments { AttachmentForm::InlineAfter(0) } else { AttachmentForm::Stubs };
    let json = JsonOptions { revs: options.revs, attachments: form, more: &more, ..JsonOptions::default() };
    let text = document.json(&revision, json).map_err(damaged)?;
    put(&text, options.pretty, out)
}

/// The members about other revisions.
fn more(
    document: &Document<'_>,
    revision: &Revision<'_>,
    options: &GetOptions,
) -> Result<Vec<(&'static str, Value)>, CouchFileError> {
    let mut more = Vec::new();
    if options.revs {
        let history = document.history(revision)?;
        let history: Vec<Value> =
            history.iter().map(|(rev, status)| json!({"rev": rev, "status": status.name()})).collect();
        more.push(("_revs_info", history.into()));
    }
    if options.conflicts {
        for (key, deleted) in [("_conflicts", false), ("_deleted_conflicts", true)] {
            let conflicts = document.conflicts(deleted)?;
            if !conflicts.is_empty() {
                more.push((key, conflicts.into()));
            }
        }
    }
    Ok(more)
}

fn attachment(
    database: &SnapshotDatabase,
    document: &Document<'_>,
    revision: &Revision<'_>,
    name: &str,
    reporter: &dyn Reporter,
    out: &mut dyn Write,
) -> Result<()> {
    let what = || document_name(database, document.id());
    let summary = document.summary(revision).map_err(|e| unusable(what(), e))?;
    let Some(found) = summary.attachments.iter().find(|attachment| attachment.name == name) else {
        let names: Vec<&str> = summary.attachments.iter().map(|a| a.name.as_str()).collect();
        return Err(Failure::refused(
            Code::new("CC-C12"),
            format!("revision {revision} of {} has no attachment {name}", what()),
            if names.is_empty() {
                "The revision has no attachments.".into()
            } else {
                format!("The revision has the attachments {}.", names.join(", "))
            },
        ));
    };
    let given = Cell::new(0u64);
    let mut give = |decode: bool| {
        let mut failed = None;
        let read = document.attachment(found, decode, |piece| {
            given.set(given.get() + piece.len() as u64);
            write(out, piece).map_err(|e| {
                failed = Some(e);
                CouchFileError::Write(std::io::ErrorKind::Other.into())
            })
        });
        (failed, read)
    };
    let mut done = give(true);
    if let (None, Err(e)) = &done
        && !e.is_io()
        && found.decoded_len().is_none()
        && given.get() == 0
    {
        let text = format!(
            "attachment {name} of {} was uploaded with Content-Encoding: gzip but is not gzip; the output is what was uploaded",
            what()
        );
        reporter.notice(&Notice { severity: Severity::Warning, text });
        done = give(false);
    }
    match done {
        (Some(error), _) => Err(error),
        (None, read) => read.map_err(|e| unusable(format!("attachment {name} of {}", what()), e)),
    }
}

fn put(text: &[u8], pretty: bool, out: &mut dyn Write) -> Result<()> {
    match pretty.then(|| Json::parse(text).ok()).flatten() {
        Some(value) => write(out, &value.to_pretty_vec())?,
        None => write(out, text)?,
    }
    write(out, b"\n")
}

fn no_document(database: &SnapshotDatabase, id: &str) -> Failure {
    Failure::refused(
        Code::new("CC-C13"),
        format!("there is no document {}", document_name(database, id)),
        format!(
            "`couchcopy ls ARCHIVE {} --prefix TEXT` lists documents whose ids begin with a text.",
            database.name()
        ),
    )
}

fn no_revision(database: &SnapshotDatabase, document: &Document<'_>, rev: &str) -> Failure {
    let leaves: Vec<String> =
        document.leaves().map(|leaves| leaves.iter().map(ToString::to_string).collect()).unwrap_or_default();
    Failure::refused(
        Code::new("CC-C14"),
        format!("there is no revision {rev} of {}", document_name(database, document.id())),
        format!("The leaves are {}; `--revs` shows their ancestors.", leaves.join(", ")),
    )
}
