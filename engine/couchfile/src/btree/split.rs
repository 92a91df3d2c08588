//! Cuts a tree into parts of about the same size, for several threads to walk.

use super::TreeKind;
use super::subtrees::subtrees;
use crate::blocks::Blocks;
use crate::error::Result;
use crate::header::TreeState;
use crate::read_at::ReadAt;

/// Keys, as encoded terms and ascending, that cut a tree into about `parts` parts: each belongs to the part that ends with
/// it; after the last one comes one more part. Reads inner nodes only; there are fewer keys if the tree is small, and none if it is
/// damaged near its root: a walk over all of it then says what is wrong.
pub(crate) fn split_keys<R: ReadAt>(
    blocks: &Blocks<R>,
    kind: TreeKind,
    root: Option<&TreeState>,
    parts: usize,
) -> Result<Vec<Vec<u8>>> {
    // Subtrees differ in size, so there should be several for each part.
    let level = subtrees(blocks, kind, root, parts.saturating_mul(8))?.unwrap_or_default();
    let step = level.len().div_ceil(parts.max(1)).max(1);
    let mut keys: Vec<Vec<u8>> =
        level.chunks(step).filter_map(|part| part.last()?.last_key.clone()).collect();
    // The last part ends with the tree.
    keys.pop();
    Ok(keys)
}
