//! Documents as the JSON that CouchDB's HTTP interface shows.

use std::io::{Read, Write};

use base64::prelude::{BASE64_STANDARD, Engine};

use super::attachment::{Attachment, Encoding};
use super::{DocInfo, LocalDocument};
use crate::database::Database;
use crate::ejson::{self, NegativeZero};
use crate::error::{CouchFileError, Result};
use crate::read_at::ReadAt;
use crate::revtree::{RevTree, Revision};

/// Which parts of a document are written, like the query parameters of the same names.
#[derive(Debug, Clone, Copy, Default)]
pub struct JsonOptions<'o> {
    /// `_revisions`: the ids of its ancestors.
    pub revs: bool,
    /// How attachments are written.
    pub attachments: AttachmentForm,
    /// `att_encoding_info`: which attachments are stored gzipped, and how long they are then.
    pub encoding_info: bool,
    /// How a zero with a minus is written: as CouchDB shows it, or so that a CouchDB stores it again.
    pub zero: NegativeZero,
    /// What is written as `_rev`.
    pub rev: RevMember<'o>,
    /// Further members such as `_conflicts`, written before the body's.
    pub more: &'o [(&'static str, serde_json::Value)],
}

/// What is written as `_rev`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RevMember<'o> {
    /// The revision itself.
    #[default]
    Own,
    /// Another one: that on top of which the document is written.
    Other(&'o str),
    /// Nothing.
    Absent,
}

/// How a document's attachments are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AttachmentForm {
    /// As stubs.
    #[default]
    Stubs,
    /// With their content, those of a later generation than this; 0 for all.
    InlineAfter(u64),
    /// As following in a multipart body, those of a later generation than this; 0 for all.
    FollowAfter(u64),
}

impl AttachmentForm {
    /// Whether the content of an attachment of this generation goes with the document, inline or in parts that follow.
    pub fn includes(self, revpos: u64) -> bool {
        match self {
            Self::Stubs => false,
            Self::InlineAfter(after) | Self::FollowAfter(after) => after == 0 || revpos > after,
        }
    }
}

/// Writes one revision of a document as a JSON object.
///
/// Fails if its body is not in the file, or is damaged.
/// Source of the attachments' members: `couch_att.erl` (`to_json/4`).
pub fn leaf_json<R: ReadAt>(
    database: &Database<R>,
    doc: &DocInfo<'_>,
    tree: &RevTree<'_>,
    leaf: &Revision<'_>,
    options: JsonOptions<'_>,
    out: &mut Vec<u8>,
) -> Result<()> {
    let stored = leaf.stored.ok_or_else(|| CouchFileError::Invalid(format!("no body is kept of {leaf}")))?;
    let summary = database.summary(&stored)?;
    let mut members = Members { out, first: true };
    members.open();
    members.string("_id", &String::from_utf8_lossy(doc.id));
    match options.rev {
        RevMember::Own => members.string("_rev", &leaf.to_string()),
        RevMember::Other(rev) => members.string("_rev", rev),
        RevMember::Absent => {}
    }
    if stored.deleted {
        members.key("_deleted").extend_from_slice(b"true");
    }
    if options.revs {
        let ids: Vec<String> = tree.ancestry(leaf).map(|id| id.to_string()).collect();
        let value = serde_json::json!({ "start": leaf.generation, "ids": ids });
        members.json("_revisions", &value);
    }
    for (key, value) in options.more {
        members.json(key, value);
    }
    if !summary.attachments.is_empty() {
        members.key("_attachments").push(b'{');
        for (i, attachment) in summary.attachments.iter().enumerate() {
            if i > 0 {
                members.out.push(b',');
            }
            write_string(&attachment.name, members.out);
            members.out.push(b':');
            attachment_json(database, attachment, options, members.out)?;
        }
        members.out.push(b'}');
    }
    members.body(summary.body.as_slice(), stored.summary.unwrap_or(0), options.zero)?;
    members.close();
    Ok(())
}

fn attachment_json<R: ReadAt>(
    database: &Database<R>,
    attachment: &Attachment,
    options: JsonOptions<'_>,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut members = Members { out, first: true };
    members.open();
    members.string("content_type", &attachment.content_type);
    members.json("revpos", &attachment.revpos.into());
    if !attachment.md5.is_empty() {
        members.string("digest", &format!("md5-{}", BASE64_STANDARD.encode(&attachment.md5)));
    }
    match options.attachments {
        AttachmentForm::InlineAfter(_) if options.attachments.includes(attachment.revpos) => {
            members.string("data", &BASE64_STANDARD.encode(attachment_content(database, attachment)?));
        }
        form => {
            members.json("length", &attachment.original_len.into());
            let key = if form.includes(attachment.revpos) { "follows" } else { "stub" };
            members.json(key, &true.into());
        }
    }
    if options.encoding_info && attachment.encoding == Encoding::Gzip {
        members.string("encoding", "gzip");
        members.json("encoded_length", &attachment.stored_len.into());
    }
    members.close();
    Ok(())
}

/// The complete content of an attachment, decoded.
fn attachment_content<R: ReadAt>(database: &Database<R>, attachment: &Attachment) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    database.attachment(attachment, |piece| {
        data.extend_from_slice(piece);
        Ok(())
    })?;
    match attachment.encoding {
        Encoding::Identity => Ok(data),
        Encoding::Gzip => gunzip(&data, attachment.decoded_len()),
    }
}

/// Writes a local document as a JSON object. A zero keeps its minus.
pub fn local_json(doc: &LocalDocument<'_>, out: &mut Vec<u8>) -> Result<()> {
    let mut members = Members { out, first: true };
    members.open();
    members.string("_id", &String::from_utf8_lossy(doc.id));
    members.string("_rev", &format!("0-{}", doc.revision));
    members.body(doc.body, 0, NegativeZero::Kept)?;
    members.close();
    Ok(())
}

/// Decodes gzip as `zlib:gunzip/1` does: all members, and nothing may follow.
fn gunzip(data: &[u8], len: Option<u64>) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(data)
        .take(len.map_or(u64::MAX, |len| len.saturating_add(1)))
        .read_to_end(&mut plain)
        .map_err(|e| CouchFileError::damaged("gzipped attachment", 0, e))?;
    if len.is_some_and(|len| plain.len() as u64 != len) {
        return Err(CouchFileError::damaged("gzipped attachment", 0, "it has another length"));
    }
    Ok(plain)
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    // Neither of these can fail: the target is memory, the value has text keys only.
    let _ = serde_json::to_writer(out, text);
}

fn write_value(value: &serde_json::Value, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, value);
}

/// Writes the members of an object one by one.
struct Members<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl Members<'_> {
    fn open(&mut self) {
        self.out.push(b'{');
    }

    fn close(&mut self) {
        self.out.push(b'}');
    }

    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        write_string(key, self.out);
        self.out.push(b':');
        self.out
    }

    fn string(&mut self, key: &str, value: &str) {
        let out = self.key(key);
        write_string(value, out);
    }

    fn json(&mut self, key: &str, value: &serde_json::Value) {
        let out = self.key(key);
        write_value(value, out);
    }

    /// The members of an object given as a term.
    fn body(&mut self, body: &[u8], offset: u64, zero: NegativeZero) -> Result<()> {
        let mut json = Vec::new();
        let mut decoder = crate::term::Decoder::new(body);
        ejson::write_json_with(&mut decoder, zero, &mut json)
            .and_then(|()| decoder.end())
            .map_err(|e| CouchFileError::damaged("document body", offset, e))?;
        match json.as_slice() {
            [b'{', members @ .., b'}'] => {
                if !members.is_empty() {
                    if !std::mem::take(&mut self.first) {
                        self.out.push(b',');
                    }
                    self.out.write_all(members).map_err(CouchFileError::Write)?;
                }
                Ok(())
            }
            _ => Err(CouchFileError::damaged("document body", offset, "it is not an object")),
        }
    }
}
