//! Writes one document: with the content that it had, or on top of its deletion.

use contents::unusable;
use couchfile::document::{AttachmentForm, Encoding, JsonOptions, RevMember};
use couchfile::ejson::NegativeZero;
use node::{Answer, Body, Method};
use outcome::{Failure, Result};
use serde_json::json;

use super::super::super::multipart::Multipart;
use super::super::super::sender::{Delivered, Sending, limit, reason};
use super::super::entries::Entry;
use super::super::live;
use super::super::report::Was;
use super::{Item, Work};

/// Attachments up to this size, in bytes, are sent within the document.
const INLINE: u64 = 256 << 10;

impl Work<'_> {
    /// A document with the content that it had, to be sent with others; `None` if it was sent alone, or cannot be read.
    pub(super) fn written(&self, entry: &Entry) -> Result<Option<Item>> {
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

    /// Writes a document on top of its deletion as replication does. CouchDB refuses an ordinary edit there if the content is that
    /// of the document's first revision, because both would get the same revision. Returns whether the document is still deleted
    /// by the revision of the plan.
    pub(super) fn undelete(&self, entry: &Entry) -> Result<bool> {
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
}
