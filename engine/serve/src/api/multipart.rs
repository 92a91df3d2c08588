//! Documents with their attachments in one body of several parts.
//!
//! Sources: `couch_httpd_multipart.erl` (`encode_multipart_stream/5`, `length_multipart_stream/3`), `chttpd_db.erl`
//! (`send_docs_multipart/3`).

use std::io::Write;

use couchfile::document::{Attachment, Encoding};

use super::document_text::DocumentText;
use crate::http::{Failure, HttpError};

/// A document and the attachments that follow it, ready to be written.
pub(super) struct Multipart<'t> {
    text: &'t DocumentText<'t>,
    json: Vec<u8>,
    boundary: &'t str,
}

impl<'t> Multipart<'t> {
    /// Prepares a document whose attachments follow it.
    pub(super) fn new(text: &'t DocumentText<'t>, boundary: &'t str) -> Result<Self, Failure> {
        Ok(Self { text, json: text.to_vec()?, boundary })
    }

    /// Whether any attachment follows: without it is the document alone.
    pub(super) fn has_parts(&self) -> bool {
        self.text.included().next().is_some()
    }

    /// The type of the body.
    pub(super) fn content_type(&self) -> String {
        if self.has_parts() {
            format!("multipart/related; boundary=\"{}\"", self.boundary)
        } else {
            "application/json".to_owned()
        }
    }

    /// Length of the body in bytes.
    pub(super) fn len(&self) -> u64 {
        if !self.has_parts() {
            return self.json.len() as u64;
        }
        let fixed =
            2 * (2 + self.boundary.len()) + 2 + b"\r\nContent-Type: application/json\r\n\r\n".len() + 2;
        let parts = self.text.included().map(|attachment| {
            let framing = part_head(attachment).len() + 4 + self.boundary.len();
            attachment.stored_len.saturating_add(framing as u64)
        });
        parts.fold((fixed + self.json.len()) as u64, u64::saturating_add)
    }

    /// Writes the body.
    pub(super) fn write(&self, out: &mut dyn Write) -> Result<(), Failure> {
        if !self.has_parts() {
            return Ok(out.write_all(&self.json)?);
        }
        let boundary = self.boundary;
        write!(out, "--{boundary}\r\nContent-Type: application/json\r\n\r\n")?;
        out.write_all(&self.json)?;
        write!(out, "\r\n--{boundary}")?;
        for attachment in self.text.included() {
            out.write_all(&part_head(attachment))?;
            self.text.write_attachment(attachment, false, out)?;
            write!(out, "\r\n--{boundary}")?;
        }
        out.write_all(b"--")?;
        Ok(())
    }
}

/// The head of an attachment's part.
fn part_head(attachment: &Attachment) -> Vec<u8> {
    let encoding = match attachment.encoding {
        Encoding::Identity => "",
        Encoding::Gzip => "\r\nContent-Encoding: gzip",
    };
    format!(
        "\r\nContent-Disposition: attachment; filename=\"{}\"\r\nContent-Type: {}\r\nContent-Length: {}{encoding}\r\n\r\n",
        attachment.name, attachment.content_type, attachment.stored_len
    )
    .into_bytes()
}

/// A boundary that nothing else has.
pub(super) fn boundary() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| HttpError::new(500, "internal_server_error", format!("no random numbers: {e}")))?;
    Ok(hex::encode(bytes))
}
