//! BLAKE3 of a file from the values of its pieces, so that nothing is read twice.
//!
//! A piece of 1 MiB at a multiple of 1 MiB is a complete subtree of BLAKE3's tree, as is the rest of the file behind the last such
//! piece. The chaining value of a subtree identifies its bytes and their offset (BLAKE3 specification, section 2.1).

use blake3::hazmat::{HasherExt as _, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};
use blake3::{Hash, Hasher};

use crate::PIECE;

/// The chaining value of a subtree.
pub(crate) type Value = [u8; 32];

/// The chaining value of the piece with this number, at most [`PIECE`] bytes, of a file of more than one piece.
pub(crate) fn of_piece(number: u64, content: &[u8]) -> Value {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(number * PIECE);
    hasher.update(content);
    hasher.finalize_non_root()
}

/// The hash of a file of `size` bytes that has these pieces, at least two.
pub(crate) fn of_file(size: u64, values: &[Value]) -> Option<Hash> {
    let (left, right) = split(size, values)?;
    Some(merge_subtrees_root(&subtree(left.0, left.1)?, &subtree(right.0, right.1)?, Mode::Hash))
}

fn subtree(size: u64, values: &[Value]) -> Option<Value> {
    if let [value] = values {
        return (size <= PIECE).then_some(*value);
    }
    let (left, right) = split(size, values)?;
    Some(merge_subtrees_non_root(&subtree(left.0, left.1)?, &subtree(right.0, right.1)?, Mode::Hash))
}

type Part<'v> = (u64, &'v [Value]);

fn split(size: u64, values: &[Value]) -> Option<(Part<'_>, Part<'_>)> {
    if size <= PIECE {
        return None;
    }
    let left = left_subtree_len(size);
    let (first, second) = values.split_at_checked(usize::try_from(left / PIECE).ok()?)?;
    Some(((left, first), (size - left, second)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_give_the_hash_of_the_file() {
        let content: Vec<u8> = (0..9 * PIECE + 12345).map(|i| (i * 31 % 251) as u8).collect();
        for size in [
            PIECE + 1,
            2 * PIECE - 1,
            2 * PIECE,
            2 * PIECE + 1,
            3 * PIECE,
            5 * PIECE + 7,
            8 * PIECE,
            9 * PIECE + 12345,
        ] {
            let content = &content[..size as usize];
            let values: Vec<_> = content
                .chunks(PIECE as usize)
                .enumerate()
                .map(|(i, piece)| of_piece(i as u64, piece))
                .collect();
            assert_eq!(of_file(size, &values), Some(blake3::hash(content)), "{size}");
            assert_eq!(of_file(size, &values[1..]), None, "{size}");
        }
        assert_eq!(of_file(5, &[[0; 32]]), None);
    }
}
