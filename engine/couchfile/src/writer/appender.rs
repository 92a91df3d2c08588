//! Appends chunks and headers to a file, laying them over blocks.

use std::io::Write;

use crate::blocks::{self, BLOCK, DATA_PREFIX};
use crate::checksum;
use crate::compression::{self, Compression};
use crate::error::{CouchFileError, Result};
use crate::header;

/// Where a chunk was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Offset to point to.
    pub ptr: u64,
    /// Bytes on disk, prefixes included.
    pub len: u64,
}

/// Writes a file's chunks one after another.
#[derive(Debug)]
pub struct Appender<W> {
    out: W,
    pos: u64,
    compression: Compression,
}

impl<W: Write> Appender<W> {
    /// Appends at offset `pos` of the file; `out` gets the bytes from there on.
    pub fn new(out: W, pos: u64, compression: Compression) -> Self {
        Self { out, pos, compression }
    }

    /// Offset of the next byte.
    pub fn position(&self) -> u64 {
        self.pos
    }

    /// Returns the output.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(CouchFileError::Write)?;
        self.pos += bytes.len() as u64;
        Ok(())
    }

    fn payload(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.pos.is_multiple_of(BLOCK) {
                self.raw(&[DATA_PREFIX])?;
            }
            let (now, later) = bytes.split_at(bytes.len().min((BLOCK - self.pos % BLOCK) as usize));
            self.raw(now)?;
            bytes = later;
        }
        Ok(())
    }

    fn chunk(&mut self, payload: &[u8], sum: Option<[u8; checksum::LEN]>) -> Result<Written> {
        let too_long = || CouchFileError::Invalid("a chunk of 2 GiB or more".into());
        let len = u32::try_from(payload.len()).ok().filter(|len| len >> 31 == 0).ok_or_else(too_long)?;
        let ptr = self.pos;
        if let Some(sum) = sum {
            self.payload(&(len | 1 << 31).to_be_bytes())?;
            self.payload(&sum)?;
        } else {
            self.payload(&len.to_be_bytes())?;
        }
        self.payload(payload)?;
        Ok(Written { ptr, len: self.pos - ptr })
    }

    /// Appends bytes without checksum: a piece of an attachment.
    pub fn piece(&mut self, bytes: &[u8]) -> Result<Written> {
        self.chunk(bytes, None)
    }

    /// Appends a term (with version byte), packed, without checksum: a node, a security object, properties.
    pub fn term(&mut self, term: &[u8]) -> Result<Written> {
        let packed = compression::pack(term, self.compression);
        self.chunk(&packed, None)
    }

    /// Appends a document summary, whose parts are packed already, with its checksum (MD5).
    pub fn summary(&mut self, term: &[u8]) -> Result<Written> {
        self.copied_summary(term, checksum::md5(term))
    }

    /// Appends a document summary whose MD5 is known: that of another file, where it was compared.
    pub(crate) fn copied_summary(&mut self, term: &[u8], md5: [u8; checksum::LEN]) -> Result<Written> {
        self.chunk(term, Some(md5))
    }

    /// Packs a term (with version byte) for use inside a summary.
    pub fn pack(&self, term: &[u8]) -> Vec<u8> {
        compression::pack(term, self.compression)
    }

    /// Fills the last block with zeros and appends a header; gives the header's offset.
    pub fn header(&mut self, term: &[u8]) -> Result<u64> {
        let padding = (BLOCK - self.pos % BLOCK) % BLOCK;
        self.raw(&[0; BLOCK as usize][..padding as usize])?;
        let offset = self.pos;
        self.raw(&header::encode(term))?;
        Ok(offset)
    }

    /// What [`Written::len`] of a chunk with a payload of `n` bytes without checksum would be at the present position.
    pub fn len_of(&self, n: u64) -> u64 {
        blocks::physical_len(self.pos, 4 + n)
    }
}
