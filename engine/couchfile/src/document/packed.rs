//! A document's summary with the body as it is stored, for copies that need not understand the body.
//!
//! Source: `couch_bt_engine.erl` (`serialize_doc/2`, `read_doc_body/2`).

use super::attachment::Attachment;
use crate::blocks::Blocks;
use crate::checksum::{self, Checksum};
use crate::compression::{self, Compression, TermBytes};
use crate::error::{CouchFileError, Result, TermError};
use crate::read_at::ReadAt;
use crate::term::{Decoder, Encoder, Token};

/// A revision's body, still packed, and its attachments.
#[derive(Debug, Clone)]
pub(crate) struct PackedSummary {
    /// The body: an object as a packed term.
    pub(crate) body: Vec<u8>,
    /// In the document's order.
    pub(crate) attachments: Vec<Attachment>,
    /// As it lies in the file, with its MD5, if it carries one; it was right.
    stored: Option<(Vec<u8>, [u8; checksum::LEN])>,
}

impl PackedSummary {
    /// Reads the summary at `ptr`, and compares it with its checksum if it has one.
    pub(crate) fn read<R: ReadAt>(blocks: &Blocks<R>, ptr: u64) -> Result<Self> {
        let chunk = blocks.read_chunk(ptr, "document summary")?;
        let mut summary = Self::decode(&chunk.payload)
            .map_err(|why| CouchFileError::damaged("document summary", ptr, why))?;
        if let Some((Checksum::Md5, md5)) = chunk.checksum {
            summary.stored = Some((chunk.payload, md5));
        }
        Ok(summary)
    }

    /// The MD5 of what is to be written in its place, if that is what lies in the file.
    pub(crate) fn md5_of(&self, written: &[u8]) -> Option<[u8; checksum::LEN]> {
        self.stored.as_ref().filter(|(stored, _)| stored == written).map(|(_, md5)| *md5)
    }

    /// The summary of a revision of which no body was ever stored.
    pub(crate) fn empty() -> Self {
        let mut body = Encoder::versioned();
        body.tuple(1).nil();
        Self { body: body.finish(), attachments: Vec::new(), stored: None }
    }

    /// Reads `{Body, Attachments}` as packed terms in binaries or, in files from before CouchDB 1.2, directly.
    fn decode(payload: &[u8]) -> Result<Self, String> {
        let text = |e: TermError| e.to_string();
        let outer = compression::unpack(payload)?;
        let mut decoder = outer.decoder();
        decoder.tuple_of(2).map_err(text)?;
        let body = packed_part(&mut decoder)?;
        let list = packed_part(&mut decoder)?;
        decoder.end().map_err(text)?;
        let list = compression::unpack(&list)?;
        Ok(Self { attachments: Attachment::decode_list(list.decoder())?, body, stored: None })
    }

    /// The body as a term.
    pub(crate) fn body(&self) -> Result<TermBytes<'_>, String> {
        compression::unpack(&self.body)
    }
}

/// The next part of a summary as a packed term.
fn packed_part(decoder: &mut Decoder<'_>) -> Result<Vec<u8>, String> {
    let text = |e: TermError| e.to_string();
    if let Token::Binary(packed) = decoder.peek().map_err(text)? {
        decoder.skip().map_err(text)?;
        return Ok(packed.to_vec());
    }
    let mut term = Encoder::versioned();
    term.raw(decoder.raw().map_err(text)?);
    Ok(compression::pack(&term.finish(), Compression::default()))
}
