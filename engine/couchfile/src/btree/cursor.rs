//! Walks a tree in key order, one node per level in memory.

use std::cmp::Ordering;

use super::key::Key;
use super::reduction::{Reduction, TreeKind};
use crate::blocks::{self, Blocks};
use crate::error::{CouchFileError, Result, TermError};
use crate::header::TreeState;
use crate::read_at::ReadAt;
use crate::term::Decoder;

/// No real tree is deeper: with two children per node it would have 2^64 leaves.
const MAX_DEPTH: usize = 64;

/// An entry of a leaf node.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'c> {
    /// The key.
    pub key: Key<'c>,
    /// The value's encoded term.
    pub value: &'c [u8],
}

/// A node on the way from the root to the present leaf.
#[derive(Debug)]
struct Frame {
    ptr: u64,
    term: Vec<u8>,
    pos: usize,
    left: usize,
    leaf: bool,
    /// What the parent said of this node.
    claimed: TreeState,
    claimed_last_key: Option<Vec<u8>>,
    reduction: Reduction,
    /// Bytes of this node and the nodes below it: at least, at most (see [`blocks::written_len`]).
    size: (u64, u64),
}

/// Walks a tree in key order.
///
/// Keys must ascend strictly, pointers must lead backwards, every pointer's last key must be the one found. In checking
/// mode reductions and sizes are computed anew and compared, too.
#[derive(Debug)]
pub struct Cursor<'f, R> {
    blocks: &'f Blocks<R>,
    kind: TreeKind,
    checking: bool,
    frames: Vec<Frame>,
    last_key: Option<Vec<u8>>,
    /// The first key wanted; entries below it are passed over.
    from: Option<Vec<u8>>,
    failed: bool,
}

impl<'f, R: ReadAt> Cursor<'f, R> {
    /// A cursor before a tree's first entry.
    pub fn new(blocks: &'f Blocks<R>, kind: TreeKind, root: Option<&TreeState>) -> Result<Self> {
        let mut cursor = Self {
            blocks,
            kind,
            checking: false,
            frames: Vec::new(),
            last_key: None,
            from: None,
            failed: false,
        };
        if let Some(root) = root {
            cursor.descend(root.clone(), None, blocks.end())?;
        }
        Ok(cursor)
    }

    /// A cursor before the first entry whose key, given as an encoded term, is not less than `from`. Subtrees before it
    /// are not read.
    pub fn starting_at(
        blocks: &'f Blocks<R>,
        kind: TreeKind,
        root: Option<&TreeState>,
        from: Vec<u8>,
    ) -> Result<Self> {
        let mut cursor = Self::new(blocks, kind, root)?;
        cursor.from = Some(from);
        Ok(cursor)
    }

    /// Compares reductions and sizes, too.
    #[must_use]
    pub fn checking(mut self) -> Self {
        self.checking = true;
        self
    }

    fn damaged(&self, offset: u64, why: impl std::fmt::Display) -> CouchFileError {
        CouchFileError::damaged(self.kind.name(), offset, why)
    }

    fn descend(&mut self, state: TreeState, last_key: Option<Vec<u8>>, below: u64) -> Result<()> {
        let ptr = state.ptr;
        if ptr >= below {
            return Err(self.damaged(ptr, "a pointer leads beyond the node that holds it"));
        }
        if self.frames.len() >= MAX_DEPTH {
            return Err(self.damaged(ptr, "the tree is too deep"));
        }
        let chunk = self.blocks.read_chunk(ptr, self.kind.name())?;
        let payload_len = 4 + chunk.payload.len() as u64 + if chunk.checksum.is_some() { 16 } else { 0 };
        let size = (blocks::physical_len(ptr, payload_len), blocks::written_len(ptr, payload_len));
        let term = crate::compression::unpack(&chunk.payload)
            .map_err(|why| self.damaged(ptr, why))?
            .as_slice()
            .to_vec();
        let mut decoder = Decoder::new(&term);
        let head = (|| -> Result<(bool, usize), TermError> {
            decoder.tuple_of(2)?;
            let leaf = match decoder.atom()? {
                b"kv_node" => true,
                b"kp_node" => false,
                _ => return Err(decoder.error("neither kv_node nor kp_node")),
            };
            let n = decoder.list_of_terms()?;
            if n == 0 { Err(decoder.error("a node without entries")) } else { Ok((leaf, n)) }
        })();
        let (leaf, left) = head.map_err(|e| self.damaged(ptr, e))?;
        let pos = decoder.position();
        self.frames.push(Frame {
            ptr,
            term,
            pos,
            left,
            leaf,
            claimed: state,
            claimed_last_key: last_key,
            reduction: Reduction::default(),
            size,
        });
        Ok(())
    }

    /// The next entry, `None` after the last one. After an error there are no more.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'_>>> {
        if self.failed {
            return Ok(None);
        }
        match self.advance() {
            Ok(Some((key, value))) => {
                let Some(frame) = self.frames.last() else { return Ok(None) };
                let ptr = frame.ptr;
                let key = Key::decode(&frame.term[key.0..key.1])
                    .map_err(|e| CouchFileError::damaged(self.kind.name(), ptr, e))?;
                Ok(Some(Entry { key, value: &frame.term[value.0..value.1] }))
            }
            Ok(None) => Ok(None),
            Err(e) => {
                self.failed = true;
                self.frames.clear();
                Err(e)
            }
        }
    }

    /// Goes to the next entry; gives the places of its key and its value in the top frame's term.
    #[allow(clippy::type_complexity)]
    fn advance(&mut self) -> Result<Option<((usize, usize), (usize, usize))>> {
        loop {
            let Some(frame) = self.frames.last_mut() else { return Ok(None) };
            let ptr = frame.ptr;
            let name = self.kind.name();
            let damaged = |e: TermError| CouchFileError::damaged(name, ptr, e);
            if frame.left == 0 {
                self.ascend()?;
                continue;
            }
            frame.left -= 1;
            let mut decoder = Decoder::new(&frame.term[frame.pos..]);
            let base = frame.pos;
            decoder.tuple_of(2).map_err(damaged)?;
            let key = (base + decoder.position(), {
                decoder.skip().map_err(damaged)?;
                base + decoder.position()
            });
            if frame.leaf {
                decoder.skip().map_err(damaged)?;
                let value = (key.1, base + decoder.position());
                frame.pos = value.1;
                if self.checking {
                    let one =
                        Reduction::of_entry(self.kind, &frame.term[value.0..value.1]).map_err(damaged)?;
                    frame.reduction = frame.reduction.plus(one);
                }
                let raw_key = &frame.term[key.0..key.1];
                let this = Key::decode(raw_key).map_err(damaged)?;
                if let Some(last) = &self.last_key
                    && Key::decode(last).map_err(damaged)?.order(&this) != Ordering::Less
                {
                    return Err(CouchFileError::damaged(name, ptr, format!("key {this} is out of order")));
                }
                match &mut self.last_key {
                    Some(last) => {
                        last.clear();
                        last.extend_from_slice(raw_key);
                    }
                    last => *last = Some(raw_key.to_vec()),
                }
                if let Some(from) = &self.from {
                    if this.order(&Key::decode(from).map_err(damaged)?) == Ordering::Less {
                        continue;
                    }
                    self.from = None;
                }
                return Ok(Some((key, value)));
            }
            let state = TreeState::decode(&mut decoder).map_err(damaged)?;
            let Some(state) = state else {
                return Err(CouchFileError::damaged(name, ptr, "a pointer to nothing"));
            };
            frame.pos = base + decoder.position();
            let last_key = frame.term[key.0..key.1].to_vec();
            if let Some(from) = &self.from {
                let last = Key::decode(&last_key).map_err(damaged)?;
                if last.order(&Key::decode(from).map_err(damaged)?) == Ordering::Less {
                    continue;
                }
            }
            self.descend(state, Some(last_key), ptr)?;
        }
    }

    /// Leaves the top node and holds it against what its parent said.
    fn ascend(&mut self) -> Result<()> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        let name = self.kind.name();
        let damaged = |why: String| CouchFileError::damaged(name, frame.ptr, why);
        let mut decoder = Decoder::new(&frame.term[frame.pos..]);
        decoder.list_end().and_then(|()| decoder.end()).map_err(|e| damaged(e.to_string()))?;
        if let (Some(claimed), Some(found)) = (&frame.claimed_last_key, &self.last_key) {
            let same = Key::decode(claimed).and_then(|a| Ok(a == Key::decode(found)?));
            if !same.map_err(|e| damaged(e.to_string()))? {
                return Err(damaged("its last key is not the one its parent names".into()));
            }
        }
        if self.checking {
            let (claimed, with_sizes) = Reduction::decode(self.kind, &frame.claimed.reduction)
                .map_err(|e| damaged(format!("unreadable reduction: {e}")))?;
            let found = frame.reduction;
            let equal = self.kind == TreeKind::Local
                || (claimed.count == found.count
                    && claimed.deleted == found.deleted
                    && (!with_sizes || claimed.sizes == found.sizes));
            if !equal {
                return Err(damaged(format!("its parent says {claimed:?}, its entries make {found:?}")));
            }
            if let Some(size) = frame.claimed.size
                && !(frame.size.0..=frame.size.1).contains(&size)
            {
                return Err(damaged(format!(
                    "its parent says {size} bytes of nodes, found {} to {}",
                    frame.size.0, frame.size.1
                )));
            }
            if let Some(parent) = self.frames.last_mut() {
                parent.reduction = parent.reduction.plus(found);
                parent.size.0 += frame.size.0;
                parent.size.1 += frame.size.1;
            }
        }
        Ok(())
    }
}
