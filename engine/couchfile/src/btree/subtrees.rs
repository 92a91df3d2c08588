//! Cuts a tree into subtrees that several threads walk over at once.

use std::cmp::Ordering;

use super::key::Key;
use super::node;
use super::reduction::{Reduction, TreeKind};
use crate::blocks::{self, Blocks};
use crate::error::{CouchFileError, Result};
use crate::header::TreeState;
use crate::read_at::ReadAt;
use crate::term::Decoder;

/// Subtrees of one level, at most: a tree of CouchDB's has some dozens of children in each node.
const MOST: usize = 1 << 16;

/// A part of a tree, with what the nodes around it say of it.
#[derive(Debug, Clone)]
pub(crate) struct Subtree {
    /// Its root, as the node above records it.
    pub(super) state: TreeState,
    /// Its last key according to the node above, as an encoded term; `None` for a complete tree.
    pub(super) last_key: Option<Vec<u8>>,
    /// The last key of the subtree before it, as an encoded term; `None` for the first one.
    pub(super) after: Option<Vec<u8>>,
    /// Offset of the node above, which a pointer must not reach.
    pub(super) below: u64,
}

/// Cuts a tree into at least `wanted` subtrees of one level, fewer if the tree is too small, in the order of their keys.
///
/// The nodes above the subtrees are checked: order, pointers, reductions and sizes. `None` if something is wrong with them; a
/// walk over the complete tree then says what. Fails if bytes cannot be read.
pub(crate) fn subtrees<R: ReadAt>(
    blocks: &Blocks<R>,
    kind: TreeKind,
    root: Option<&TreeState>,
    wanted: usize,
) -> Result<Option<Vec<Subtree>>> {
    let Some(root) = root else { return Ok(Some(Vec::new())) };
    let mut level = vec![Subtree { state: root.clone(), last_key: None, after: None, below: blocks.end() }];
    for _ in 0..node::MAX_DEPTH {
        if level.len() >= wanted {
            break;
        }
        let mut below = Vec::new();
        for subtree in &level {
            match children(blocks, kind, subtree) {
                Ok(Children::Subtrees(children)) if below.len() + children.len() <= MOST => {
                    below.extend(children);
                }
                // All leaves are on one level. If they are not, the levels above the first leaf are still a cut.
                Ok(Children::Subtrees(_) | Children::Entries) => return Ok(Some(level)),
                Err(e) if e.is_io() => return Err(e),
                Ok(Children::Wrong) | Err(_) => return Ok(None),
            }
        }
        level = below;
    }
    Ok(Some(level))
}

/// What a node holds.
enum Children {
    Subtrees(Vec<Subtree>),
    /// It is a leaf, or larger than any node of CouchDB's.
    Entries,
    /// What it says of its children cannot be true.
    Wrong,
}

fn children<R: ReadAt>(blocks: &Blocks<R>, kind: TreeKind, of: &Subtree) -> Result<Children> {
    let ptr = of.state.ptr;
    if ptr >= of.below {
        return Ok(Children::Wrong);
    }
    let damaged = |why: crate::error::TermError| CouchFileError::damaged(kind.name(), ptr, why);
    let chunk = blocks.read_chunk(ptr, kind.name())?;
    let length = 4 + chunk.payload.len() as u64 + if chunk.checksum.is_some() { 16 } else { 0 };
    let term = crate::compression::unpack(&chunk.payload)
        .map_err(|why| CouchFileError::damaged(kind.name(), ptr, why))?;
    let mut decoder = Decoder::new(term.as_slice());
    let (leaf, left) = node::head(&mut decoder).map_err(damaged)?;
    if leaf || left > MOST {
        return Ok(Children::Entries);
    }
    let mut found = Vec::with_capacity(left);
    let mut after = of.after.clone();
    let mut sum = Reduction::default();
    let mut size = (blocks::physical_len(ptr, length), blocks::written_len(ptr, length));
    for _ in 0..left {
        decoder.tuple_of(2).map_err(damaged)?;
        let last_key = decoder.raw().map_err(damaged)?.to_vec();
        let Some(state) = TreeState::decode(&mut decoder).map_err(damaged)? else {
            return Ok(Children::Wrong);
        };
        let ascends = match &after {
            Some(after) => precedes(after, &last_key).map_err(damaged)?,
            None => true,
        };
        if !ascends || state.ptr >= ptr {
            return Ok(Children::Wrong);
        }
        let (reduction, _) = Reduction::decode(kind, &state.reduction).map_err(damaged)?;
        sum = sum.plus(reduction);
        let nodes = state.size.unwrap_or(0);
        size = (size.0.saturating_add(nodes), size.1.saturating_add(nodes));
        found.push(Subtree {
            state,
            last_key: Some(last_key.clone()),
            after: after.replace(last_key),
            below: ptr,
        });
    }
    decoder.list_end().and_then(|()| decoder.end()).map_err(damaged)?;
    let (claimed, with_sizes) = Reduction::decode(kind, &of.state.reduction).map_err(damaged)?;
    let adds_up = (sum.count, sum.deleted) == (claimed.count, claimed.deleted)
        && (!with_sizes || sum.sizes == claimed.sizes)
        && of.state.size.is_none_or(|claimed| (size.0..=size.1).contains(&claimed));
    let ends = match (&of.last_key, found.last().and_then(|last| last.last_key.as_ref())) {
        (Some(claimed), Some(found)) => {
            Key::decode(claimed).map_err(damaged)? == Key::decode(found).map_err(damaged)?
        }
        (None, Some(_)) => true,
        (_, None) => false,
    };
    Ok(if adds_up && ends { Children::Subtrees(found) } else { Children::Wrong })
}

fn precedes(one: &[u8], other: &[u8]) -> std::result::Result<bool, crate::error::TermError> {
    Ok(Key::decode(one)?.order(&Key::decode(other)?) == Ordering::Less)
}
