//! Finds nodes where nothing leads to them: by what every node begins with.

use couchfile::blocks::{BLOCK, Blocks, HEADER_PREFIX};
use couchfile::btree::LooseNode;
use couchfile::error::Result;
use couchfile::header::{RawHeader, read_header};
use couchfile::read_at::ReadAt;
use memchr::memmem::Finder;

/// Longest node that is read, in bytes. CouchDB cuts nodes at 1279 bytes, but one revision tree can have more.
pub(crate) const MAX_NODE: u64 = 16 << 20;
/// Blocks read at once.
const WINDOW: u64 = 32;
/// Payload bytes that a window shares with the next one: a node's first bytes lie in one of them.
const OVERLAP: usize = 64;
/// Payload bytes of a block.
const PAYLOAD: u64 = BLOCK - 1;

/// What was found first.
pub(crate) enum Hit {
    /// A header whose checksum is right.
    Header(RawHeader),
    /// A node: where its chunk ends, and its content.
    Node { start: u64, end: u64, node: LooseNode },
}

/// Searches from an offset on; `None` if there is nothing up to the end.
pub(crate) fn next<R: ReadAt>(blocks: &Blocks<R>, from: u64) -> Result<Option<Hit>> {
    let plain = Finder::new(b"_node");
    let deflated = Finder::new(&[131, 80]);
    let mut start = from / BLOCK * BLOCK;
    while start < blocks.end() {
        let hole = blocks.source().hole_end(start) / BLOCK * BLOCK;
        if hole > start {
            start = hole;
            continue;
        }
        let window = Window::read(blocks, start)?;
        let header = window.headers(blocks, from)?;
        let limit = header.as_ref().map_or(u64::MAX, |header| header.offset);
        let places = window.places(&plain, &deflated);
        for pointer in places {
            if pointer < from || pointer >= limit {
                continue;
            }
            if let Some((node, end)) = node_at(blocks, pointer)? {
                return Ok(Some(Hit::Node { start: pointer, end, node }));
            }
        }
        if let Some(header) = header {
            return Ok(Some(Hit::Header(header)));
        }
        start += WINDOW * BLOCK;
    }
    Ok(None)
}

/// The node whose chunk begins here, if one does, and where it ends.
pub(crate) fn node_at<R: ReadAt>(blocks: &Blocks<R>, pointer: u64) -> Result<Option<(LooseNode, u64)>> {
    let Some(length) = word(blocks, pointer)? else { return Ok(None) };
    if length & (1 << 31) != 0 || u64::from(length) > MAX_NODE || length < 10 {
        return Ok(None);
    }
    let Ok(chunk) = blocks.read_chunk(pointer, "node") else { return Ok(None) };
    Ok(LooseNode::decode(&chunk.payload).map(|node| (node, chunk.end)))
}

/// The first word of a chunk; `None` at the end of the file.
pub(crate) fn word<R: ReadAt>(blocks: &Blocks<R>, pointer: u64) -> Result<Option<u32>> {
    if pointer.saturating_add(6) > blocks.end() {
        return Ok(None);
    }
    let (word, _) = blocks.read_payload(pointer, 4, "chunk")?;
    Ok(word.first_chunk::<4>().map(|word| u32::from_be_bytes(*word)))
}

/// Some blocks without their prefixes.
struct Window {
    start: u64,
    raw_blocks: Vec<u64>,
    payload: Vec<u8>,
}

impl Window {
    fn read<R: ReadAt>(blocks: &Blocks<R>, start: u64) -> Result<Self> {
        let wanted = (WINDOW * BLOCK + OVERLAP as u64 + 1).min(blocks.end() - start);
        let raw = blocks.read_raw(start, wanted)?;
        let mut payload = Vec::with_capacity(raw.len());
        let mut raw_blocks = Vec::new();
        for (i, block) in raw.chunks(BLOCK as usize).enumerate() {
            if let Some((prefix, rest)) = block.split_first() {
                if *prefix == HEADER_PREFIX && (i as u64) < WINDOW {
                    raw_blocks.push(start + i as u64 * BLOCK);
                }
                payload.extend_from_slice(rest);
            }
        }
        Ok(Self { start, raw_blocks, payload })
    }

    /// The first valid header in it that begins at or behind an offset.
    fn headers<R: ReadAt>(&self, blocks: &Blocks<R>, from: u64) -> Result<Option<RawHeader>> {
        for &offset in self.raw_blocks.iter().filter(|&&offset| offset >= from) {
            if let Some(header) = read_header(blocks, offset)? {
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// Where chunks of nodes may begin, in ascending order.
    fn places(&self, plain: &Finder<'_>, deflated: &Finder<'_>) -> Vec<u64> {
        let mut places = Vec::new();
        let mut add = |at: Option<usize>| {
            places.extend(at.filter(|&at| at < (WINDOW * PAYLOAD) as usize).map(|at| self.offset(at)));
        };
        for found in plain.find_iter(&self.payload) {
            let Some(term) = self.begin_of_term(found) else { continue };
            // Not packed: the length comes right before the term.
            add(term.checked_sub(4));
            // With snappy: 1, the length of the term in one to four bytes, the tag of a literal in one to three.
            for between in 2..=7 {
                let marker = term.checked_sub(between + 1).filter(|&at| self.payload.get(at) == Some(&1));
                add(marker.and_then(|marker| marker.checked_sub(4)));
            }
        }
        for found in deflated.find_iter(&self.payload) {
            // A length of the term below 16 MiB, then the first byte of a zlib stream.
            if self.payload.get(found + 2) == Some(&0) && self.payload.get(found + 6) == Some(&0x78) {
                add(found.checked_sub(4));
            }
        }
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Where a term begins whose first atom has `_node` at this place.
    fn begin_of_term(&self, found: usize) -> Option<usize> {
        let before = self.payload.get(found.checked_sub(8)?..found)?;
        match before {
            [131, 104, 2, 100, 0, 7, b'k', b'v' | b'p'] => found.checked_sub(8),
            [_, 131, 104, 2, 119, 7, b'k', b'v' | b'p'] => found.checked_sub(7),
            _ => None,
        }
    }

    /// The offset in the file of a payload byte. As CouchDB points to it if a chunk begins there.
    fn offset(&self, at: usize) -> u64 {
        let at = at as u64;
        self.start + at / PAYLOAD * BLOCK + 1 + at % PAYLOAD
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use couchfile::compression::Compression;
    use couchfile::term::Encoder;
    use couchfile::writer::Appender;

    fn node(n: u64) -> Vec<u8> {
        let mut term = Encoder::versioned();
        term.tuple(2).atom(b"kv_node").list(3);
        for i in 0..3 {
            term.tuple(2).binary(format!("key {n} {i}").as_bytes()).uint(i);
        }
        term.nil();
        term.finish()
    }

    #[test]
    fn every_node_is_found_behind_garbage() {
        for compression in [Compression::None, Compression::Snappy] {
            let mut file = Appender::new(Vec::new(), 0, compression);
            let mut pointers = Vec::new();
            for n in 0..3000u64 {
                file.piece(&vec![0x83; (n * 37 % 300) as usize]).unwrap();
                pointers.push(file.term(&node(n)).unwrap().ptr);
            }
            let blocks = Blocks::new(file.into_inner());
            let mut at = 0;
            let mut found = Vec::new();
            while let Some(Hit::Node { start, end, .. }) = next(&blocks, at).unwrap() {
                found.push(start);
                assert!(end > at);
                at = end;
            }
            // A pointer to a block's prefix means the byte behind it.
            let same = |pointer: u64| if pointer.is_multiple_of(BLOCK) { pointer + 1 } else { pointer };
            assert_eq!(found, pointers.into_iter().map(same).collect::<Vec<_>>(), "{compression:?}");
        }
    }
}
