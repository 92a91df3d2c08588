//! The block layer: 4096-byte blocks with a prefix byte each, and the chunks laid over them.
//!
//! The first byte of every block says what begins there (0: data, 1: a header) and is no part of the payload, so a
//! chunk that crosses a block start has one byte more on disk for each start it crosses.
//!
//! Source: `couch_file.erl` (`make_blocks/2`, `remove_block_prefixes/2`, `assemble_file_chunk/1`).

use std::cell::RefCell;

use crate::checksum::{self, Checksum};
use crate::compression::{self, TermBytes};
use crate::error::{CouchFileError, Result};
use crate::read_at::ReadAt;

/// Size of a block in bytes.
pub const BLOCK: u64 = 4096;
/// Prefix of a block that begins with data.
pub const DATA_PREFIX: u8 = 0;
/// Prefix of a block that begins with a header.
pub const HEADER_PREFIX: u8 = 1;

const CHECKSUM_FLAG: u32 = 1 << 31;
/// A chunk is read with one system call if it fits in this many bytes.
const READ_AHEAD: u64 = 4096;

/// Number of bytes on disk that `n` payload bytes starting at offset `pos` take, prefixes included; no prefix is
/// counted after the last byte.
pub fn physical_len(pos: u64, n: u64) -> u64 {
    if n == 0 {
        return 0;
    }
    let (lead, first) = if pos.is_multiple_of(BLOCK) { (1, BLOCK - 1) } else { (0, BLOCK - pos % BLOCK) };
    if n <= first { lead + n } else { lead + n + (n - first).div_ceil(BLOCK - 1) }
}

/// What CouchDB counts as the size of `n` payload bytes written at `pos`: where they end exactly at a block's end, the
/// next block's prefix is written and counted at once.
pub fn written_len(pos: u64, n: u64) -> u64 {
    let len = physical_len(pos, n);
    if (pos + len).is_multiple_of(BLOCK) { len + 1 } else { len }
}

thread_local! {
    /// What [`Blocks::read_chunk`] reads into: most chunks are much smaller than what is read ahead.
    static AHEAD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Removes the prefix bytes from `raw`, which was read at offset `pos`; gives the number of bytes that are left.
fn strip_prefixes(raw: &mut [u8], pos: u64) -> usize {
    let mut read = 0usize;
    let mut write = 0usize;
    while read < raw.len() {
        let offset = pos + read as u64;
        if offset.is_multiple_of(BLOCK) {
            read += 1;
        }
        let offset = pos + read as u64;
        let take = ((BLOCK - offset % BLOCK) as usize).min(raw.len() - read.min(raw.len()));
        raw.copy_within(read..read + take, write);
        read += take;
        write += take;
    }
    write
}

/// A chunk's payload and where it lies.
#[derive(Debug)]
pub struct Chunk {
    /// The payload.
    pub payload: Vec<u8>,
    /// The checksum that the chunk carries, if any, and its kind; it was right.
    pub checksum: Option<(Checksum, [u8; checksum::LEN])>,
    /// Offset after the chunk's last byte.
    pub end: u64,
}

/// The head of a chunk: what comes before its payload.
#[derive(Debug, Clone, Copy)]
struct ChunkHead {
    len: u64,
    checksummed: bool,
    /// Offset of the first payload byte, or of its prefix.
    payload: u64,
}

impl ChunkHead {
    /// Bytes before the payload.
    fn before(&self) -> usize {
        4 + if self.checksummed { checksum::LEN } else { 0 }
    }
}

/// The blocks of a file, up to a given end.
#[derive(Debug)]
pub struct Blocks<R> {
    source: R,
    end: u64,
}

impl<R: ReadAt> Blocks<R> {
    /// All of `source`.
    pub fn new(source: R) -> Self {
        let end = source.len();
        Self { source, end }
    }

    /// The first `end` bytes of the same file: nothing at or beyond `end` is read.
    #[must_use]
    pub fn up_to(mut self, end: u64) -> Self {
        self.end = self.end.min(end);
        self
    }

    /// Offset of the first byte that is not read.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The bytes below.
    pub fn source(&self) -> &R {
        &self.source
    }

    /// Gives the bytes below back.
    pub fn into_source(self) -> R {
        self.source
    }

    /// Reads `len` bytes as they are on disk.
    pub fn read_raw(&self, offset: u64, len: u64) -> Result<Vec<u8>> {
        let io = |source| CouchFileError::Io { offset, wanted: len, source };
        if offset.checked_add(len).is_none_or(|end| end > self.end) {
            return Err(io(std::io::ErrorKind::UnexpectedEof.into()));
        }
        let mut raw = vec![0; len as usize];
        self.source.read_exact_at(&mut raw, offset).map_err(io)?;
        Ok(raw)
    }

    /// Hands over some of the payload bytes that begin at `pos`: as many as one read gives.
    fn with_ahead<T>(&self, pos: u64, work: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let wanted = READ_AHEAD.min(self.end - pos);
        // Taken out, not borrowed: what is read may itself be made of chunks.
        let mut ahead = AHEAD.take();
        ahead.resize(READ_AHEAD as usize, 0);
        let raw = &mut ahead[..wanted as usize];
        let read = self.source.read_exact_at(raw, pos);
        let done = read.map(|()| {
            let left = strip_prefixes(raw, pos);
            work(&raw[..left])
        });
        AHEAD.set(ahead);
        done.map_err(|source| CouchFileError::Io { offset: pos, wanted, source })
    }

    /// Reads `n` payload bytes from offset `pos` on; gives them and the offset after the last one.
    ///
    /// Fails if they would reach beyond the end.
    pub fn read_payload(&self, pos: u64, n: u64, what: &'static str) -> Result<(Vec<u8>, u64)> {
        let end = self.payload_end(pos, n, what)?;
        let mut raw = self.read_raw(pos, end - pos)?;
        let left = strip_prefixes(&mut raw, pos);
        raw.truncate(left);
        Ok((raw, end))
    }

    fn payload_end(&self, pos: u64, n: u64, what: &'static str) -> Result<u64> {
        if pos >= self.end || n > self.end {
            return Err(CouchFileError::damaged(
                what,
                pos,
                format!("{n} bytes here reach beyond the file's data"),
            ));
        }
        let end = pos + physical_len(pos, n);
        if end > self.end {
            return Err(CouchFileError::damaged(
                what,
                pos,
                format!("{n} bytes here reach beyond the file's data"),
            ));
        }
        Ok(end)
    }

    /// Reads the chunk at `pos`: `[1 bit: checksum follows, 31 bits: length][16 bytes checksum]?[payload]`.
    ///
    /// A checksum is verified if there is one.
    pub fn read_chunk(&self, pos: u64, what: &'static str) -> Result<Chunk> {
        if pos >= self.end {
            return Err(CouchFileError::damaged(what, pos, "the pointer leads beyond the file's data"));
        }
        let (head, sum, payload) = self.with_ahead(pos, |ahead| {
            let head = self.chunk_head(ahead, pos, what)?;
            let sum = ahead.get(4..).and_then(<[u8]>::first_chunk::<{ checksum::LEN }>).copied();
            let payload = ahead.get(head.before()..).and_then(|rest| rest.get(..head.len as usize));
            Ok((head, sum, payload.map(<[u8]>::to_vec)))
        })??;
        let total = head.before() as u64 + head.len;
        let end = pos + physical_len(pos, total);
        let (sum, payload) = if let Some(payload) = payload {
            (sum, payload)
        } else {
            let (mut bytes, _) = self.read_payload(pos, total, what)?;
            let sum = bytes.get(4..).and_then(<[u8]>::first_chunk).copied();
            bytes.drain(..head.before());
            (sum, bytes)
        };
        let mut checksum = None;
        if head.checksummed {
            checksum = sum.and_then(|sum| Some((checksum::recognise(&sum, &payload)?, sum)));
            if checksum.is_none() {
                return Err(CouchFileError::damaged(what, pos, "its checksum is wrong"));
            }
        }
        Ok(Chunk { payload, checksum, end })
    }

    fn chunk_head(&self, logical: &[u8], pos: u64, what: &'static str) -> Result<ChunkHead> {
        let Some(word) = logical.first_chunk::<4>() else {
            return Err(CouchFileError::damaged(what, pos, "its length word reaches beyond the file's data"));
        };
        let word = u32::from_be_bytes(*word);
        let checksummed = word & CHECKSUM_FLAG != 0;
        let len = u64::from(word & !CHECKSUM_FLAG);
        let before = 4 + if checksummed { checksum::LEN as u64 } else { 0 };
        self.payload_end(pos, before + len, what)?;
        Ok(ChunkHead { len, checksummed, payload: pos + physical_len(pos, before) })
    }

    /// Reads the chunk at `pos`, which holds a packed term, and unpacks it.
    pub fn read_term(&self, pos: u64, what: &'static str) -> Result<(TermBytes<'static>, u64)> {
        let chunk = self.read_chunk(pos, what)?;
        let term = compression::unpack(&chunk.payload)
            .map_err(|why| CouchFileError::damaged(what, pos, why))?
            .into_owned();
        Ok((term, chunk.end))
    }

    /// Reads the payload of the chunk at `pos` piece by piece, at most `piece` bytes at a time. For attachments, which
    /// may be of any size.
    pub fn stream_chunk(
        &self,
        pos: u64,
        what: &'static str,
        piece: u64,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<u64> {
        if pos >= self.end {
            return Err(CouchFileError::damaged(what, pos, "the pointer leads beyond the file's data"));
        }
        let mut raw = self.read_raw(pos, 32.min(self.end - pos))?;
        let left = strip_prefixes(&mut raw, pos);
        raw.truncate(left);
        let head = self.chunk_head(&raw, pos, what)?;
        if head.checksummed {
            each(&self.read_chunk(pos, what)?.payload)?;
            return Ok(head.len);
        }
        let mut at = head.payload;
        let mut left = head.len;
        while left > 0 {
            let (bytes, end) = self.read_payload(at, left.min(piece), what)?;
            each(&bytes)?;
            left -= bytes.len() as u64;
            at = end;
        }
        Ok(head.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn physical_lengths() {
        assert_eq!(physical_len(0, 1), 2);
        assert_eq!(physical_len(0, 4095), 4096);
        assert_eq!(physical_len(0, 4096), 4098);
        assert_eq!(physical_len(1, 4095), 4095);
        assert_eq!(physical_len(4095, 1), 1);
        assert_eq!(physical_len(4095, 2), 3);
        assert_eq!(physical_len(100, 0), 0);
        assert_eq!(written_len(1, 4095), 4096);
        assert_eq!(written_len(1, 4094), 4094);
    }

    /// Lays payload over blocks the slow way, byte by byte.
    fn lay(pos: u64, payload: &[u8]) -> Vec<u8> {
        let mut disk = vec![0xee; pos as usize];
        for &byte in payload {
            if (disk.len() as u64).is_multiple_of(BLOCK) {
                disk.push(DATA_PREFIX);
            }
            disk.push(byte);
        }
        disk
    }

    #[test]
    fn payload_comes_back_from_any_offset() {
        let payload: Vec<u8> = (0..20_000u32).map(|i| (i % 251) as u8).collect();
        for pos in [0u64, 1, 17, 4090, 4095, 4096, 4097, 8191, 8192] {
            for n in [0usize, 1, 2, 4094, 4095, 4096, 8190, 8191, 20_000] {
                let disk = lay(pos, &payload[..n]);
                assert_eq!(disk.len() as u64 - pos, physical_len(pos, n as u64), "{pos} {n}");
                if n > 0 {
                    let (read, end) = Blocks::new(disk.clone()).read_payload(pos, n as u64, "test").unwrap();
                    assert_eq!(read, &payload[..n]);
                    assert_eq!(end, disk.len() as u64);
                }
            }
        }
    }

    #[test]
    fn chunks_with_and_without_checksum() {
        let payload: Vec<u8> = (0..9000u32).map(|i| (i % 253) as u8).collect();
        for pos in [0u64, 4093, 4095, 4096, 8190] {
            let mut plain = 9000u32.to_be_bytes().to_vec();
            plain.extend_from_slice(&payload);
            let blocks = Blocks::new(lay(pos, &plain));
            assert_eq!(blocks.read_chunk(pos, "test").unwrap().payload, payload);
            let mut streamed = Vec::new();
            blocks
                .stream_chunk(pos, "test", 1000, |b| {
                    streamed.extend_from_slice(b);
                    Ok(())
                })
                .unwrap();
            assert_eq!(streamed, payload);

            let mut summed = (payload.len() as u32 | CHECKSUM_FLAG).to_be_bytes().to_vec();
            summed.extend_from_slice(&checksum::md5(&payload));
            summed.extend_from_slice(&payload);
            let mut disk = lay(pos, &summed);
            let chunk = Blocks::new(disk.clone()).read_chunk(pos, "test").unwrap();
            assert!(matches!(chunk.checksum, Some((Checksum::Md5, _))));
            assert!(chunk.payload == payload && chunk.end == disk.len() as u64);
            *disk.last_mut().unwrap() ^= 1;
            assert!(Blocks::new(disk).read_chunk(pos, "test").is_err());
        }
    }

    #[test]
    fn lengths_beyond_the_end_are_refused() {
        let disk = lay(10, &[0x7f, 0xff, 0xff, 0xff, 1, 2, 3]);
        assert!(Blocks::new(disk.clone()).read_chunk(10, "test").is_err());
        assert!(Blocks::new(disk.clone()).read_chunk(u64::MAX, "test").is_err());
        assert!(Blocks::new(disk).up_to(12).read_chunk(10, "test").is_err());
    }
}
