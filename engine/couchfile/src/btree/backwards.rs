//! Walks a tree against the order of its keys, one node per level in memory.

use std::cmp::Ordering;

use super::node::{self, MAX_DEPTH};
use super::{Entry, Key, TreeKind};
use crate::blocks::Blocks;
use crate::error::{CouchFileError, Result, TermError};
use crate::header::TreeState;
use crate::read_at::ReadAt;
use crate::term::Decoder;

/// A node between the root and the present leaf, or that leaf.
#[derive(Debug)]
struct Frame {
    ptr: u64,
    term: Vec<u8>,
    leaf: bool,
    /// Where each entry that is still to come begins, its key ends, and it ends.
    entries: Vec<(usize, usize, usize)>,
}

/// Walks a tree from its last entry to its first.
///
/// Keys must descend strictly and pointers must lead backwards in the file; that ends every walk.
#[derive(Debug)]
pub struct BackwardCursor<'f, R> {
    blocks: &'f Blocks<R>,
    kind: TreeKind,
    frames: Vec<Frame>,
    last_key: Option<Vec<u8>>,
    /// The first key wanted, as an encoded term; entries above it are passed over.
    from: Option<Vec<u8>>,
    failed: bool,
}

impl<'f, R: ReadAt> BackwardCursor<'f, R> {
    /// A cursor after the last entry whose key, given as an encoded term, is not greater than `from`; without it after a tree's
    /// last entry. Subtrees after it are not read.
    pub fn new(
        blocks: &'f Blocks<R>,
        kind: TreeKind,
        root: Option<&TreeState>,
        from: Option<Vec<u8>>,
    ) -> Result<Self> {
        let mut cursor = Self { blocks, kind, frames: Vec::new(), last_key: None, from, failed: false };
        if let Some(root) = root {
            cursor.descend(root.ptr, blocks.end())?;
        }
        Ok(cursor)
    }

    /// The entry before, `None` before the first one. After an error there are no more.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'_>>> {
        if self.failed {
            return Ok(None);
        }
        match self.advance() {
            Ok(Some((start, key_end, end))) => {
                let Some(frame) = self.frames.last() else { return Ok(None) };
                let key = Key::decode(&frame.term[start..key_end])
                    .map_err(|e| CouchFileError::damaged(self.kind.name(), frame.ptr, e))?;
                Ok(Some(Entry { key, value: &frame.term[key_end..end] }))
            }
            Ok(None) => Ok(None),
            Err(e) => {
                self.failed = true;
                self.frames.clear();
                Err(e)
            }
        }
    }

    fn descend(&mut self, ptr: u64, below: u64) -> Result<()> {
        let name = self.kind.name();
        let damaged = |why: &str| CouchFileError::damaged(name, ptr, why);
        if ptr >= below {
            return Err(damaged("a pointer leads beyond the node that holds it"));
        }
        if self.frames.len() >= MAX_DEPTH {
            return Err(damaged("the tree is too deep"));
        }
        let (term, _) = self.blocks.read_term(ptr, name)?;
        let term = term.as_slice().to_vec();
        let (leaf, entries) = places(&term).map_err(|e| CouchFileError::damaged(name, ptr, e))?;
        self.frames.push(Frame { ptr, term, leaf, entries });
        Ok(())
    }

    fn advance(&mut self) -> Result<Option<(usize, usize, usize)>> {
        let name = self.kind.name();
        loop {
            let Some(frame) = self.frames.last_mut() else { return Ok(None) };
            let ptr = frame.ptr;
            let damaged = |e: TermError| CouchFileError::damaged(name, ptr, e);
            let Some((start, key_end, end)) = frame.entries.pop() else {
                self.frames.pop();
                continue;
            };
            let raw_key = &frame.term[start..key_end];
            let key = Key::decode(raw_key).map_err(damaged)?;
            let from = self.from.as_deref().map(Key::decode).transpose().map_err(damaged)?;
            if frame.leaf {
                if let Some(last) = &self.last_key
                    && Key::decode(last).map_err(damaged)?.order(&key) != Ordering::Greater
                {
                    return Err(CouchFileError::damaged(name, ptr, format!("key {key} is out of order")));
                }
                self.last_key = Some(raw_key.to_vec());
                if from.is_some_and(|from| key.order(&from) == Ordering::Greater) {
                    continue;
                }
                self.from = None;
                return Ok(Some((start, key_end, end)));
            }
            // A subtree is wanted where the one before it ends below `from`.
            if let Some(from) = from
                && let Some(&(start, key_end, _)) = frame.entries.last()
                && Key::decode(&frame.term[start..key_end]).map_err(damaged)?.order(&from) != Ordering::Less
            {
                continue;
            }
            let state = TreeState::decode(&mut Decoder::new(&frame.term[key_end..end])).map_err(damaged)?;
            let state = state.ok_or_else(|| CouchFileError::damaged(name, ptr, "a pointer to nothing"))?;
            self.descend(state.ptr, ptr)?;
        }
    }
}

/// Whether a node is a leaf, and where its entries, their keys and their values lie.
#[allow(clippy::type_complexity)]
fn places(term: &[u8]) -> Result<(bool, Vec<(usize, usize, usize)>), TermError> {
    let mut decoder = Decoder::new(term);
    let (leaf, count) = node::head(&mut decoder)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        decoder.tuple_of(2)?;
        let start = decoder.position();
        decoder.skip()?;
        let key_end = decoder.position();
        decoder.skip()?;
        entries.push((start, key_end, decoder.position()));
    }
    decoder.list_end()?;
    decoder.end()?;
    Ok((leaf, entries))
}
