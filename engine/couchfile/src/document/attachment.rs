//! Attachments as a document's summary names them.
//!
//! Source: `couch_att.erl` (`from_disk_term/2`).

use md5::{Digest, Md5};

use crate::blocks::Blocks;
use crate::error::{CouchFileError, Result, TermError};
use crate::read_at::ReadAt;
use crate::term::{Decoder, ListHead, Token};

/// Bytes of an attachment read at a time.
const PIECE: u64 = 256 << 10;

/// How an attachment's bytes are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    Identity,
    /// Gzipped.
    Gzip,
}

/// A part of an attachment: a chunk in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Piece {
    /// Offset of the chunk.
    pub ptr: u64,
    /// Its payload's length in bytes; not known in old files.
    pub len: Option<u64>,
}

/// An attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its name.
    pub name: String,
    /// Its MIME type.
    pub content_type: String,
    /// Where its bytes lie, in order.
    pub pieces: Vec<Piece>,
    /// Length in bytes as stored.
    pub stored_len: u64,
    /// Length in bytes after decoding, see [`Attachment::decoded_len`].
    pub original_len: u64,
    /// Generation of the revision that brought it.
    pub revpos: u64,
    /// MD5 of the stored bytes; empty in ancient files.
    pub md5: Vec<u8>,
    /// How it is stored.
    pub encoding: Encoding,
}

impl Attachment {
    /// Length in bytes after decoding, if it is known: of what a client sent gzipped CouchDB knows only the length that it
    /// stores, and gives it as both.
    ///
    /// Source: `couch_db.erl` (`with_stream/3`).
    pub fn decoded_len(&self) -> Option<u64> {
        let is_known = self.encoding == Encoding::Identity || self.original_len != self.stored_len;
        is_known.then_some(self.original_len)
    }

    /// Reads the list of a document's attachments, which nothing follows.
    pub(super) fn decode_list(mut decoder: Decoder<'_>) -> Result<Vec<Self>, String> {
        let mut attachments = Vec::new();
        decoder
            .list_items(|d| -> Result<(), TermError> {
                attachments.push(Self::decode(d)?);
                Ok(())
            })
            .and_then(|()| decoder.end())
            .map_err(|e| format!("attachments: {e}"))?;
        Ok(attachments)
    }

    /// Reads `{Name, Type, Pieces, StoredLen, OriginalLen, RevPos, Md5, Encoding}` or one of its older forms.
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, TermError> {
        let size = decoder.tuple()?;
        if size == 2 {
            if let Token::Binary(_) = decoder.peek()? {
                return Self::decode_oldest(decoder);
            }
            // `{Base, [{Property, Value}]}` is the form with further properties.
            let attachment = Self::decode_base(decoder)?;
            decoder.skip()?;
            return Ok(attachment);
        }
        Self::decode_fields(decoder, size)
    }

    fn decode_base(decoder: &mut Decoder<'_>) -> Result<Self, TermError> {
        let size = decoder.tuple()?;
        Self::decode_fields(decoder, size)
    }

    /// Reads `Name, {Type, Pieces, StoredLen}`, the form of the first CouchDBs.
    fn decode_oldest(decoder: &mut Decoder<'_>) -> Result<Self, TermError> {
        let name = String::from_utf8_lossy(decoder.binary()?).into_owned();
        decoder.tuple_of(3)?;
        let content_type = String::from_utf8_lossy(decoder.binary()?).into_owned();
        let pieces = decode_pieces(decoder)?;
        let stored_len = decoder.uint()?;
        Ok(Self {
            name,
            content_type,
            pieces,
            stored_len,
            original_len: stored_len,
            revpos: 0,
            md5: Vec::new(),
            encoding: Encoding::Identity,
        })
    }

    fn decode_fields(decoder: &mut Decoder<'_>, size: usize) -> Result<Self, TermError> {
        if size != 8 && size != 6 {
            return Err(decoder.error("no attachment"));
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let name = text(decoder.binary()?);
        let content_type = text(decoder.binary()?);
        let pieces = decode_pieces(decoder)?;
        let stored_len = decoder.uint()?;
        let original_len = if size == 8 { decoder.uint()? } else { stored_len };
        let revpos = decoder.uint()?;
        let md5 = decoder.binary()?.to_vec();
        let encoding = if size == 8 {
            match decoder.token()? {
                Token::Atom(b"gzip" | b"true") => Encoding::Gzip,
                Token::Atom(b"identity" | b"false") => Encoding::Identity,
                _ => return Err(decoder.error("unknown encoding")),
            }
        } else {
            Encoding::Identity
        };
        Ok(Self { name, content_type, pieces, stored_len, original_len, revpos, md5, encoding })
    }
}

/// Reads `[{Ptr, Len}, …]` or, in old files, `[Ptr, …]`.
fn decode_pieces(decoder: &mut Decoder<'_>) -> Result<Vec<Piece>, TermError> {
    let n = match decoder.list()? {
        ListHead::Bytes(bytes) => {
            return Ok(bytes.iter().map(|&b| Piece { ptr: u64::from(b), len: None }).collect());
        }
        ListHead::Elements(n) => n,
    };
    let mut pieces = Vec::new();
    for _ in 0..n {
        let piece = match decoder.token()? {
            Token::Tuple(2) => Piece { ptr: decoder.uint()?, len: Some(decoder.uint()?) },
            Token::Int(ptr) => {
                Piece { ptr: u64::try_from(ptr).map_err(|_| decoder.error("negative pointer"))?, len: None }
            }
            _ => return Err(decoder.error("no pointer")),
        };
        pieces.push(piece);
    }
    if n > 0 {
        decoder.list_end()?;
    }
    Ok(pieces)
}

/// Reads an attachment's stored bytes piece by piece and checks their length and MD5 at the end.
pub fn read_attachment<R: ReadAt>(
    blocks: &Blocks<R>,
    attachment: &Attachment,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut hash = Md5::new();
    let mut len = 0u64;
    let at = attachment.pieces.first().map_or(0, |piece| piece.ptr);
    // Its pieces are chunks of their own: a larger one would name the same chunks again and again.
    if attachment.stored_len > blocks.end() {
        return Err(CouchFileError::damaged("attachment", at, "it is larger than the file"));
    }
    for piece in &attachment.pieces {
        let read = blocks.stream_chunk(piece.ptr, "attachment", PIECE, |bytes| {
            hash.update(bytes);
            each(bytes)
        })?;
        if piece.len.is_some_and(|claimed| claimed != read) {
            return Err(CouchFileError::damaged("attachment", piece.ptr, "a piece has another length"));
        }
        len = len.saturating_add(read);
        if len > attachment.stored_len {
            break;
        }
    }
    if len != attachment.stored_len {
        return Err(CouchFileError::damaged(
            "attachment",
            at,
            format!("it has {len} bytes instead of {}", attachment.stored_len),
        ));
    }
    let sum: [u8; 16] = hash.finalize().into();
    if !attachment.md5.is_empty() && attachment.md5 != sum {
        return Err(CouchFileError::damaged("attachment", at, "its MD5 is wrong"));
    }
    Ok(())
}
