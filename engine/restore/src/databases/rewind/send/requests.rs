//! Requests with many documents, and what CouchDB answers.

use node::{Body, Method};
use outcome::Result;
use serde_json::Value;
use snapshot::Document;

use super::super::super::sender::{Delivered, Sending, limit, reason};
use super::super::compare;
use super::super::entries::Entry;
use super::super::live;
use super::super::report::Was;
use super::{Item, Work};

impl Work<'_> {
    /// Sends documents in as few requests as CouchDB takes.
    pub(super) fn send(&self, items: Vec<Item>, entries: &[Entry]) -> Result<()> {
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
    pub(super) fn bulk(&self, items: &[Item]) -> Result<Result<Value, String>> {
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
    pub(super) fn conflicts(&self, ids: &[&str], entries: &[Entry]) -> Result<()> {
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
}
