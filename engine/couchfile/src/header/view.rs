//! The header of a view index: `{Signature, {mrheader, Seq, PurgeSeq, …}}`.
//!
//! Source: `couch_mrview.hrl` and `couch_mrview_util.erl` (`make_header/1`, `init_state/4`).

use crate::error::{CouchFileError, Result, TermError};
use crate::term::Decoder;

/// What the header of a view index says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewHeader {
    /// 16 bytes, named by the file's name in hexadecimal.
    pub signature: Vec<u8>,
    /// Sequence of the database up to which the index was built; 0 in a fresh one.
    pub update_seq: u64,
    /// Purge sequence of the database up to which purges were applied.
    pub purge_seq: u64,
    /// Offsets of the roots of its trees.
    pub roots: Vec<u64>,
}

impl ViewHeader {
    /// Reads a header's term (with version byte) found at `offset`; `None` if it is not that of a view index.
    pub fn decode(term: &[u8], offset: u64) -> Result<Option<Self>> {
        Self::parse(term).map_err(|e| CouchFileError::damaged("view header", offset, e))
    }

    fn parse(term: &[u8]) -> Result<Option<Self>, TermError> {
        let mut decoder = Decoder::versioned(term)?;
        if decoder.tuple()? != 2 {
            return Ok(None);
        }
        let Ok(signature) = decoder.binary() else { return Ok(None) };
        let signature = signature.to_vec();
        if decoder.take_atom(b"nil")? {
            decoder.end()?;
            return Ok(Some(Self { signature, update_seq: 0, purge_seq: 0, roots: Vec::new() }));
        }
        let size = decoder.tuple()?;
        if !decoder.take_atom(b"mrheader")? {
            return Ok(None);
        }
        let update_seq = decoder.uint()?;
        let purge_seq = decoder.uint()?;
        let mut roots = Vec::new();
        // What follows differs from version to version (a second tree before 2.3, a map since 3.2.1); the trees among
        // it are what can be checked.
        for _ in 3..size {
            let part = decoder.raw()?;
            collect_roots(part, &mut roots)?;
        }
        decoder.end()?;
        Ok(Some(Self { signature, update_seq, purge_seq, roots }))
    }
}

/// Pointers of all tree states in an element: `{Ptr, Red, Size}`, or a list of `{State, …}`.
fn collect_roots(part: &[u8], roots: &mut Vec<u64>) -> Result<(), TermError> {
    use crate::term::Token;
    let mut decoder = Decoder::new(part);
    match decoder.token()? {
        Token::Tuple(3) => {
            if let Token::Int(ptr) = decoder.token()? {
                roots.extend(u64::try_from(ptr));
            }
        }
        Token::List(n) => {
            for _ in 0..n {
                let mut item = Decoder::new(decoder.raw()?);
                if let Token::Tuple(1..) = item.token()?
                    && let Token::Tuple(3) = item.token()?
                    && let Token::Int(ptr) = item.token()?
                {
                    roots.extend(u64::try_from(ptr));
                }
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::Encoder;

    #[test]
    fn reads_fresh_and_built_indexes() {
        let mut fresh = Encoder::versioned();
        fresh.tuple(2).binary(&[7; 16]).atom(b"nil");
        let header = ViewHeader::decode(fresh.as_bytes(), 0).unwrap().unwrap();
        assert_eq!((header.update_seq, header.purge_seq), (0, 0));

        let mut built = Encoder::versioned();
        built.tuple(2).binary(&[7; 16]).tuple(5).atom(b"mrheader").uint(12).uint(3);
        built.tuple(3).uint(4711).nil().uint(99);
        built.list(2);
        built.tuple(5).tuple(3).uint(4712).nil().uint(1).nil().nil().uint(12).uint(3);
        built.tuple(5).atom(b"nil").nil().nil().uint(12).uint(3);
        built.nil();
        let header = ViewHeader::decode(built.as_bytes(), 0).unwrap().unwrap();
        assert_eq!((header.update_seq, header.purge_seq), (12, 3));
        assert_eq!(header.roots, [4711, 4712]);
    }
}
