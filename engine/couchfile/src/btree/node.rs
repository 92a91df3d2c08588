//! What every walk needs to know of a node.

use crate::error::TermError;
use crate::term::Decoder;

/// No real tree is deeper: with two children per node it would have 2^64 leaves.
pub(super) const MAX_DEPTH: usize = 64;

/// Reads the beginning of a node: whether it is a leaf.
pub(super) fn is_leaf(decoder: &mut Decoder<'_>) -> Result<bool, TermError> {
    decoder.tuple_of(2)?;
    match decoder.atom()? {
        b"kv_node" => Ok(true),
        b"kp_node" => Ok(false),
        _ => Err(decoder.error("neither kv_node nor kp_node")),
    }
}

/// Reads a node up to its entries: whether it is a leaf, and the number of its entries, which is not zero.
pub(super) fn head(decoder: &mut Decoder<'_>) -> Result<(bool, usize), TermError> {
    let leaf = is_leaf(decoder)?;
    match decoder.list_of_terms()? {
        0 => Err(decoder.error("a node without entries")),
        entries => Ok((leaf, entries)),
    }
}
