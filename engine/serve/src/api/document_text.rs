//! Documents as JSON text, in the order of members in which CouchDB writes them.
//!
//! Sources: `couch_doc.erl` (`doc_to_json_obj/2`), `couch_att.erl` (`to_json/4`), `couch_db.erl` (`doc_meta_info/3`,
//! `find_ancestor_rev_pos/2`).

use std::io::{self, Write};

use base64::prelude::{BASE64_STANDARD, Engine};
use base64::write::EncoderWriter;
use couchfile::document::{Attachment, Encoding, Summary};
use couchfile::ejson;
use couchfile::error::CouchFileError;
use couchfile::json::Json;
use couchfile::revtree::Revision;
use serde_json::{Value, json};
use snapshot::Document;

use super::context::{Db, writing};
use super::document_query::Shown;
use super::revision::Rev;
use crate::http::Failure;

/// A revision of a document that is to be shown.
pub(super) struct DocumentText<'d> {
    db: &'d Db,
    doc: &'d Document<'d>,
    revision: Revision<'d>,
    summary: Summary,
    shown: Shown,
    /// Attachments of later generations come with their content.
    after: Option<u64>,
    /// They follow in a multipart body.
    follow: bool,
}

impl<'d> DocumentText<'d> {
    /// Reads what is to be shown of a revision. Attachments that `since` has come as stubs.
    pub(super) fn read(
        db: &'d Db,
        doc: &'d Document<'d>,
        revision: Revision<'d>,
        shown: Shown,
        since: Option<&[Rev]>,
    ) -> Result<Self, Failure> {
        let failed = |e| db.failed(doc.id(), e);
        let summary = doc.summary(&revision).map_err(failed)?;
        let after = match since {
            Some(since) => Some(known_generation(doc, &revision, since).map_err(failed)?),
            None if shown.attachments => Some(0),
            None => None,
        };
        Ok(Self { db, doc, revision, summary, shown, after, follow: false })
    }

    /// With attachments that follow the document; all of them, unless some are stubs already.
    pub(super) fn with_attachments_following(mut self) -> Self {
        self.follow = true;
        self.shown.encoding_info = true;
        self.after = self.after.or(Some(0));
        self
    }

    /// The attachments that come with their content.
    pub(super) fn included(&self) -> impl Iterator<Item = &Attachment> {
        self.summary.attachments.iter().filter(|attachment| self.includes(attachment))
    }

    /// Whether it has attachments.
    pub(super) fn has_attachments(&self) -> bool {
        !self.summary.attachments.is_empty()
    }

    /// The document's attachments.
    pub(super) fn attachments(&self) -> &[Attachment] {
        &self.summary.attachments
    }

    /// The revision as text.
    pub(super) fn rev(&self) -> String {
        self.revision.to_string()
    }

    /// Writes an attachment's bytes, as they are stored or decoded.
    pub(super) fn write_attachment(
        &self,
        attachment: &Attachment,
        decode: bool,
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        let what = format!("{}/{}", self.doc.id(), attachment.name);
        self.doc
            .attachment(attachment, decode, |piece| out.write_all(piece).map_err(writing))
            .map_err(|e| self.db.failed(&what, e))
    }

    /// Writes an attachment's complete content within a document.
    fn write_decoded(&self, attachment: &Attachment, out: &mut dyn Write) -> Result<(), Failure> {
        let what = format!("{}/{}", self.doc.id(), attachment.name);
        self.doc
            .decoded_attachment(attachment, |piece| out.write_all(piece).map_err(writing))
            .map_err(|e| self.db.failed(&what, e))
    }

    /// The document as text.
    pub(super) fn to_vec(&self) -> Result<Vec<u8>, Failure> {
        let mut text = Vec::new();
        self.write(&mut text)?;
        Ok(text)
    }

    /// Writes the document.
    pub(super) fn write(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let failed = |e| self.db.failed(self.doc.id(), e);
        out.write_all(b"{\"_id\":")?;
        string(out, self.doc.id())?;
        write!(out, ",\"_rev\":")?;
        string(out, &self.revision.to_string())?;
        let body = body_members(&self.summary).map_err(failed)?;
        if !body.is_empty() {
            out.write_all(b",")?;
            out.write_all(&body)?;
        }
        if self.revision.stored.is_some_and(|stored| stored.deleted) {
            out.write_all(b",\"_deleted\":true")?;
        }
        if self.shown.revs {
            let tree = self.doc.revisions().map_err(failed)?;
            let ids: Vec<String> = tree.ancestry(&self.revision).map(|id| id.to_string()).collect();
            write!(out, ",\"_revisions\":{}", json!({"start": self.revision.generation, "ids": ids}))?;
        }
        for (key, value) in self.meta().map_err(failed)? {
            write!(out, ",\"{key}\":{value}")?;
        }
        if self.has_attachments() {
            out.write_all(b",\"_attachments\":{")?;
            for (i, attachment) in self.summary.attachments.iter().enumerate() {
                if i > 0 {
                    out.write_all(b",")?;
                }
                string(out, &attachment.name)?;
                out.write_all(b":")?;
                self.write_attachment_member(attachment, out)?;
            }
            out.write_all(b"}")?;
        }
        out.write_all(b"}")?;
        Ok(())
    }

    /// What is shown about the winner, if anything.
    fn meta(&self) -> couchfile::error::Result<Vec<(&'static str, Value)>> {
        let mut meta = Vec::new();
        if self.shown.revs_info {
            let history = self.doc.history(&self.revision)?;
            let infos = history.into_iter().map(|(rev, status)| json!({"rev": rev, "status": status.name()}));
            meta.push(("_revs_info", infos.collect()));
        }
        if self.shown.local_seq {
            meta.push(("_local_seq", self.doc.seq().into()));
        }
        for (wanted, deleted, key) in [
            (self.shown.conflicts, false, "_conflicts"),
            (self.shown.deleted_conflicts, true, "_deleted_conflicts"),
        ] {
            let revs = if wanted { self.doc.conflicts(deleted)? } else { Vec::new() };
            if !revs.is_empty() {
                meta.push((key, json!(revs)));
            }
        }
        Ok(meta)
    }

    fn includes(&self, attachment: &Attachment) -> bool {
        self.after.is_some_and(|after| attachment.revpos > after || after == 0)
    }

    fn write_attachment_member(&self, attachment: &Attachment, out: &mut dyn Write) -> Result<(), Failure> {
        out.write_all(b"{\"content_type\":")?;
        string(out, &attachment.content_type)?;
        write!(out, ",\"revpos\":{}", attachment.revpos)?;
        if !attachment.md5.is_empty() {
            write!(out, ",\"digest\":\"md5-{}\"", BASE64_STANDARD.encode(&attachment.md5))?;
        }
        let included = self.includes(attachment);
        if included && !self.follow {
            out.write_all(b",\"data\":\"")?;
            let mut encoder = EncoderWriter::new(&mut *out, &BASE64_STANDARD);
            self.write_decoded(attachment, &mut encoder)?;
            encoder.finish()?;
            drop(encoder);
            out.write_all(b"\"")?;
        } else {
            let how = if included { "follows" } else { "stub" };
            write!(out, ",\"length\":{},\"{how}\":true", attachment.original_len)?;
        }
        if self.shown.encoding_info && attachment.encoding == Encoding::Gzip {
            write!(out, ",\"encoding\":\"gzip\",\"encoded_length\":{}", attachment.stored_len)?;
        }
        out.write_all(b"}")?;
        Ok(())
    }
}

/// Writes a text as JSON.
pub(super) fn string(out: &mut dyn Write, text: &str) -> io::Result<()> {
    serde_json::to_writer(out, text).map_err(io::Error::from)
}

/// The generation of the youngest ancestor among these revisions; 0 if there is none.
fn known_generation(
    doc: &Document<'_>,
    revision: &Revision<'_>,
    since: &[Rev],
) -> couchfile::error::Result<u64> {
    let tree = doc.revisions()?;
    let all = tree.revisions();
    let mut ancestors =
        std::iter::successors(Some(revision), |r| r.parent.and_then(|parent| all.get(parent)));
    Ok(ancestors.find(|r| since.iter().any(|rev| rev.is(r))).map_or(0, |r| r.generation))
}

/// A document as text, as a value.
pub(super) fn value_of(db: &Db, doc: &Document<'_>, text: &[u8]) -> Result<Json, Failure> {
    Json::parse(text).map_err(|e| db.failed(doc.id(), CouchFileError::Invalid(e.to_string())))
}

/// The members of a body, without braces.
fn body_members(summary: &Summary) -> couchfile::error::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut decoder = summary.body.decoder();
    ejson::write_json(&mut decoder, &mut text)
        .and_then(|()| decoder.end())
        .map_err(|e| CouchFileError::damaged("document body", 0, e))?;
    match text.as_slice() {
        [b'{', members @ .., b'}'] => Ok(members.to_vec()),
        _ => Err(CouchFileError::damaged("document body", 0, "it is not an object")),
    }
}
