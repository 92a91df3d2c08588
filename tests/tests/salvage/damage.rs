//! Damage that a number stands for.

use couchcopy_tests::random::SplitMix;

/// Damages a file in one to three ways: blocks zeroed, bits flipped, cut, swapped, overwritten.
pub(crate) fn damage(file: &[u8], random: &mut SplitMix) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for _ in 0..=random.below(3) {
        let block = 4096;
        let blocks = (bytes.len() / block).max(1);
        let length = bytes.len();
        let part =
            |first: usize, count: usize| (first * block).min(length)..((first + count) * block).min(length);
        match random.below(6) {
            0 => {
                let first = random.below(blocks);
                bytes[part(first, 1 + random.below(4))].fill(0);
            }
            1 => {
                for _ in 0..=random.below(60) {
                    let at = random.below(length);
                    bytes[at] ^= 1 << random.below(8);
                }
            }
            2 => bytes.truncate(length - random.below(length / 4)),
            3 => {
                let first = random.below(blocks);
                bytes[part(first, blocks / 6 + 1)].fill(0);
            }
            4 => {
                let (a, b) = (random.below(blocks), random.below(blocks));
                if a != b && (a.max(b) + 1) * block <= length {
                    let (left, right) = bytes.split_at_mut(a.max(b) * block);
                    left[part(a.min(b), 1)].swap_with_slice(&mut right[..block]);
                }
            }
            _ => {
                let first = random.below(blocks);
                bytes[part(first, 1 + random.below(3))].fill_with(|| random.next() as u8);
            }
        }
    }
    bytes
}
