//! Counts what comes before a key without reading it: a node records how much the nodes below it hold.
//!
//! Source: `couch_btree.erl` (`full_reduce/1`, and what `fold/4` gives as offset).

use std::cmp::Ordering;

use super::node::{self, MAX_DEPTH};
use super::{Key, Reduction, TreeKind};
use crate::blocks::Blocks;
use crate::error::{CouchFileError, Result, TermError};
use crate::header::TreeState;
use crate::read_at::ReadAt;
use crate::term::Decoder;

/// The reduction of all entries whose key is less than `before`.
///
/// Fails if a node between the root and that key is damaged; the other nodes are not read.
pub(crate) fn reduce_before<R: ReadAt>(
    blocks: &Blocks<R>,
    kind: TreeKind,
    root: Option<&TreeState>,
    before: Key<'_>,
) -> Result<Reduction> {
    let mut total = Reduction::default();
    let mut next = root.map(|root| root.ptr);
    let mut below = blocks.end();
    for _ in 0..MAX_DEPTH {
        let Some(ptr) = next else { return Ok(total) };
        if ptr >= below {
            let why = "a pointer leads beyond the node that holds it";
            return Err(CouchFileError::damaged(kind.name(), ptr, why));
        }
        below = ptr;
        let (term, _) = blocks.read_term(ptr, kind.name())?;
        let damaged = |e: TermError| CouchFileError::damaged(kind.name(), ptr, e);
        next = reduce_node(&mut term.decoder(), kind, before, &mut total).map_err(damaged)?;
    }
    Err(CouchFileError::damaged(kind.name(), below, "the tree is too deep"))
}

/// Adds what a node says of the entries before the key; gives the child in which some are and others are not.
fn reduce_node(
    decoder: &mut Decoder<'_>,
    kind: TreeKind,
    before: Key<'_>,
    total: &mut Reduction,
) -> Result<Option<u64>, TermError> {
    let is_leaf = node::is_leaf(decoder)?;
    for _ in 0..decoder.list_of_terms()? {
        decoder.tuple_of(2)?;
        let is_before = Key::decode(decoder.raw()?)?.order(&before) == Ordering::Less;
        let value = decoder.raw()?;
        if is_leaf {
            if !is_before {
                return Ok(None);
            }
            *total = total.plus(Reduction::of_entry(kind, value)?);
            continue;
        }
        let state = TreeState::decode(&mut Decoder::new(value))?;
        let state = state.ok_or_else(|| decoder.error("a pointer to nothing"))?;
        // The key of a child is its last one.
        if !is_before {
            return Ok(Some(state.ptr));
        }
        *total = total.plus(Reduction::decode(kind, &state.reduction)?.0);
    }
    Ok(None)
}
