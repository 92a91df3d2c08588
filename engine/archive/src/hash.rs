//! BLAKE3 of an entry whose chunks are hashed on different threads.

use std::collections::BTreeMap;

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

/// Hashes one chunk of an entry of several chunks, as a subtree of the entry's hash tree.
///
/// `offset` has to be a multiple of the chunk size, the chunk size a power of two of at least 1024, and
/// every chunk but the last full. `None` if `bytes` is empty or `offset` is not a multiple of 1024.
pub(crate) fn hash_chunk(offset: u64, bytes: &[u8]) -> Option<ChainingValue> {
    if bytes.is_empty() || !offset.is_multiple_of(blake3::CHUNK_LEN as u64) {
        return None;
    }
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(offset);
    hasher.update(bytes);
    Some(hasher.finalize_non_root())
}

/// Joins the hashes of the chunks of an entry, which may come in any order.
///
/// Holds the hashes that came early and one per level of the tree.
#[derive(Debug, Default)]
pub(crate) struct ChunkHashes {
    early: BTreeMap<u64, ChainingValue>,
    joined: u64,
    stack: Vec<ChainingValue>,
}

impl ChunkHashes {
    /// Takes the hash of chunk number `index`, counted from 0.
    pub(crate) fn add(&mut self, index: u64, hash: ChainingValue) {
        self.early.insert(index, hash);
        while let Some(hash) = self.early.remove(&self.joined) {
            // Subtrees are joined only when more input follows: what is left at the end decides the root.
            while self.stack.len() > self.joined.count_ones() as usize {
                self.join_last_two();
            }
            self.stack.push(hash);
            self.joined += 1;
        }
    }

    fn join_last_two(&mut self) {
        if let (Some(right), Some(left)) = (self.stack.pop(), self.stack.pop()) {
            self.stack.push(merge_subtrees_non_root(&left, &right, Mode::Hash));
        }
    }

    /// The hash of the complete entry, if `chunks` chunks have come, two at least.
    pub(crate) fn finish(mut self, chunks: u64) -> Option<blake3::Hash> {
        if self.joined != chunks || !self.early.is_empty() {
            return None;
        }
        while self.stack.len() > 2 {
            self.join_last_two();
        }
        match self.stack.as_slice() {
            [left, right] => Some(merge_subtrees_root(left, right, Mode::Hash)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_plain_hash_for_any_length_and_order() {
        let chunk = 2048;
        let input: Vec<u8> = (0..=40 * chunk).map(|index| (index * 7 % 251) as u8).collect();
        for chunks in 1..40 {
            for length in
                [chunks * chunk + 1, chunks * chunk + 1025, (chunks + 1) * chunk - 1, (chunks + 1) * chunk]
            {
                let mut hashes = ChunkHashes::default();
                let mut parts: Vec<_> = input[..length].chunks(chunk).enumerate().collect();
                if chunks % 2 == 0 {
                    parts.reverse();
                }
                for (index, part) in parts {
                    hashes.add(index as u64, hash_chunk((index * chunk) as u64, part).unwrap());
                }
                assert_eq!(
                    hashes.finish(chunks as u64 + 1),
                    Some(blake3::hash(&input[..length])),
                    "{length}"
                );
            }
        }
    }

    #[test]
    fn a_missing_chunk_gives_no_hash() {
        let mut hashes = ChunkHashes::default();
        hashes.add(0, [0; 32]);
        hashes.add(2, [0; 32]);
        assert_eq!(hashes.finish(3), None);
        assert_eq!(ChunkHashes::default().finish(0), None);
    }
}
