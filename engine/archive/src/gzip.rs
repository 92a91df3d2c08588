//! Single gzip members in memory: packed with ISA-L or libdeflate, unpacked with libdeflate.

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

/// What a member will hold; only the fastest level makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Many small files, or text of our own.
    Packed,
    /// A part of a large file.
    Chunk,
}

/// Makes gzip members.
pub(crate) struct Deflater {
    compressor: Compressor,
    /// Level 0: ISA-L instead of libdeflate.
    fastest: bool,
    scratch: Vec<u8>,
}

impl Deflater {
    /// `level` is one of libdeflate's, 1 to 12, or 0 for ISA-L, which is faster than all of these (where the program was
    /// built without it, 0 is 1); other values count as the nearest of these.
    pub(crate) fn new(level: i32) -> Self {
        let fastest = level <= 0 && cfg!(feature = "isal");
        let level = CompressionLvl::new(level.clamp(1, 12)).unwrap_or_default();
        Self { compressor: Compressor::new(level), fastest, scratch: Vec::new() }
    }

    /// `content` as one member.
    pub(crate) fn member(&mut self, content: &[u8], kind: Kind) -> Vec<u8> {
        if self.fastest
            && let Some(member) = self.fastest_member(content, kind)
        {
            return member;
        }
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

    #[cfg(feature = "isal")]
    fn fastest_member(&mut self, content: &[u8], kind: Kind) -> Option<Vec<u8>> {
        use isal::{Codec, CompressionLevel, compress_into};
        // ISA-L's level 1 on packs is more than twice as fast as 3 and costs 2 % more bytes; on large files it costs 9 %.
        let level = match kind {
            Kind::Packed => CompressionLevel::One,
            Kind::Chunk => CompressionLevel::Three,
        };
        let bound = usize::try_from(longest_member(content.len() as u64)).ok()?;
        if self.scratch.len() < bound {
            self.scratch.resize(bound, 0);
        }
        let body = self.scratch.get_mut(..bound - HEADER - TRAILER)?;
        // Where it fails, libdeflate takes over: the content matters, not who packed it.
        let length = compress_into(content, body, level, Codec::Deflate).ok()?;
        let mut member = Vec::with_capacity(HEADER + length + TRAILER);
        member.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 0xff]);
        member.extend_from_slice(body.get(..length)?);
        member.extend_from_slice(&libdeflater::crc32(content).to_le_bytes());
        member.extend_from_slice(&(content.len() as u32).to_le_bytes());
        Some(member)
    }

    #[cfg(not(feature = "isal"))]
    #[allow(clippy::unused_self)]
    fn fastest_member(&mut self, _: &[u8], _: Kind) -> Option<Vec<u8>> {
        None
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
        let (body, trailer) = parts(member)?;
        if content_size(member) != Some(size as u32) {
            return Err("its content is longer or shorter than expected");
        }
        // What was in it is overwritten, or an error is told.
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

    /// The first `end` bytes of what `member` holds, `size` bytes in all, without unpacking much more; `None` if that
    /// fails. No checksum is compared.
    pub(crate) fn beginning<'a>(
        &mut self,
        member: &[u8],
        size: usize,
        end: usize,
        out: &'a mut Vec<u8>,
    ) -> Option<&'a [u8]> {
        // libdeflate stops where a match or a stored block does not fit into what is left, so with this much more room
        // everything before has been written by then.
        const LARGEST_STEP: usize = (64 << 10) + 1024;
        let (body, _) = parts(member).ok()?;
        out.resize(size.min(end.saturating_add(LARGEST_STEP)), 0);
        match self.0.deflate_decompress(body, out) {
            Ok(length) => out.get(..end.min(length)),
            Err(libdeflater::DecompressionError::InsufficientSpace) => out.get(..end),
            Err(libdeflater::DecompressionError::BadData) => None,
        }
        .filter(|content| content.len() == end)
    }
}

/// What is packed in a member, and what comes after it.
fn parts(member: &[u8]) -> Result<(&[u8], &[u8; TRAILER]), &'static str> {
    let (Some(body), Some(trailer)) =
        (member.get(HEADER..member.len().saturating_sub(TRAILER)), member.last_chunk::<TRAILER>())
    else {
        return Err("it is too short for gzip");
    };
    if !member.starts_with(&[0x1f, 0x8b, 8, 0]) {
        return Err("no gzip member begins here");
    }
    Ok((body, trailer))
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
        let noise: Vec<u8> = (0..300_000u64)
            .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17) >> 23) as u8)
            .collect();
        let contents: [&[u8]; 5] = [b"", b"hello", &vec![7; 100_000], &noise, &noise[..1]];
        for (level, kind) in [(0, Kind::Packed), (0, Kind::Chunk), (1, Kind::Packed), (6, Kind::Chunk)] {
            for content in contents {
                let member = Deflater::new(level).member(content, kind);
                assert!(member.len() as u64 <= longest_member(content.len() as u64));
                let mut out = Vec::new();
                Inflater::new().member(&member, content.len(), &mut out).unwrap();
                assert_eq!(out, content);
                assert!(Inflater::new().member(&member, content.len() + 1, &mut out).is_err());
                let step = 1 + member.len() / 500;
                for cut in (0..member.len()).step_by(step) {
                    assert!(Inflater::new().member(&member[..cut], content.len(), &mut out).is_err());
                }
            }
        }
    }

    #[test]
    fn the_beginning_of_a_member() {
        let noise: Vec<u8> = (0..300_000u64)
            .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17) >> 23) as u8)
            .collect();
        let text = "a line that comes again and again\n".repeat(10_000).into_bytes();
        let both = [&noise[..100_000], &text, &noise].concat();
        for (level, kind) in [(0, Kind::Packed), (0, Kind::Chunk), (1, Kind::Packed), (6, Kind::Chunk)] {
            for content in [&noise, &text, &both, &Vec::new()] {
                let member = Deflater::new(level).member(content, kind);
                let mut out = vec![0xee; 50_000];
                for end in (0..content.len()).step_by(997).chain([content.len()]) {
                    let mut inflater = Inflater::new();
                    let found = inflater.beginning(&member, content.len(), end, &mut out);
                    assert_eq!(found, Some(&content[..end]), "{end} of {}", content.len());
                }
                assert_eq!(
                    Inflater::new().beginning(&member, content.len(), content.len() + 1, &mut out),
                    None
                );
            }
        }
    }

    #[test]
    fn levels_out_of_range_are_taken_for_the_nearest() {
        let member = |level| Deflater::new(level).member(b"abcabcabc", Kind::Packed);
        assert_eq!(member(-3), member(0));
        assert_eq!(member(99), member(12));
    }
}
