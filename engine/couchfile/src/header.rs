//! Headers: where a file's newest state begins.
//!
//! A header starts at a block start: `[0x01][u32 length][16 bytes checksum][term]`, the length counting the checksum and
//! the term. The last one in the file whose checksum is right is the file's state; what follows it does not count.
//!
//! Source: `couch_file.erl` (`write_header/2`, `find_newest_header/2`).

mod database;
mod epoch;
mod passing;
mod tree_state;
mod view;

pub(crate) use database::NewHeader;
pub use database::{DISK_VERSION, DbHeader, HeaderEdit};
pub use epoch::Epoch;
pub use passing::{HeaderScan, PassedDatabase};
pub use tree_state::TreeState;
pub use view::ViewHeader;

use crate::blocks::{self, BLOCK, Blocks, HEADER_PREFIX};
use crate::checksum::{self, Checksum};
use crate::error::Result;
use crate::read_at::ReadAt;

/// Longest header that is read, in bytes. Real ones have a few hundred; a view index with very many views has more.
const MAX_HEADER: u64 = 1 << 20;
/// Blocks read at once when searching backwards.
const SEARCH_STEP: u64 = 64;
/// Blocks passed over at once, at most, inside a hole: each step is twice as large as the last one, up to this number.
const HOLE_STEP: u64 = 1 << 20;

/// A header whose checksum is right.
#[derive(Debug, Clone)]
pub struct RawHeader {
    /// Offset of the header's block.
    pub offset: u64,
    /// Offset after the header's last byte.
    pub end: u64,
    /// Which checksum it carries.
    pub checksum: Checksum,
    /// Its term, with the version byte.
    pub term: Vec<u8>,
}

/// Searches backwards for the last header whose checksum is right.
pub fn find_last<R: ReadAt>(blocks: &Blocks<R>) -> Result<Option<RawHeader>> {
    find_before(blocks, blocks.end())
}

/// The newest valid header among those that start before offset `limit`.
pub fn find_before<R: ReadAt>(blocks: &Blocks<R>, limit: u64) -> Result<Option<RawHeader>> {
    let len = limit.min(blocks.end());
    if len == 0 {
        return Ok(None);
    }
    let mut block = (len - 1) / BLOCK + 1;
    // The newest header is nearly always in the last block or two.
    let mut step = 2;
    while block > 0 {
        let first = block.saturating_sub(step);
        let start = first * BLOCK;
        let end = len.min(block * BLOCK);
        if step >= SEARCH_STEP && blocks.source().hole_end(start) >= end {
            // A file system may leave gigabytes of nothing behind after a crash.
            block = first;
            step = (step * 2).clamp(SEARCH_STEP, HOLE_STEP);
            continue;
        }
        if step > SEARCH_STEP {
            // Data ends somewhere in this large step: look closer.
            step = (step / 2).max(SEARCH_STEP);
            continue;
        }
        let raw = blocks.read_raw(start, (len - start).min((block - first) * BLOCK))?;
        for candidate in (first..block).rev() {
            if raw.get(((candidate - first) * BLOCK) as usize) == Some(&HEADER_PREFIX)
                && let Some(header) = read_header(blocks, candidate * BLOCK)?
            {
                return Ok(Some(header));
            }
        }
        block = first;
        step = SEARCH_STEP;
    }
    Ok(None)
}

/// Reads the header at a block start; `None` if it is torn, damaged or no header at all.
pub fn read_header<R: ReadAt>(blocks: &Blocks<R>, offset: u64) -> Result<Option<RawHeader>> {
    // Behind the prefix byte, the header is payload like any other.
    let pos = offset + 1;
    if pos + 4 > blocks.end() {
        return Ok(None);
    }
    let (word, _) = blocks.read_payload(pos, 4, "header")?;
    let len = word.first_chunk::<4>().map_or(0, |w| u64::from(u32::from_be_bytes(*w)));
    let term_start = pos + 4;
    if len <= checksum::LEN as u64
        || len > MAX_HEADER
        || term_start + blocks::physical_len(term_start, len) > blocks.end()
    {
        return Ok(None);
    }
    let (mut bytes, end) = blocks.read_payload(term_start, len, "header")?;
    let Some(checksum) = checksum::recognise(&bytes[..checksum::LEN], &bytes[checksum::LEN..]) else {
        return Ok(None);
    };
    bytes.drain(..checksum::LEN);
    Ok(Some(RawHeader { offset, end, checksum, term: bytes }))
}

/// The bytes of a header for a block start, prefixes included. Its checksum is MD5, which every CouchDB reads.
pub fn encode(term: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(term.len() + 20);
    payload.extend_from_slice(&((term.len() + checksum::LEN) as u32).to_be_bytes());
    payload.extend_from_slice(&checksum::md5(term));
    payload.extend_from_slice(term);
    let mut disk = Vec::with_capacity(payload.len() + 2);
    disk.push(HEADER_PREFIX);
    for byte in payload {
        if (disk.len() as u64).is_multiple_of(BLOCK) {
            disk.push(blocks::DATA_PREFIX);
        }
        disk.push(byte);
    }
    disk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_last_header_behind_any_tail() {
        let mut file = encode(b"\x83first");
        file.resize(BLOCK as usize, 0);
        file.extend_from_slice(&encode(b"\x83second"));
        let end = file.len() as u64;
        for tail in [0usize, 1, 5000, 5_000_000] {
            let mut torn = file.clone();
            torn.extend(std::iter::repeat_n(1u8, tail));
            let header = find_last(&Blocks::new(torn)).unwrap().unwrap();
            assert_eq!((header.offset, header.end), (BLOCK, end));
            assert_eq!(header.term, b"\x83second");
        }
        let cut = file[..file.len() - 1].to_vec();
        assert_eq!(find_last(&Blocks::new(cut)).unwrap().unwrap().term, b"\x83first");
        assert!(find_last(&Blocks::new(Vec::new())).unwrap().is_none());
        assert!(find_last(&Blocks::new(vec![0; 9000])).unwrap().is_none());
    }

    #[test]
    fn holes_of_any_size_are_passed_over() {
        use crate::read_at::FileBytes;
        use std::os::unix::fs::FileExt;
        let header = encode(b"\x83last");
        for hole in [1u64 << 20, 3 << 20, 20 << 30] {
            // Data right before the hole that is not a header, and a torn write behind it.
            for garbage in [0usize, 700_000] {
                let file = tempfile::tempfile().unwrap();
                file.write_all_at(&[7; 9000], 0).unwrap();
                file.write_all_at(&header, 3 * BLOCK).unwrap();
                file.write_all_at(&vec![1; garbage], 4 * BLOCK).unwrap();
                file.set_len(hole).unwrap();
                file.write_all_at(&[1; 100], hole).unwrap();
                let begun = std::time::Instant::now();
                let found = find_last(&Blocks::new(FileBytes::new(file).unwrap())).unwrap().unwrap();
                assert_eq!((found.offset, found.term.as_slice()), (3 * BLOCK, b"\x83last".as_slice()));
                assert!(begun.elapsed().as_secs() < 5, "{hole}: {:?}", begun.elapsed());
            }
        }
    }

    #[test]
    fn long_headers_cross_blocks() {
        let mut term = vec![0x83];
        term.extend((0..10_000u32).map(|i| i as u8));
        let file = encode(&term);
        assert!(file[4096] == 0 && file[8192] == 0);
        assert_eq!(find_last(&Blocks::new(file)).unwrap().unwrap().term, term);
    }
}
