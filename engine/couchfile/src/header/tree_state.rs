//! Roots of trees as headers name them.

use crate::error::TermError;
use crate::term::{Decoder, Encoder};

/// The root of a tree as a header names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeState {
    /// Offset of the root node's chunk.
    pub ptr: u64,
    /// The tree's reduction, an encoded term without version byte.
    pub reduction: Vec<u8>,
    /// Size of all the tree's nodes on disk, in bytes. Missing before disk version 6.
    pub size: Option<u64>,
}

impl TreeState {
    /// Reads `nil` or `{Ptr, Reduction, Size}` or, in files from before CouchDB 1.2, `{Ptr, Reduction}`.
    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Option<Self>, TermError> {
        if decoder.take_atom(b"nil")? {
            return Ok(None);
        }
        let size = decoder.tuple()?;
        if size != 2 && size != 3 {
            return Err(decoder.error("no tree state"));
        }
        let ptr = decoder.uint()?;
        let reduction = decoder.raw()?.to_vec();
        let size = if size == 3 { Some(decoder.uint()?) } else { None };
        Ok(Some(Self { ptr, reduction, size }))
    }

    /// The encoded state, `nil` for an empty tree.
    pub(crate) fn encode(state: Option<&Self>, encoder: &mut Encoder) {
        match state {
            None => encoder.atom(b"nil"),
            Some(state) => match state.size {
                Some(size) => encoder.tuple(3).uint(state.ptr).raw(&state.reduction).uint(size),
                None => encoder.tuple(2).uint(state.ptr).raw(&state.reduction),
            },
        };
    }
}
