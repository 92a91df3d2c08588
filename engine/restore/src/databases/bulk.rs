//! Sends many documents in one request.

use std::borrow::Cow;

use couchfile::json::Json;
use node::{Body, Method};
use outcome::{Failure, Result};
use serde_json::Value;

use super::sender::{Delivered, Sender, Sending, limit, reason};

/// The approximate maximum of bytes and documents in a request. Larger requests have to be held in memory on both sides, and
/// CouchDB takes longer for the same documents: with a thousand of one shard a fifth.
pub(super) const BYTES: usize = 1 << 20;
const DOCUMENTS: usize = 500;

const BEGIN: &[u8] = b"{\"new_edits\":false,\"docs\":[";
const END: &[u8] = b"]}";

/// Documents that are written as replication writes them.
#[derive(Debug, Default)]
pub(super) struct Bulk {
    /// The request without its end.
    text: Vec<u8>,
    /// Where each document ends.
    ends: Vec<usize>,
}

impl Bulk {
    pub(super) fn add(&mut self, document: &[u8]) {
        if self.is_empty() {
            self.text.reserve(BYTES);
            self.text.extend_from_slice(BEGIN);
        } else {
            self.text.push(b',');
        }
        self.text.extend_from_slice(document);
        self.ends.push(self.text.len());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whether the request is full, if it may have this number of bytes.
    pub(super) fn is_full(&self, bytes: usize) -> bool {
        self.text.len() >= bytes || self.ends.len() >= DOCUMENTS
    }

    fn documents(&self) -> Vec<&[u8]> {
        let starts = std::iter::once(BEGIN.len()).chain(self.ends.iter().map(|end| end + 1));
        starts.zip(&self.ends).map(|(start, &end)| &self.text[start..end]).collect()
    }

    /// Writes the documents. Those that CouchDB refuses are recorded.
    pub(super) fn send(mut self, sender: &Sender<'_>) -> Result<()> {
        let path = sender.target.path("/_bulk_docs");
        self.text.extend_from_slice(END);
        // Where CouchDB refuses a request as a whole, one of its documents is why: halves are sent until it is found.
        let mut todo = vec![self.documents()];
        while let Some(documents) = todo.pop() {
            let text = if documents.len() == self.ends.len() {
                Cow::Borrowed(self.text.as_slice())
            } else {
                Cow::Owned(request(&documents))
            };
            let size = text.len() as u64;
            let http = sender.target.http;
            let name = format!("POST {path}");
            let parcel = Sending { request: &name, documents: documents.len(), size, attachment: 0 };
            let delivered = sender
                .deliver(&parcel, || Ok(http.send(Method::POST, &path, Body::Text(&text), limit(size))?))?;
            let answer = match delivered {
                Delivered::Answer(answer) => answer,
                Delivered::Failed(reason) => {
                    match documents.as_slice() {
                        [document] => refuse(sender, document, reason)?,
                        _ => todo.extend(halves(documents)),
                    }
                    continue;
                }
            };
            if answer.is_success() {
                let rows = answer.body.as_array().map(Vec::as_slice).unwrap_or_default();
                let refused: Vec<&Value> = rows.iter().filter(|row| row["error"].is_string()).collect();
                for row in &refused {
                    let text = |key: &str| row[key].as_str().unwrap_or_default();
                    sender.refuse(text("id"), text("rev"), reason(row));
                }
                sender.sent((documents.len().saturating_sub(refused.len())) as u64, size);
            } else if matches!(answer.status, 401 | 404) {
                let request = format!("POST {path}");
                return Err(sender.target.error(&request, answer.status, answer.reason()));
            } else if let [document] = documents.as_slice() {
                refuse(sender, document, answer.reason())?;
            } else {
                if answer.status == 413 {
                    sender.was_too_large(text.len());
                }
                todo.extend(halves(documents));
            }
        }
        sender.step("documents sent");
        Ok(())
    }
}

/// Splits off the second half; the first half is sent next.
fn halves(mut documents: Vec<&[u8]>) -> [Vec<&[u8]>; 2] {
    let half = documents.split_off(documents.len() / 2);
    [half, documents]
}

fn refuse(sender: &Sender<'_>, document: &[u8], reason: String) -> Result<()> {
    let (id, rev) = names(document)?;
    sender.refuse(&id, &rev, reason);
    Ok(())
}

fn request(documents: &[&[u8]]) -> Vec<u8> {
    let size: usize = documents.iter().map(|document| document.len() + 1).sum();
    let mut text = Vec::with_capacity(BEGIN.len() + size + END.len());
    text.extend_from_slice(BEGIN);
    for (i, document) in documents.iter().enumerate() {
        if i > 0 {
            text.push(b',');
        }
        text.extend_from_slice(document);
    }
    text.extend_from_slice(END);
    text
}

/// Id and revision of a document of this request.
fn names(document: &[u8]) -> Result<(String, String)> {
    let document = Json::parse(document)
        .map_err(|e| Failure::bug(format!("a document that is not JSON was sent: {e}")))?;
    let text = |key: &str| document.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
    Ok((text("_id"), text("_rev")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_come_out_as_they_went_in() {
        let mut bulk = Bulk::default();
        assert!(bulk.is_empty());
        for text in [&b"{\"_id\":\"a\"}"[..], b"{}", b"{\"_id\":\"c\",\"_rev\":\"1-x\"}"] {
            bulk.add(text);
        }
        let documents = bulk.documents();
        assert_eq!(request(&documents), [&bulk.text, END].concat());
        let parsed: Value = serde_json::from_slice(&request(&documents)).unwrap();
        let expected =
            serde_json::json!({"new_edits": false, "docs": [{"_id": "a"}, {}, {"_id": "c", "_rev": "1-x"}]});
        assert_eq!(parsed, expected);
        assert_eq!(
            serde_json::from_slice::<Value>(&request(&documents[1..2])).unwrap()["docs"][0],
            serde_json::json!({})
        );
        assert_eq!(names(documents[2]).unwrap(), ("c".into(), "1-x".into()));
        assert!(!bulk.is_full(BYTES));
        bulk.add(&vec![b' '; BYTES]);
        assert!(bulk.is_full(BYTES));
    }
}
