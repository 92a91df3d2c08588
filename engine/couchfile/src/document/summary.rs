//! A document's summary: its body and the list of its attachments.
//!
//! Source: `couch_bt_engine.erl` (`serialize_doc/2`, `read_doc_body/2`).

use super::attachment::Attachment;
use crate::blocks::Blocks;
use crate::compression::{self, TermBytes};
use crate::error::{CouchFileError, TermError};
use crate::read_at::ReadAt;
use crate::term::{Encoder, Token};

/// A revision's body and attachments.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The body, an object as a term.
    pub body: TermBytes<'static>,
    /// In the document's order.
    pub attachments: Vec<Attachment>,
}

impl Summary {
    /// Reads the summary at `ptr`, and compares it with its checksum if it has one.
    pub fn read<R: ReadAt>(blocks: &Blocks<R>, ptr: u64) -> crate::error::Result<Self> {
        let chunk = blocks.read_chunk(ptr, "document summary")?;
        Self::decode(&chunk.payload).map_err(|why| CouchFileError::damaged("document summary", ptr, why))
    }

    /// Reads `{Body, Attachments}` as packed terms in binaries or, in files from before CouchDB 1.2, directly.
    pub fn decode(payload: &[u8]) -> Result<Self, String> {
        let outer = compression::unpack(payload)?;
        let mut decoder = outer.decoder();
        let text = |e: TermError| e.to_string();
        decoder.tuple_of(2).map_err(text)?;
        let mut part = || -> Result<TermBytes<'static>, String> {
            if let Token::Binary(packed) = decoder.peek().map_err(text)? {
                decoder.skip().map_err(text)?;
                return Ok(compression::unpack(packed)?.into_owned());
            }
            let mut term = Encoder::versioned();
            term.raw(decoder.raw().map_err(text)?);
            Ok(compression::unpack(&term.finish())?.into_owned())
        };
        let body = part()?;
        let list = part()?;
        decoder.end().map_err(text)?;
        body.decoder().tuple().map_err(|e| format!("the body is not an object: {e}"))?;
        let mut check = body.decoder();
        check.skip().and_then(|()| check.end()).map_err(|e| format!("body: {e}"))?;
        Ok(Self { attachments: Attachment::decode_list(list.decoder())?, body })
    }
}
