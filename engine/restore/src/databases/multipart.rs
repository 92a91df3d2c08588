//! Sends one document with its attachments as parts of one request: nothing is held in memory, and attachments that are stored
//! gzipped are sent and stored gzipped.
//!
//! Source: `couch_httpd_multipart.erl`, `couch_att.erl` (`follow_from_json/2`).

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, sync_channel};

use couchfile::document::{Attachment, AttachmentForm, JsonOptions, RevMember};
use couchfile::ejson::NegativeZero;
use couchfile::error::CouchFileError;
use couchfile::revtree::Revision;
use filter::Replaced;
use node::{Answer, Body, Method, encode};
use outcome::{Failure, Result};
use snapshot::Document;

use super::sender::{Delivered, Sender, Sending, limit};

/// Pieces of attachments that are read ahead.
const AHEAD: usize = 4;

/// A revision of a document, followed by its attachments.
pub(super) struct Multipart {
    id: String,
    rev: String,
    content_type: String,
    /// The bytes before each attachment; the first one includes the document.
    before: Vec<Vec<u8>>,
    /// The bytes after the last attachment.
    end: Vec<u8>,
    /// Whether it is an ordinary edit on top of the newest revision, and not written as replication does.
    is_edit: bool,
    length: u64,
    /// Bytes of the largest attachment.
    largest: u64,
}

impl Multipart {
    /// Begins a request with the revision's JSON, or with this content in its place, which has these attachments.
    pub(super) fn new(
        document: &Document<'_>,
        revision: &Revision<'_>,
        attachments: &[Attachment],
        content: Option<Replaced>,
    ) -> Result<Self, CouchFileError> {
        let options = JsonOptions { revs: true, ..JsonOptions::default() };
        Self::with(document, revision, attachments, options, content)
    }

    /// Begins a request that writes the content of a revision on top of another one, or as a new document.
    pub(super) fn edit(
        document: &Document<'_>,
        revision: &Revision<'_>,
        attachments: &[Attachment],
        rev: RevMember<'_>,
    ) -> Result<Self, CouchFileError> {
        Self::with(document, revision, attachments, JsonOptions { rev, ..JsonOptions::default() }, None)
    }

    /// Begins a request that writes the content of a revision as the new revision `rev`, as replication does; `revisions` are the
    /// ids of `rev` and its ancestors, in the form of `_revisions`.
    pub(super) fn new_revision(
        document: &Document<'_>,
        revision: &Revision<'_>,
        attachments: &[Attachment],
        rev: &str,
        revisions: &serde_json::Value,
    ) -> Result<Self, CouchFileError> {
        let more = [("_revisions", revisions.clone())];
        let options = JsonOptions { rev: RevMember::Other(rev), more: &more, ..JsonOptions::default() };
        Self::with(document, revision, attachments, options, None)
    }

    fn with(
        document: &Document<'_>,
        revision: &Revision<'_>,
        attachments: &[Attachment],
        options: JsonOptions<'_>,
        content: Option<Replaced>,
    ) -> Result<Self, CouchFileError> {
        let is_edit = !options.revs && options.more.is_empty();
        let options = JsonOptions {
            attachments: AttachmentForm::FollowAfter(0),
            encoding_info: true,
            zero: NegativeZero::Kept,
            ..options
        };
        let mut json = document.json(revision, options)?;
        if let Some(content) = content {
            json = content.in_place_of(&json).map_err(CouchFileError::Invalid)?;
        }
        let boundary = couchfile::writer::random_uuid()?;
        let mut before: Vec<Vec<u8>> = Vec::with_capacity(attachments.len());
        let mut part = format!("--{boundary}\r\nContent-Type: application/json\r\n\r\n").into_bytes();
        part.extend_from_slice(&json);
        for attachment in attachments {
            let length = attachment.stored_len;
            part.extend_from_slice(
                format!("\r\n--{boundary}\r\nContent-Length: {length}\r\n\r\n").as_bytes(),
            );
            before.push(std::mem::take(&mut part));
        }
        let end = format!("\r\n--{boundary}--").into_bytes();
        let ours: u64 = before.iter().chain([&end]).map(|part| part.len() as u64).sum();
        let theirs: u64 =
            attachments.iter().fold(0, |sum, attachment| sum.saturating_add(attachment.stored_len));
        Ok(Self {
            id: document.id().to_owned(),
            rev: revision.to_string(),
            content_type: format!("multipart/related; boundary=\"{boundary}\""),
            before,
            end,
            is_edit,
            length: ours.saturating_add(theirs),
            largest: attachments.iter().map(|attachment| attachment.stored_len).max().unwrap_or(0),
        })
    }

    /// Calls `each` with one piece of the request after the other.
    fn pieces(
        &self,
        document: &Document<'_>,
        attachments: &[Attachment],
        mut each: impl FnMut(&[u8]) -> Result<(), CouchFileError>,
    ) -> Result<(), CouchFileError> {
        for (before, attachment) in self.before.iter().zip(attachments) {
            each(before)?;
            document.attachment(attachment, false, &mut each)?;
        }
        each(&self.end)
    }

    /// The whole request in memory, for a small one.
    pub(super) fn kept(
        self,
        document: &Document<'_>,
        attachments: &[Attachment],
    ) -> Result<KeptMultipart, CouchFileError> {
        let mut body = Vec::with_capacity(usize::try_from(self.length).unwrap_or(0));
        self.pieces(document, attachments, |piece| {
            body.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(KeptMultipart { request: self, body })
    }

    /// Sends the document while it is being read.
    pub(super) fn stream(
        &self,
        document: &Document<'_>,
        attachments: &[Attachment],
        sender: &Sender<'_>,
    ) -> Result<()> {
        match self.stream_until_answered(document, attachments, sender)? {
            Ok(delivered) => self.judge(sender, delivered),
            Err(damage) => {
                sender.refuse(&self.id, &self.rev, damage);
                Ok(())
            }
        }
    }

    /// Sends the document while it is being read; gives CouchDB's answer, or what is damaged in the archive.
    pub(super) fn stream_until_answered(
        &self,
        document: &Document<'_>,
        attachments: &[Attachment],
        sender: &Sender<'_>,
    ) -> Result<Result<Delivered, String>> {
        let path = self.path(sender);
        let mut damage = None;
        let name = format!("PUT {path}");
        let delivered = sender.deliver(&self.parcel(&name), || {
            let (pieces, received) = sync_channel::<Vec<u8>>(AHEAD);
            let (read, sent) = std::thread::scope(|scope| {
                let sent = scope.spawn(|| {
                    let reader = Box::new(Pieces { received, piece: Vec::new(), at: 0 });
                    let (content_type, length) = (self.content_type.as_str(), self.length);
                    self.send(sender, &path, Body::Stream { content_type, length, reader })
                });
                let read = self.pieces(document, attachments, |piece| {
                    // Who does not take it any more tells why.
                    pieces.send(piece.to_vec()).map_err(|_| hung_up())
                });
                drop(pieces);
                (read, sent.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            });
            match (read, sent) {
                (_, Ok(answer)) => Ok(answer),
                // What is damaged here does not heal.
                (Err(error), Err(_)) if !is_hang_up(&error) => {
                    damage = Some(error.to_string());
                    Err(Failure::bug("a damaged attachment was sent again"))
                }
                (_, Err(error)) => Err(error),
            }
        });
        match damage {
            Some(damage) => Ok(Err(damage)),
            None => Ok(Ok(delivered?)),
        }
    }

    /// Bytes of the request.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    fn parcel<'p>(&self, request: &'p str) -> Sending<'p> {
        Sending { request, documents: 1, size: self.length, attachment: self.largest }
    }

    fn path(&self, sender: &Sender<'_>) -> String {
        let id = match self.id.strip_prefix("_design/") {
            Some(name) => format!("_design/{}", encode(name)),
            None => encode(&self.id),
        };
        let query = if self.is_edit { "" } else { "?new_edits=false" };
        sender.target.path(&format!("/{id}{query}"))
    }

    fn send(&self, sender: &Sender<'_>, path: &str, body: Body<'_>) -> Result<Answer> {
        Ok(sender.target.http.send(Method::PUT, path, body, limit(self.length))?)
    }

    /// Evaluates CouchDB's answer.
    fn judge(&self, sender: &Sender<'_>, delivered: Delivered) -> Result<()> {
        match delivered {
            Delivered::Answer(answer) if answer.is_success() => sender.sent(1, self.length),
            Delivered::Answer(answer) if matches!(answer.status, 401 | 404) => {
                let request = format!("PUT {}", self.path(sender));
                return Err(sender.target.error(&request, answer.status, answer.reason()));
            }
            Delivered::Answer(answer) => sender.refuse(&self.id, &self.rev, answer.reason()),
            Delivered::Failed(reason) => sender.refuse(&self.id, &self.rev, reason),
        }
        sender.step("document sent");
        Ok(())
    }
}

/// Sends the document from memory.
pub(super) struct KeptMultipart {
    request: Multipart,
    body: Vec<u8>,
}

impl KeptMultipart {
    pub(super) fn send(&self, sender: &Sender<'_>) -> Result<()> {
        let path = self.request.path(sender);
        let name = format!("PUT {path}");
        let delivered = sender.deliver(&self.request.parcel(&name), || {
            let content_type = self.request.content_type.as_str();
            self.request.send(sender, &path, Body::Bytes { content_type, bytes: &self.body })
        })?;
        self.request.judge(sender, delivered)
    }
}

fn hung_up() -> CouchFileError {
    CouchFileError::Write(io::ErrorKind::BrokenPipe.into())
}

fn is_hang_up(error: &CouchFileError) -> bool {
    matches!(error, CouchFileError::Write(e) if e.kind() == io::ErrorKind::BrokenPipe)
}

/// A reader of the pieces that another thread reads.
struct Pieces {
    received: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            match self.received.recv() {
                Ok(piece) => (self.piece, self.at) = (piece, 0),
                Err(_) => return Ok(0),
            }
        }
        let n = buffer.len().min(self.piece.len() - self.at);
        buffer[..n].copy_from_slice(&self.piece[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}
