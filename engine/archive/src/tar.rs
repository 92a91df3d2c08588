//! The tar format: headers written, headers read.

pub(crate) mod encode;
pub(crate) mod header;
pub(crate) mod number;
pub(crate) mod pax;

/// Bytes per tar block.
pub(crate) const BLOCK: usize = 512;

/// Zeros after content of `size` bytes, up to the next block.
pub(crate) fn padding(size: u64) -> usize {
    (size.wrapping_neg() % BLOCK as u64) as usize
}
