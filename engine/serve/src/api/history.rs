//! `GET /_backup/history`: the versions of a document in several backups.

use std::sync::{Arc, Mutex};

use inspect::history::{Backups, Readable, Seen, SeenRevision, Shown, revisions_in};
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Failure as Failed, Lock as _};
use serde_json::{Value, json};
use snapshot::SnapshotDatabase;

use super::backups::{Series, limit};
use super::context::Context;
use super::reference::Reference;
use super::site::Site;
use crate::http::{Done, Failure, Head, HttpError, Out, Reply};
use std::io::Write as _;

/// Backups that are searched for an answer, unless the request has a limit, and at most.
const PAGE: usize = 16;
const LARGEST_PAGE: usize = 64;
/// Problems that are reported in an answer.
const MOST_PROBLEMS: usize = 20;

/// The revisions of a document that can be read in some backups, in any state of their files.
///
/// `archive` is the number of an archive or a repository; `db` and `doc` name the document. At most `limit` backups are searched:
/// `from` is the newest of them, and the newest of all if it is not given. `next` in the answer is the `from` of the next
/// request. What an answer says of a revision is about its backups only: whoever reads on puts the answers together.
pub(super) fn of_document(context: Context<'_>, reply: Reply) -> Result<Done, Failure> {
    context.call.only_get()?;
    let named = |key: &str| {
        let given = context.call.parameter(key).filter(|value| !value.is_empty());
        given.ok_or_else(|| HttpError::bad_request(format!("`{key}` is missing.")))
    };
    let (db, doc) = (named("db")?, named("doc")?);
    let limit = limit(context.call, PAGE, LARGEST_PAGE)?;
    let series = Series::of(context)?;
    let end = match context.call.parameter("from") {
        Some(id) => series.around(id)?.1,
        None => series.len(),
    };
    let begin = end.saturating_sub(limit);
    let mut out = reply.stream(Head::json(200));
    let dates = (begin..end).rev().map(|position| series.date(context.site, position)).collect();
    let references = (begin..end).rev().filter_map(|position| series.reference(position)).collect();
    let searched = Searched { site: context.site, db, references, dates, out: &out };
    let problems = Problems::default();
    let found = revisions_in(&searched, doc, &problems).map_err(snapshot::Error::from)?;
    out.check()?;
    let versions: Vec<Value> = found.revisions.iter().map(|revision| searched.version(revision)).collect();
    let answer = json!({
        "total": series.len(),
        "searched": end - begin,
        "next": begin.checked_sub(1).and_then(|position| series.id(position)),
        "versions": versions,
        "problems": problems.0.into_content(),
    });
    writeln!(out, "{answer}")?;
    out.finish()
}

/// The backups that are searched, the newest first.
struct Searched<'s> {
    site: &'s Site,
    db: &'s str,
    references: Vec<Reference>,
    dates: Vec<Option<String>>,
    out: &'s Out,
}

impl Backups for Searched<'_> {
    fn count(&self) -> usize {
        self.references.len()
    }

    fn name(&self, backup: usize) -> String {
        self.references.get(backup).map(ToString::to_string).unwrap_or_default()
    }

    fn begun(&self, backup: usize) -> Option<&str> {
        // Also one without a date is one of several.
        Some(self.dates.get(backup)?.as_deref().unwrap_or_default())
    }

    fn database(&self, backup: usize, _: &dyn Reporter) -> outcome::Result<Option<Arc<SnapshotDatabase>>> {
        // Each backup takes its time, and nobody may be waiting any more.
        self.out.check().map_err(|_| Failed::bug("the client has gone"))?;
        let Some(reference) = self.references.get(backup) else { return Ok(None) };
        let Some(archive) = self.site.find(*reference)? else { return Ok(None) };
        Ok(archive.database(self.db)?)
    }
}

impl Searched<'_> {
    fn version(&self, revision: &SeenRevision) -> Value {
        let SeenRevision { rev, deleted, bytes, first, last, at, shown, attachments, .. } = revision;
        let shown = shown.as_ref().map(|Shown { first, last, at }| {
            json!({ "first": self.seen(first), "last": self.seen(last), "at": self.at(at) })
        });
        json!({
            "rev": rev,
            "deleted": deleted,
            "bytes": bytes,
            "first": self.seen(first),
            "last": self.seen(last),
            "at": self.at(at),
            "shown": shown,
            "attachments": attachments,
        })
    }

    /// When something was seen: the sequence of the state in its file, and the backup that saved it, if one did.
    fn seen(&self, seen: &Seen) -> Value {
        let reference = seen.number.and_then(|number| self.references.get(number));
        let date = seen.number.and_then(|number| self.dates.get(number)?.clone());
        json!({
            "sequence": seen.sequence,
            "since": seen.since,
            "reference": reference.map(ToString::to_string),
            "date": date,
        })
    }

    /// Where something can be read.
    fn at(&self, at: &Readable) -> Value {
        let Some(saved) = self.references.get(at.number) else { return Value::Null };
        let reference = saved.at(at.range.zip(at.at_seq));
        json!({
            "reference": reference.to_string(),
            "root": reference.root(),
            "backup": saved.backup.map(|backup| backup.to_string()),
            "number": saved.number,
            "date": self.dates.get(at.number).cloned().flatten(),
            "at_seq": at.range.zip(at.at_seq).map(|(range, sequence)| format!("{range}={sequence}")),
        })
    }
}

/// Keeps what could not be read.
#[derive(Default)]
struct Problems(Mutex<Vec<String>>);

impl Reporter for Problems {
    fn phase_of_bytes(&self, _: &str, _: Option<u64>, _: Option<u64>) {}

    fn advance(&self, _: u64, _: u64) {}

    fn notice(&self, notice: &Notice) {
        let mut problems = self.0.locked();
        if notice.severity != Severity::Info && problems.len() < MOST_PROBLEMS {
            problems.push(notice.text.clone());
        }
    }

    fn timing(&self, _: &str, _: f64) {}
}
