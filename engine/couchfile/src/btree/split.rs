//! Cuts a tree into parts of about the same size, for several threads to walk.

use crate::blocks::Blocks;
use crate::error::{CouchFileError, Result, TermError};
use crate::header::TreeState;
use crate::read_at::ReadAt;
use crate::term::Decoder;

use super::TreeKind;

/// A subtree and the last key in it, as an encoded term.
struct Subtree {
    state: TreeState,
    last_key: Vec<u8>,
}

/// Keys, as encoded terms and ascending, that cut a tree into about `parts` parts: each belongs to the part that ends with
/// it; after the last one comes one more part. Reads inner nodes only; there are fewer keys if the tree is small.
pub(crate) fn split_keys<R: ReadAt>(
    blocks: &Blocks<R>,
    kind: TreeKind,
    root: Option<&TreeState>,
    parts: usize,
) -> Result<Vec<Vec<u8>>> {
    let Some(root) = root else { return Ok(Vec::new()) };
    // Subtrees differ in size, so there should be several for each part.
    let wanted = parts.saturating_mul(8);
    let mut level = vec![Subtree { state: root.clone(), last_key: Vec::new() }];
    while level.len() < wanted {
        let mut below = Vec::new();
        for subtree in &level {
            below.extend(children(blocks, kind, subtree.state.ptr)?);
        }
        if below.len() <= level.len() {
            break;
        }
        level = below;
    }
    let step = level.len().div_ceil(parts.max(1)).max(1);
    let mut keys: Vec<Vec<u8>> =
        level.chunks(step).filter_map(|c| c.last()).map(|s| s.last_key.clone()).collect();
    // The last part ends with the tree.
    keys.pop();
    keys.retain(|key| !key.is_empty());
    Ok(keys)
}

/// The subtrees that an inner node names; none for a leaf.
fn children<R: ReadAt>(blocks: &Blocks<R>, kind: TreeKind, ptr: u64) -> Result<Vec<Subtree>> {
    let (term, _) = blocks.read_term(ptr, kind.name())?;
    let damaged = |e: TermError| CouchFileError::damaged(kind.name(), ptr, e);
    let mut found = Vec::new();
    let mut decoder: Decoder<'_> = term.decoder();
    decoder.tuple_of(2).map_err(damaged)?;
    if decoder.atom().map_err(damaged)? != b"kp_node" {
        return Ok(found);
    }
    decoder
        .list_items(|d| -> Result<(), TermError> {
            d.tuple_of(2)?;
            let last_key = d.raw()?.to_vec();
            let state = TreeState::decode(d)?.filter(|state| state.ptr < ptr);
            let state = state.ok_or_else(|| d.error("a pointer that leads nowhere"))?;
            found.push(Subtree { state, last_key });
            Ok(())
        })
        .map_err(damaged)?;
    Ok(found)
}
