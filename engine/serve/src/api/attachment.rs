//! `/{db}/{id}/{name}`: attachments.
//!
//! Source: `chttpd_db.erl` (`db_attachment_req/4`).

use std::io::Write;

use base64::prelude::{BASE64_STANDARD, Engine};
use couchfile::document::{Attachment, Encoding};

use super::context::{Context, Db};
use super::document_query::{DocumentQuery, Shown};
use super::document_text::DocumentText;
use super::multipart::boundary;
use super::revision;
use crate::http::{
    Done, Encodings, Failure, Head, HttpError, Method, Ranges, Reply, etag_matches, parse_ranges,
};

/// Answers a request for an attachment.
pub(super) fn attachment(
    context: Context<'_>,
    db: &Db,
    id: &str,
    name: &str,
    reply: Reply,
) -> Result<Done, Failure> {
    let call = context.call;
    if call.method != Method::Get {
        return Err(HttpError::read_only("GET,HEAD").into());
    }
    let query = DocumentQuery::of(call)?;
    let doc = db.0.document(id)?.ok_or_else(|| HttpError::not_found("missing"))?;
    let failed = |e| db.failed(id, e);
    let tree = doc.revisions().map_err(failed)?;
    let revision = match &query.rev {
        Some(rev) => {
            let opened = revision::open(&tree, Some(std::slice::from_ref(rev)), query.latest);
            opened.found.first().copied().ok_or_else(|| HttpError::not_found("missing"))?
        }
        None if doc.is_deleted() && !query.deleted => return Err(HttpError::not_found("deleted").into()),
        None => doc.winner().map_err(failed)?,
    };
    let text = DocumentText::read(db, &doc, revision, Shown::default(), None)?;
    let found = text.attachments().iter().find(|attachment| attachment.name == name);
    let attachment = found.ok_or_else(|| HttpError::not_found("Document is missing attachment"))?;

    let etag = match attachment.md5.as_slice() {
        [] => format!("\"{}\"", text.rev()),
        md5 => format!("\"{}\"", BASE64_STANDARD.encode(md5)),
    };
    if etag_matches(call, &etag) {
        return reply.not_modified(&etag);
    }
    let takes_gzip = Encodings::of(call)?.gzip;
    let is_plain = attachment.encoding == Encoding::Identity;
    let mut head = Head::plain(200)
        .with("etag", etag)
        .with("cache-control", "must-revalidate")
        .with("content-type", attachment.content_type.clone())
        .with("accept-ranges", if is_plain { "bytes" } else { "none" })
        // What is attached may be a page: in a browser it must not be able to read the rest.
        .with("content-security-policy", "sandbox")
        .with("x-content-type-options", "nosniff");
    if !is_plain {
        if takes_gzip {
            head = head.with("content-encoding", "gzip");
        }
        // Where a client sent it gzipped, the length without is not known.
        head.length = match (takes_gzip, attachment.original_len == attachment.stored_len) {
            (true, _) => Some(attachment.stored_len),
            (false, false) => Some(attachment.original_len),
            (false, true) => None,
        };
        let mut out = reply.stream(head);
        text.write_attachment(attachment, !takes_gzip, &mut out)?;
        return out.finish();
    }
    let len = attachment.stored_len;
    match parse_ranges(call.header("range"), len)? {
        Ranges::Whole => {
            head.length = Some(len);
            let mut out = reply.stream(head);
            text.write_attachment(attachment, false, &mut out)?;
            out.finish()
        }
        Ranges::One(from, to) => {
            head.status = 206;
            head.length = Some(to - from + 1);
            head = head.with("content-range", format!("bytes {from}-{to}/{len}"));
            let mut out = reply.stream(head);
            write_range(&text, attachment, (from, to), &mut out)?;
            out.finish()
        }
        Ranges::Several(ranges) => {
            let boundary = boundary()?;
            let content_type = format!("multipart/byteranges; boundary=\"{boundary}\"");
            let mut out = reply.stream(Head::plain(206).with("content-type", content_type));
            write!(out, "--{boundary}")?;
            for (from, to) in ranges {
                let content_type = &attachment.content_type;
                write!(
                    out,
                    "\r\nContent-Type: {content_type}\r\nContent-Range: bytes {from}-{to}/{len}\r\n\r\n"
                )?;
                write_range(&text, attachment, (from, to), &mut out)?;
                write!(out, "\r\n--{boundary}")?;
            }
            out.write_all(b"--")?;
            out.finish()
        }
    }
}

/// Writes the bytes from one to another, both included.
fn write_range(
    text: &DocumentText<'_>,
    attachment: &Attachment,
    (from, to): (u64, u64),
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let (part, begins) = pieces_of(attachment, from, to);
    let mut window = Window { out, at: begins, from, to };
    text.write_attachment(&part, false, &mut window)
}

/// The pieces of an attachment that hold a range, as an attachment for itself, and where they begin. Without MD5: it is that of
/// the whole.
fn pieces_of(attachment: &Attachment, from: u64, to: u64) -> (Attachment, u64) {
    if attachment.pieces.iter().any(|piece| piece.len.is_none()) {
        return (attachment.clone(), 0);
    }
    let mut part = Attachment { pieces: Vec::new(), stored_len: 0, md5: Vec::new(), ..attachment.clone() };
    let (mut at, mut begins) = (0u64, 0);
    for piece in &attachment.pieces {
        let len = piece.len.unwrap_or(0);
        let end = at.saturating_add(len);
        if end > from && at <= to {
            if part.pieces.is_empty() {
                begins = at;
            }
            part.pieces.push(*piece);
            part.stored_len = part.stored_len.saturating_add(len);
        }
        at = end;
    }
    (part, begins)
}

/// Lets through what is inside of a range.
struct Window<'o> {
    out: &'o mut dyn Write,
    at: u64,
    from: u64,
    to: u64,
}

impl Write for Window<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let len = bytes.len() as u64;
        let inside = |position: u64| position.saturating_sub(self.at).min(len) as usize;
        let (first, past) = (inside(self.from), inside(self.to.saturating_add(1)));
        if first < past {
            self.out.write_all(&bytes[first..past])?;
        }
        self.at = self.at.saturating_add(len);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use couchfile::document::Piece;

    use super::*;

    #[test]
    fn a_range_takes_the_pieces_that_hold_it() {
        let pieces = [(100, 10), (200, 10), (300, 10)].map(|(ptr, len)| Piece { ptr, len: Some(len) });
        let attachment = Attachment {
            name: "a".into(),
            content_type: String::new(),
            pieces: pieces.to_vec(),
            stored_len: 30,
            original_len: 30,
            revpos: 1,
            md5: vec![1; 16],
            encoding: Encoding::Identity,
        };
        let (part, begins) = pieces_of(&attachment, 12, 19);
        assert_eq!((part.pieces.as_slice(), begins, part.stored_len), (&pieces[1..2], 10, 10));
        let (part, begins) = pieces_of(&attachment, 9, 20);
        assert_eq!((part.pieces.len(), begins), (3, 0));
    }

    #[test]
    fn a_window_lets_through_what_is_inside() {
        let mut found = Vec::new();
        let mut window = Window { out: &mut found, at: 10, from: 12, to: 16 };
        for bytes in [&b"abcd"[..], b"efg", b"hij"] {
            window.write_all(bytes).unwrap();
        }
        assert_eq!(found, b"cdefg");
    }
}
