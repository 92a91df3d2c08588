//! CouchDB's wrapper of compressed terms (`couch_compress`): the first byte says how a term was packed.
//!
//! Source: `couch_compress.erl`.

use std::borrow::Cow;
use std::io::Read;

use crate::term::{Decoder, VERSION, tag};

/// First byte of a term packed with snappy.
const SNAPPY: u8 = 1;

/// Longest term that is unpacked, in bytes. CouchDB's own limit for a document is 8 MB by default.
pub const MAX_TERM: usize = 256 << 20;

/// Snappy's densest element stores 64 bytes in 3, so no valid stream grows more than 22-fold.
const SNAPPY_MAX_RATIO: usize = 22;

/// An unpacked term, without its version byte.
#[derive(Debug, Clone)]
pub struct TermBytes<'a> {
    bytes: Cow<'a, [u8]>,
    start: usize,
}

impl TermBytes<'_> {
    /// The term's bytes, without the version byte.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// A decoder at the term's start.
    pub fn decoder(&self) -> Decoder<'_> {
        Decoder::new(self.as_slice())
    }

    /// The term's bytes, without the version byte.
    pub fn into_vec(self) -> Vec<u8> {
        match self.bytes {
            Cow::Borrowed(bytes) => bytes[self.start..].to_vec(),
            Cow::Owned(mut bytes) => {
                bytes.drain(..self.start);
                bytes
            }
        }
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> TermBytes<'static> {
        TermBytes { bytes: Cow::Owned(self.bytes.into_owned()), start: self.start }
    }
}

/// Unpacks a term that was stored plain (131 …), deflated (131, 80 …) or with snappy (1 …).
pub fn unpack(packed: &[u8]) -> Result<TermBytes<'_>, String> {
    match packed {
        [SNAPPY, stream @ ..] => {
            let len = snap::raw::decompress_len(stream).map_err(|e| e.to_string())?;
            if len > MAX_TERM || len > stream.len().saturating_mul(SNAPPY_MAX_RATIO) + 64 {
                return Err(format!("{} bytes of snappy claim to hold {len}", stream.len()));
            }
            let bytes = snap::raw::Decoder::new().decompress_vec(stream).map_err(|e| e.to_string())?;
            match bytes.first() {
                Some(&VERSION) if bytes.get(1) == Some(&tag::COMPRESSED) => inflate(&bytes[2..]),
                Some(&VERSION) => Ok(TermBytes { bytes: Cow::Owned(bytes), start: 1 }),
                _ => Err("no term inside the snappy stream".into()),
            }
        }
        [VERSION, tag::COMPRESSED, rest @ ..] => inflate(rest),
        [VERSION, ..] => Ok(TermBytes { bytes: Cow::Borrowed(packed), start: 1 }),
        [] => Err("empty term".into()),
        [first, ..] => Err(format!("unknown compression {first}")),
    }
}

/// The part after 131, 80: length of the term (u32), then a zlib stream.
fn inflate(rest: &[u8]) -> Result<TermBytes<'static>, String> {
    let (len, stream) = rest.split_first_chunk::<4>().ok_or("deflated term ends too early")?;
    let len = u32::from_be_bytes(*len) as usize;
    // Deflate's densest code stores 258 bytes in 2 bits.
    if len > MAX_TERM || len > stream.len().saturating_mul(1032) + 64 {
        return Err(format!("{} bytes of zlib claim to hold {len}", stream.len()));
    }
    // The length is only a claim yet.
    let mut bytes = Vec::with_capacity(len.min(stream.len().saturating_mul(8)));
    flate2::read::ZlibDecoder::new(stream)
        .take(len as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    if bytes.len() != len {
        return Err(format!("deflated term holds {} bytes instead of {len}", bytes.len()));
    }
    Ok(TermBytes { bytes: Cow::Owned(bytes), start: 0 })
}

/// How a writer packs terms. Every reader accepts all of these ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    None,
    /// Snappy, CouchDB's default.
    #[default]
    Snappy,
}

/// Packs a term that begins with its version byte.
pub fn pack(term: &[u8], compression: Compression) -> Vec<u8> {
    if compression == Compression::Snappy {
        let mut packed = vec![0; snap::raw::max_compress_len(term.len()) + 1];
        packed[0] = SNAPPY;
        if let Ok(n) = snap::raw::Encoder::new().compress(term, &mut packed[1..]) {
            packed.truncate(n + 1);
            // CouchDB keeps the plain form where snappy does not help.
            if packed.len() < term.len() {
                return packed;
            }
        }
    }
    term.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packing_comes_back() {
        let mut term = vec![VERSION, 109, 0, 0, 4, 0];
        term.extend_from_slice(&[7; 1024]);
        for compression in [Compression::None, Compression::Snappy] {
            let packed = pack(&term, compression);
            assert_eq!(unpack(&packed).unwrap().as_slice(), &term[1..]);
        }
        let mut deflated = vec![VERSION, tag::COMPRESSED];
        deflated.extend_from_slice(&((term.len() - 1) as u32).to_be_bytes());
        let mut encoder = flate2::read::ZlibEncoder::new(&term[1..], flate2::Compression::default());
        encoder.read_to_end(&mut deflated).unwrap();
        assert_eq!(unpack(&deflated).unwrap().as_slice(), &term[1..]);
    }

    #[test]
    fn refuses_claims_that_no_stream_can_hold() {
        assert!(unpack(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0]).is_err());
        assert!(unpack(&[131, 80, 0xff, 0xff, 0xff, 0xff, 1, 2]).is_err());
        assert!(unpack(&[]).is_err());
        assert!(unpack(&[9, 9]).is_err());
    }
}
