//! Single gzip members in memory, with libdeflate.

use libdeflater::{CompressionLvl, Compressor, Decompressor};

/// The ten bytes that begin a member and the eight that end it.
const HEADER: usize = 10;
const TRAILER: usize = 8;

/// DEFLATE cannot shrink data to less than about a 1032nd.
const MAX_RATIO: u64 = 1040;

/// The longest member that can hold `size` bytes: what any compressor makes of incompressible data.
pub(crate) fn longest_member(size: u64) -> u64 {
    size.saturating_add(size / 8).saturating_add(1024)
}

/// The most bytes that a member of `length` bytes can hold.
pub(crate) fn largest_content(length: u64) -> u64 {
    length.saturating_mul(MAX_RATIO)
}

/// Makes gzip members.
pub(crate) struct Deflater {
    compressor: Compressor,
    scratch: Vec<u8>,
}

impl Deflater {
    /// `level` is one of libdeflate's, 1 to 12; what lies beyond is taken for the nearest of them.
    pub(crate) fn new(level: i32) -> Self {
        let level = CompressionLvl::new(level.clamp(1, 12)).unwrap_or_default();
        Self { compressor: Compressor::new(level), scratch: Vec::new() }
    }

    /// `content` as one member.
    pub(crate) fn member(&mut self, content: &[u8]) -> Vec<u8> {
        let mut bound = self.compressor.gzip_compress_bound(content.len());
        loop {
            if self.scratch.len() < bound {
                self.scratch.resize(bound, 0);
            }
            if let Ok(length) = self.compressor.gzip_compress(content, &mut self.scratch) {
                return self.scratch[..length].to_vec();
            }
            // Cannot happen: the bound is libdeflate's own promise. More room is the only remedy.
            bound = bound.saturating_mul(2);
        }
    }
}

/// Unpacks gzip members.
pub(crate) struct Inflater(Decompressor);

impl Inflater {
    pub(crate) fn new() -> Self {
        Self(Decompressor::new())
    }

    /// Fills `out` with the content of `member`, which has to be `size` bytes; says what is wrong with it.
    ///
    /// `size` is allocated: the caller has bounded it.
    pub(crate) fn member(
        &mut self,
        member: &[u8],
        size: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        let (Some(body), Some(trailer)) =
            (member.get(HEADER..member.len().saturating_sub(TRAILER)), member.last_chunk::<TRAILER>())
        else {
            return Err("it is too short for gzip");
        };
        if !member.starts_with(&[0x1f, 0x8b, 8, 0]) {
            return Err("no gzip member begins here");
        }
        if content_size(member) != Some(size as u32) {
            return Err("its content is longer or shorter than expected");
        }
        out.clear();
        out.resize(size, 0);
        match self.0.deflate_decompress(body, out) {
            Ok(length) if length == size => {}
            Ok(_) | Err(libdeflater::DecompressionError::InsufficientSpace) => {
                return Err("its content is longer or shorter than expected");
            }
            Err(libdeflater::DecompressionError::BadData) => return Err("it does not decompress"),
        }
        let [first, second, third, fourth, ..] = *trailer;
        if libdeflater::crc32(out) != u32::from_le_bytes([first, second, third, fourth]) {
            return Err("its checksum is wrong");
        }
        Ok(())
    }
}

/// What the last four bytes of a member say of the size of its content (modulo 2^32).
pub(crate) fn content_size(member: &[u8]) -> Option<u32> {
    member.last_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_damage() {
        for content in [&b""[..], b"hello", &vec![7; 100_000]] {
            let member = Deflater::new(6).member(content);
            let mut out = Vec::new();
            Inflater::new().member(&member, content.len(), &mut out).unwrap();
            assert_eq!(out, content);
            assert!(Inflater::new().member(&member, content.len() + 1, &mut out).is_err());
            for cut in 0..member.len() {
                assert!(Inflater::new().member(&member[..cut], content.len(), &mut out).is_err());
            }
        }
    }

    #[test]
    fn levels_out_of_range_are_taken_for_the_nearest() {
        assert_eq!(Deflater::new(-3).member(b"abc"), Deflater::new(1).member(b"abc"));
        assert_eq!(Deflater::new(99).member(b"abc"), Deflater::new(12).member(b"abc"));
    }
}
