//! A compressed piece: a byte that names the codec, and the content in its encoding.

use std::cell::RefCell;

use crate::error::{RepositoryError, Result};

/// Not compressed.
const RAW: u8 = 0;
/// One frame of zstd.
const ZSTD: u8 = 1;

/// The level of compression, chosen by measurement: see `docs/repository-format.md`.
pub(crate) const LEVEL: i32 = 3;

thread_local! {
    static COMPRESSOR: RefCell<Option<(i32, zstd::bulk::Compressor<'static>)>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Compresses a piece.
pub(crate) fn encode(content: &[u8], level: i32) -> Result<Vec<u8>> {
    let failed = |_| RepositoryError::Bug("a piece cannot be compressed");
    let mut out = vec![ZSTD; zstd::zstd_safe::compress_bound(content.len()) + 1];
    let length = COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept.take() {
            Some((of, compressor)) if of == level => compressor,
            _ => zstd::bulk::Compressor::new(level).map_err(failed)?,
        };
        let (_, compressor) = kept.insert((level, compressor));
        compressor.compress_to_buffer(content, out.get_mut(1..).unwrap_or_default()).map_err(failed)
    })?;
    if length >= content.len() {
        out.clear();
        out.push(RAW);
        out.extend_from_slice(content);
    } else {
        out.truncate(length + 1);
    }
    Ok(out)
}

/// Decompresses a piece of exactly `size` bytes. The error says what is wrong.
pub(crate) fn decode(piece: &[u8], size: usize) -> Result<Vec<u8>, &'static str> {
    const OTHER: &str = "a piece has another length than is recorded";
    let (codec, data) = piece.split_first().ok_or("a piece is empty")?;
    let content = match *codec {
        RAW => data.to_vec(),
        ZSTD => DECOMPRESSOR.with_borrow_mut(|kept| {
            let decompressor = match kept.take() {
                Some(decompressor) => decompressor,
                None => zstd::bulk::Decompressor::new().map_err(|_| "no memory to decompress")?,
            };
            kept.insert(decompressor).decompress(data, size).map_err(|_| "a piece cannot be decompressed")
        })?,
        _ => return Err("a piece has a codec that is not known"),
    };
    if content.len() == size { Ok(content) } else { Err(OTHER) }
}

/// The most bytes of a piece of `size` bytes of content.
pub(crate) fn longest(size: u64) -> u64 {
    size.saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back() {
        let mut noise = vec![0; 5000];
        getrandom::fill(&mut noise).unwrap();
        for content in [vec![], vec![7; 100_000], noise] {
            let piece = encode(&content, LEVEL).unwrap();
            assert!(piece.len() as u64 <= longest(content.len() as u64));
            assert_eq!(decode(&piece, content.len()).unwrap(), content);
            assert!(decode(&piece, content.len() + 1).is_err());
            assert!(
                decode(piece.get(..piece.len() / 2).unwrap(), content.len()).is_err() || content.is_empty()
            );
        }
        assert!(decode(&[9, 1], 1).is_err());
        assert!(decode(&[], 0).is_err());
        // A frame that claims to be huge takes no more memory than was asked for.
        let bomb = encode(&vec![0; 10 << 20], LEVEL).unwrap();
        assert!(decode(&bomb, 1000).is_err());
    }
}
