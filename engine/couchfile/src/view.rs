//! View index files.

use crate::blocks::Blocks;
use crate::error::{CouchFileError, Result};
use crate::header::{self, ViewHeader};
use crate::read_at::ReadAt;

/// A view index as its last valid header says it is.
#[derive(Debug)]
pub struct ViewIndex {
    /// The header.
    pub header: ViewHeader,
    /// Offset of the header's block.
    pub header_offset: u64,
    /// Offset after the header's last byte: so much of the file is this index.
    pub header_end: u64,
}

impl ViewIndex {
    /// Opens an index at its last valid header and checks that the roots of its trees can be read.
    ///
    /// The keys inside are in the order of ICU's collation, which is not checked here.
    pub fn open<R: ReadAt>(source: R) -> Result<Self> {
        let len = source.len();
        let blocks = Blocks::new(source);
        let raw = header::find_last(&blocks)?.ok_or(CouchFileError::NoHeader { len })?;
        let offset = raw.offset;
        let Some(header) = ViewHeader::decode(&raw.term, offset)? else {
            return Err(CouchFileError::WrongKind { offset, expected: "view index" });
        };
        let blocks = blocks.up_to(offset);
        for &root in &header.roots {
            let (term, _) = blocks.read_term(root, "view tree")?;
            let mut decoder = term.decoder();
            let whole = decoder.skip().and_then(|()| decoder.end());
            whole.map_err(|e| CouchFileError::damaged("view tree", root, e))?;
        }
        Ok(Self { header, header_offset: offset, header_end: raw.end })
    }
}
