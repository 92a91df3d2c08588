//! Carries a rewind out.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use contents::unusable;
use couchfile::document::{AttachmentForm, Encoding, JsonOptions, RevMember};
use couchfile::ejson::NegativeZero;
use node::{Answer, Body, Http, Method};
use outcome::report::{Reporter, Steps};
use outcome::{Failure, Result, parallel};
use serde_json::{Value, json};
use snapshot::{Document, SnapshotDatabase};

use super::super::multipart::Multipart;
use super::super::sender::{Delivered, Sender, Sending, limit, reason};
use super::super::target::Target;
use super::compare;
use super::entries::Entry;
use super::live;
use super::note::{Done, Note};
use super::plan::PlannedRewind;
use super::report::{LISTED, RewindResult, Was};

/// Documents between two notes.
const GROUP: usize = 400;
/// Documents and bytes of a request, approximately.
const DOCUMENTS: usize = 100;
const BYTES: usize = 1 << 20;
/// Attachments up to this size, in bytes, are sent within the document.
const INLINE: u64 = 256 << 10;

impl PlannedRewind {
    /// Writes the documents of the plan. If that fails, or `interrupted` is set, what has been written so far stays, and the same
    /// command goes on. An interruption is not an error: the result is then not finished.
    pub fn carry_out(
        mut self,
        http: &Http,
        interrupted: &AtomicBool,
        reporter: &dyn Reporter,
    ) -> Result<RewindResult> {
        let begun = Instant::now();
        let steps = Steps::new(reporter);
        let database = self.database.clone();
        let sender = Sender::new(Target::new(http, &database), interrupted, &steps);
        reporter.phase(&format!("writing {database}"), Some(self.len()));
        let counts = Counts::default();
        let ended = self.groups(&sender, &counts, reporter);
        if let Err(error) = ended
            && !sender.gave_up()
        {
            return Err(error);
        }
        let (refused, refused_count) = sender.take_refused();
        let mut counts = counts.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        counts.edited_meanwhile.sort();
        Ok(RewindResult {
            url: http.url().to_owned(),
            finished: !sender.gave_up(),
            refused,
            refused_count,
            seconds: begun.elapsed().as_secs_f64(),
            database: self.database,
            ..counts
        })
    }

    fn groups(&mut self, sender: &Sender<'_>, counts: &Counts, reporter: &dyn Reporter) -> Result<()> {
        // What the interrupted rewind was doing when it ended.
        let before = self.note.clone();
        let mut work =
            Work { source: &self.source, sender, counts, before: &before, note: self.note.clone(), sent: 0 };
        work.all(self.entries.read()?, reporter)?;
        work.all(self.designs.read()?, reporter)?;
        sender.target.remove_local(super::note::ID)?;
        sender.step("note removed");
        Ok(())
    }
}

/// What was done so far, in the result's own form.
#[derive(Default)]
struct Counts(Mutex<RewindResult>);

impl Counts {
    fn with(&self, work: impl FnOnce(&mut RewindResult)) {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Somebody has edited a document in the meantime.
    fn edited(&self, id: &str) {
        self.with(|result| {
            result.edited_meanwhile_count += 1;
            if result.edited_meanwhile.len() < LISTED {
                result.edited_meanwhile.push(id.to_owned());
            }
        });
    }
}

struct Work<'w> {
    source: &'w SnapshotDatabase,
    sender: &'w Sender<'w>,
    counts: &'w Counts,
    /// The note of the interrupted rewind.
    before: &'w Note,
    note: Note,
    sent: u64,
}

/// A document of a request.
struct Item {
    id: String,
    text: Vec<u8>,
}

impl Work<'_> {
    fn all(&mut self, entries: impl Iterator<Item = Result<Entry>>, reporter: &dyn Reporter) -> Result<()> {
        let mut group = Vec::new();
        for entry in entries {
            let entry = entry?;
            self.sent += 1;
            if self.before.has_passed(&entry.id, entry.rev.as_deref()) && entry.was != Was::Conflicted {
                self.counts.edited(&entry.id);
                continue;
            }
            group.push(entry);
            if group.len() >= GROUP {
                self.group(&std::mem::take(&mut group))?;
                reporter.advance(self.sent, self.sender.bytes());
            }
        }
        if !group.is_empty() {
            self.group(&group)?;
        }
        reporter.advance(self.sent, self.sender.bytes());
        Ok(())
    }

    /// Writes some documents, with a note before.
    fn group(&mut self, entries: &[Entry]) -> Result<()> {
        self.sender.check_interrupted()?;
        self.note.pending = entries.iter().map(|entry| (entry.id.clone(), entry.rev.clone())).collect();
        // What the interrupted rewind may have written stays known, however often this one is interrupted.
        for (id, rev) in &self.before.pending {
            self.note.pending.entry(id.clone()).or_insert_with(|| rev.clone());
        }
        self.sender.target.put_local(super::note::ID, &self.note.to_json().into())?;
        self.sender.step("note written");
        let parts: Vec<&[Entry]> = entries.chunks(DOCUMENTS).collect();
        let done = parallel::all_at_once(&parts, |_, part| self.part(part));
        done.into_iter().collect::<Result<()>>()?;
        if let Some(last) = entries.last() {
            self.note.done = Some(Done::of(&last.id)).max(self.note.done.take());
        }
        Ok(())
    }

    fn part(&self, entries: &[Entry]) -> Result<()> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        for entry in entries {
            if entry.was == Was::New {
                let deletion = json!({"_id": entry.id, "_rev": entry.rev, "_deleted": true});
                items.push(Item { id: entry.id.clone(), text: deletion.to_string().into_bytes() });
            } else if entry.writes()
                && let Some(item) = self.written(entry)?
            {
                bytes += item.text.len();
                items.push(item);
            }
            if bytes >= BYTES {
                self.send(std::mem::take(&mut items), entries)?;
                bytes = 0;
            }
        }
        self.send(items, entries)?;
        self.resolve(entries)
    }

    /// A document with the content that it had, to be sent with others; `None` if it was sent alone, or cannot be read.
    fn written(&self, entry: &Entry) -> Result<Option<Item>> {
        let lost = |damage: String| {
            self.sender.refuse(&entry.id, "", damage);
            Ok(None)
        };
        let Some(then) = self.source.document(&entry.id)? else {
            return Err(Failure::bug("a document of a plan is not in the backup"));
        };
        // A document that is deleted is written without a revision: CouchDB then puts it on top of the deletion, and refuses it if
        // somebody else has written it meanwhile.
        let rev = match (&entry.rev, entry.was) {
            (Some(rev), Was::Changed) => RevMember::Other(rev),
            _ => RevMember::Absent,
        };
        let winner = then.winner().map_err(|e| unusable(entry.id.clone(), e))?;
        let attachments = match then.summary(&winner) {
            Ok(summary) => summary.attachments,
            Err(e) if e.is_io() => return Err(unusable(entry.id.clone(), e)),
            Err(e) => return lost(e.to_string()),
        };
        let size = attachments.iter().fold(0u64, |sum, attachment| sum.saturating_add(attachment.stored_len));
        // What is gzipped would be gzipped anew, not always into the same bytes.
        if size <= INLINE && attachments.iter().all(|a| a.encoding == Encoding::Identity) {
            let options = JsonOptions {
                rev,
                attachments: AttachmentForm::InlineAfter(0),
                zero: NegativeZero::Kept,
                ..JsonOptions::default()
            };
            return match then.json(&winner, options) {
                Ok(text) => Ok(Some(Item { id: entry.id.clone(), text })),
                Err(e) if e.is_io() => Err(unusable(entry.id.clone(), e)),
                Err(e) => lost(e.to_string()),
            };
        }
        let request = match Multipart::edit(&then, &winner, &attachments, rev) {
            Ok(request) => request,
            Err(e) => return lost(e.to_string()),
        };
        match request.stream_until_answered(&then, &attachments, self.sender)? {
            Err(damage) => lost(damage),
            Ok(Delivered::Failed(reason)) => lost(reason),
            Ok(Delivered::Answer(answer)) => {
                if answer.is_success() {
                    self.sender.sent(1, request.length());
                    self.counts.with(|result| result.written += 1);
                } else if answer.status == 409 {
                    self.conflicts(&[entry.id.as_str()], std::slice::from_ref(entry))?;
                } else if matches!(answer.status, 401 | 404) {
                    return Err(self.error(&answer));
                } else {
                    return lost(answer.reason());
                }
                self.sender.step("document sent");
                Ok(None)
            }
        }
    }

    fn error(&self, answer: &Answer) -> Failure {
        let request = format!("PUT {}", self.sender.target.path("/"));
        self.sender.target.error(&request, answer.status, answer.reason())
    }

    /// Sends documents in as few requests as CouchDB takes.
    fn send(&self, items: Vec<Item>, entries: &[Entry]) -> Result<()> {
        let mut todo = vec![items];
        while let Some(mut items) = todo.pop() {
            if items.is_empty() {
                continue;
            }
            match self.bulk(&items)? {
                Ok(answer) => self.rows(&answer, &items, entries)?,
                Err(reason) if items.len() == 1 => self.sender.refuse(&items[0].id, "", reason),
                // One of the documents is why: halves are sent until it is found.
                Err(_) => {
                    let half = items.split_off(items.len() / 2);
                    todo.extend([half, items]);
                }
            }
        }
        Ok(())
    }

    /// Sends a request; gives the rows of the answer, or why CouchDB refuses it as a whole.
    fn bulk(&self, items: &[Item]) -> Result<Result<Value, String>> {
        let path = self.sender.target.path("/_bulk_docs");
        let mut text = b"{\"docs\":[".to_vec();
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                text.push(b',');
            }
            text.extend_from_slice(&item.text);
        }
        text.extend_from_slice(b"]}");
        let (size, name) = (text.len() as u64, format!("POST {path}"));
        let parcel = Sending { request: &name, documents: items.len(), size, attachment: 0 };
        let http = self.sender.target.http;
        let delivered = self
            .sender
            .deliver(&parcel, || Ok(http.send(Method::POST, &path, Body::Text(&text), limit(size))?))?;
        self.sender.step("documents sent");
        match delivered {
            Delivered::Answer(answer) if answer.is_success() => {
                self.sender.sent(items.len() as u64, size);
                Ok(Ok(answer.body))
            }
            Delivered::Answer(answer) if matches!(answer.status, 401 | 404) => {
                Err(self.sender.target.error(&name, answer.status, answer.reason()))
            }
            Delivered::Answer(answer) => Ok(Err(answer.reason())),
            Delivered::Failed(reason) => Ok(Err(reason)),
        }
    }

    /// Evaluates the answer to a request with documents.
    fn rows(&self, answer: &Value, items: &[Item], entries: &[Entry]) -> Result<()> {
        let mut conflicts = Vec::new();
        let rows = answer.as_array().map(Vec::as_slice).unwrap_or_default();
        // CouchDB answers in the order of the request.
        for (item, row) in items.iter().zip(rows) {
            if row["error"] == "conflict" {
                conflicts.push(item.id.as_str());
            } else if row["error"].is_string() {
                self.sender.refuse(&item.id, "", reason(row));
            } else {
                self.done(&item.id, entries);
            }
        }
        self.conflicts(&conflicts, entries)
    }

    fn done(&self, id: &str, entries: &[Entry]) {
        let is_new = entries.iter().any(|entry| entry.id == id && entry.was == Was::New);
        self.counts.with(|result| if is_new { result.deleted += 1 } else { result.written += 1 });
    }

    /// CouchDB has refused these edits because there is a newer revision: ours, if the answer to the first attempt was lost, or
    /// somebody else's.
    fn conflicts(&self, ids: &[&str], entries: &[Entry]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let now = live::documents(self.sender, ids.iter().copied())?;
        for &id in ids {
            let Some(entry) = entries.iter().find(|entry| entry.id == id) else { continue };
            let is_done = match (entry.was, now.get(id)) {
                (Was::New, found) => found.is_none(),
                (_, None) => false,
                (_, Some(now)) => {
                    let then: Option<Document<'_>> = self.source.document(id)?;
                    then.is_some_and(|then| compare::is_equal(&then, now).unwrap_or(false))
                }
            };
            if is_done {
                self.done(id, entries);
            } else if entry.was != Was::Deleted || now.contains_key(id) || !self.undelete(entry)? {
                self.counts.edited(id);
            }
        }
        Ok(())
    }

    /// Writes a document on top of its deletion as replication does. CouchDB refuses an ordinary edit there if the content is that
    /// of the document's first revision, because both would get the same revision. Returns whether the document is still deleted
    /// by the revision of the plan.
    fn undelete(&self, entry: &Entry) -> Result<bool> {
        let now = live::newest(self.sender, [entry.id.as_str()])?;
        let Some((generation, parent)) = now
            .get(&entry.id)
            .filter(|now| now.deleted && entry.rev.as_ref() == Some(&now.rev))
            .and_then(|now| now.rev.split_once('-'))
        else {
            return Ok(false);
        };
        let generation = generation.parse::<u64>().unwrap_or(0).saturating_add(1);
        let damaged = |e| unusable(format!("{} of {}", entry.id, self.source.name()), e);
        let new = couchfile::writer::random_uuid().map_err(damaged)?;
        let (rev, revisions) =
            (format!("{generation}-{new}"), json!({"start": generation, "ids": [new, parent]}));
        let Some(then) = self.source.document(&entry.id)? else {
            return Err(Failure::bug("a document of a plan is not in the backup"));
        };
        let winner = then.winner().map_err(damaged)?;
        let attachments = then.summary(&winner).map_err(damaged)?.attachments;
        let delivered = if attachments.is_empty() {
            let more = [("_revisions", revisions)];
            let zero = NegativeZero::Kept;
            let options =
                JsonOptions { rev: RevMember::Other(&rev), more: &more, zero, ..JsonOptions::default() };
            let document = then.json(&winner, options).map_err(damaged)?;
            let text = [b"{\"new_edits\":false,\"docs\":[".as_slice(), &document, b"]}"].concat();
            let path = self.sender.target.path("/_bulk_docs");
            let (name, size) = (format!("POST {path}"), text.len() as u64);
            let parcel = Sending { request: &name, documents: 1, size, attachment: 0 };
            let http = self.sender.target.http;
            Ok(self
                .sender
                .deliver(&parcel, || Ok(http.send(Method::POST, &path, Body::Text(&text), limit(size))?))?)
        } else {
            let request =
                Multipart::new_revision(&then, &winner, &attachments, &rev, &revisions).map_err(damaged)?;
            request.stream_until_answered(&then, &attachments, self.sender)?
        };
        match delivered {
            Ok(Delivered::Answer(answer)) if answer.is_success() => {
                // With new_edits=false, CouchDB lists only the documents that it refuses.
                match answer.body.as_array().and_then(|rows| rows.iter().find(|row| row["error"].is_string()))
                {
                    Some(row) => self.sender.refuse(&entry.id, "", reason(row)),
                    None => self.counts.with(|result| result.written += 1),
                }
            }
            Ok(Delivered::Answer(answer)) => self.sender.refuse(&entry.id, "", answer.reason()),
            Ok(Delivered::Failed(reason)) | Err(reason) => self.sender.refuse(&entry.id, "", reason),
        }
        Ok(true)
    }

    /// Deletes conflicting revisions: of each document one after the other.
    fn resolve(&self, entries: &[Entry]) -> Result<()> {
        let most = entries.iter().map(|entry| entry.resolve.len()).max().unwrap_or(0);
        for number in 0..most {
            let deletion = |entry: &Entry| {
                let rev = entry.resolve.get(number)?;
                let text = json!({"_id": entry.id, "_rev": rev, "_deleted": true}).to_string().into_bytes();
                Some(Item { id: entry.id.clone(), text })
            };
            let items: Vec<Item> = entries.iter().filter_map(deletion).collect();
            let answer = match self.bulk(&items)? {
                Ok(answer) => answer,
                Err(reason) => {
                    for item in &items {
                        self.sender.refuse(&item.id, "", reason.clone());
                    }
                    continue;
                }
            };
            let rows = answer.as_array().map(Vec::as_slice).unwrap_or_default();
            for (item, row) in items.iter().zip(rows) {
                if row["error"].is_string() && row["error"] != "conflict" {
                    self.sender.refuse(&item.id, "", reason(row));
                } else {
                    // A conflict: somebody else has resolved it.
                    self.counts.with(|result| result.resolved += 1);
                }
            }
        }
        Ok(())
    }
}
