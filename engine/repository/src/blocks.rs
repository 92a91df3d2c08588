//! The blocks of a `.couch` file: its first byte, and each 4096th from there, is a prefix that says whether a header begins in the
//! block (`couch_file.erl`). A compaction moves what a file holds, so the prefixes cut it in other places. Without them, the same
//! document is the same bytes in both files.

use crate::PIECE;

/// Bytes of a block, with its prefix.
const BLOCK: usize = 4096;
/// Blocks of a piece.
const BLOCKS: u64 = PIECE / BLOCK as u64;
/// Bytes of a piece without the prefixes.
pub(crate) const BARE_PIECE: u64 = PIECE - BLOCKS;

/// A prefix that is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// Number of the block.
    pub(crate) block: u32,
    /// 1 where a header begins; anything else in a damaged file.
    pub(crate) byte: u8,
}

/// The number of the first block of a piece.
pub(crate) fn first_of_piece(piece: u64) -> u64 {
    piece.saturating_mul(BLOCKS)
}

/// Blocks of a file of `size` bytes.
pub(crate) fn count(size: u64) -> u64 {
    size.div_ceil(BLOCK as u64)
}

/// Bytes of a file of `size` bytes without the prefixes.
pub(crate) fn bare_size(size: u64) -> u64 {
    size - count(size)
}

/// Appends the content of blocks without their prefixes. `first` is the number of the first block.
pub(crate) fn strip(content: &[u8], first: u64, bare: &mut Vec<u8>, prefixes: &mut Vec<Prefix>) {
    for (number, block) in content.chunks(BLOCK).enumerate() {
        if let Some((byte, rest)) = block.split_first() {
            if *byte != 0 {
                prefixes.push(Prefix { block: (first + number as u64) as u32, byte: *byte });
            }
            bare.extend_from_slice(rest);
        }
    }
}

/// The content of blocks. `first` is the number of the first one, `size` their bytes; `prefixes` may have others, too.
pub(crate) fn join(bare: &[u8], first: u64, size: u64, prefixes: &[Prefix]) -> Vec<u8> {
    let mut content = Vec::with_capacity(size as usize);
    let begin = prefixes.partition_point(|prefix| u64::from(prefix.block) < first);
    let mut prefixes = prefixes.get(begin..).unwrap_or_default().iter().peekable();
    let count = count(size);
    for number in 0..count {
        let prefix = prefixes.next_if(|prefix| u64::from(prefix.block) == first + number);
        content.push(prefix.map_or(0, |prefix| prefix.byte));
        let start = number as usize * (BLOCK - 1);
        let end = bare.len().min(start + BLOCK - 1);
        content.extend_from_slice(bare.get(start..end).unwrap_or_default());
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_back() {
        for size in [1, 2, 4095, 4096, 4097, 8192, 8193, 100_000] {
            let content: Vec<u8> =
                (0..size)
                    .map(|i: usize| {
                        if i.is_multiple_of(BLOCK) {
                            [0, 1, 0, 7][i / BLOCK % 4]
                        } else {
                            (i * 7 % 255) as u8
                        }
                    })
                    .collect();
            let (mut bare, mut prefixes) = (Vec::new(), vec![Prefix { block: 3, byte: 1 }]);
            strip(&content, 5, &mut bare, &mut prefixes);
            assert_eq!(bare.len() as u64, bare_size(size as u64));
            assert_eq!(join(&bare, 5, size as u64, &prefixes), content, "{size}");
        }
        assert_eq!(bare_size(PIECE), BARE_PIECE);
        assert_eq!(first_of_piece(2), count(2 * PIECE));
    }
}
