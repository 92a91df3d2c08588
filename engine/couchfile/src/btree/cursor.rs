//! Walks a tree in key order, one node per level in memory.

use std::cmp::Ordering;

use super::fault::{Fault, LostKeys};
use super::frame::{Frame, claimed_entries};
use super::key::Key;
use super::node::{self, MAX_DEPTH};
use super::reduction::{Reduction, TreeKind};
use super::subtrees::Subtree;
use crate::blocks::{self, Blocks};
use crate::error::{CouchFileError, Result, TermError};
use crate::header::TreeState;
use crate::read_at::ReadAt;
use crate::term::Decoder;

/// An entry of a leaf node.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'c> {
    /// The key.
    pub key: Key<'c>,
    /// The value's encoded term.
    pub value: &'c [u8],
}

/// Walks a tree in key order.
///
/// Keys must ascend strictly, pointers must lead backwards, every pointer's last key must be the one found. In checking
/// mode reductions and sizes are computed again and compared, too.
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
    /// Damage that was gone around; `None` if damage ends the walk.
    faults: Option<Vec<Fault>>,
}

/// Where the walk met damage.
enum Met {
    /// In the top frame, whose other entries are lost.
    InNode(CouchFileError),
    /// In what a node says of its entries, which have all been read; its frame is gone.
    InClaims(CouchFileError),
}

impl From<CouchFileError> for Met {
    fn from(error: CouchFileError) -> Self {
        Self::InNode(error)
    }
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
            faults: None,
        };
        if let Some(root) = root {
            cursor.descend(root.clone(), None, blocks.end())?;
        }
        Ok(cursor)
    }

    /// A cursor before a tree's first entry that goes around damaged nodes. [`Self::take_faults`] has what they were.
    ///
    /// Fails if the bytes cannot be read at all.
    pub fn skipping(blocks: &'f Blocks<R>, kind: TreeKind, root: Option<&TreeState>) -> Result<Self> {
        let mut cursor = Self::new(blocks, kind, None)?;
        cursor.faults = Some(Vec::new());
        if let Some(root) = root {
            cursor.descend_or_skip(root.clone(), None, blocks.end())?;
        }
        Ok(cursor)
    }

    /// A cursor that goes around damaged nodes, before the first entry whose key, given as an encoded term, is not less than
    /// `from`.
    pub fn skipping_from(
        blocks: &'f Blocks<R>,
        kind: TreeKind,
        root: Option<&TreeState>,
        from: Vec<u8>,
    ) -> Result<Self> {
        let mut cursor = Self::skipping(blocks, kind, root)?;
        cursor.from = Some(from);
        Ok(cursor)
    }

    /// A cursor over a part of a tree, which goes around damaged nodes and compares reductions and sizes, too.
    pub(crate) fn over(blocks: &'f Blocks<R>, kind: TreeKind, part: &Subtree) -> Result<Self> {
        let mut cursor = Self::skipping(blocks, kind, None)?.checking();
        cursor.last_key.clone_from(&part.after);
        cursor.descend_or_skip(part.state.clone(), part.last_key.clone(), part.below)?;
        Ok(cursor)
    }

    /// The damage that the cursor went around since the last call. Complete when there are no more entries.
    pub fn take_faults(&mut self) -> Vec<Fault> {
        self.faults.as_mut().map(std::mem::take).unwrap_or_default()
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
        let term =
            crate::compression::unpack(&chunk.payload).map_err(|why| self.damaged(ptr, why))?.into_vec();
        let mut decoder = Decoder::new(&term);
        let (leaf, left) = node::head(&mut decoder).map_err(|e| self.damaged(ptr, e))?;
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
        let (key, value) = loop {
            let met = match self.advance() {
                Ok(Some(found)) => break found,
                Ok(None) => return Ok(None),
                Err(met) => met,
            };
            if let Err(error) = self.go_around(met) {
                self.failed = true;
                self.frames.clear();
                return Err(error);
            }
        };
        let Some(frame) = self.frames.last() else { return Ok(None) };
        let ptr = frame.ptr;
        let key = Key::decode(&frame.term[key.0..key.1])
            .map_err(|e| CouchFileError::damaged(self.kind.name(), ptr, e))?;
        Ok(Some(Entry { key, value: &frame.term[value.0..value.1] }))
    }

    /// Notes damage and leaves it behind. Fails if damage ends the walk.
    fn go_around(&mut self, met: Met) -> Result<()> {
        let (why, in_node) = match met {
            Met::InNode(why) => (why, true),
            Met::InClaims(why) => (why, false),
        };
        let Some(faults) = &mut self.faults else { return Err(why) };
        if why.is_io() {
            return Err(why);
        }
        if !in_node {
            faults.push(Fault { why, lost: None });
            return Ok(());
        }
        let Some(frame) = self.frames.pop() else { return Err(why) };
        let read = frame.reduction.count.saturating_add(frame.reduction.deleted);
        let entries = claimed_entries(self.kind, &frame.claimed).saturating_sub(read);
        let lost = LostKeys { after: self.last_key.clone(), up_to: frame.claimed_last_key.clone(), entries };
        faults.push(Fault { why, lost: Some(lost) });
        self.believe(&frame.claimed, frame.claimed_last_key);
        Ok(())
    }

    /// Takes for read what a node says of the damaged one below it, so that the nodes above can still be checked.
    fn believe(&mut self, claimed: &TreeState, last_key: Option<Vec<u8>>) {
        if last_key.is_some() {
            self.last_key = last_key;
        }
        if let Some(parent) = self.frames.last_mut() {
            if let Ok((reduction, _)) = Reduction::decode(self.kind, &claimed.reduction) {
                parent.reduction = parent.reduction.plus(reduction);
            }
            let size = claimed.size.unwrap_or(0);
            parent.size.0 = parent.size.0.saturating_add(size);
            parent.size.1 = parent.size.1.saturating_add(size);
        }
    }

    /// Goes down into a node or, if that is damaged and the cursor skips, around it.
    fn descend_or_skip(&mut self, state: TreeState, last_key: Option<Vec<u8>>, below: u64) -> Result<()> {
        if self.faults.is_none() {
            return self.descend(state, last_key, below);
        }
        let Err(why) = self.descend(state.clone(), last_key.clone(), below) else { return Ok(()) };
        if why.is_io() {
            return Err(why);
        }
        let entries = claimed_entries(self.kind, &state);
        let lost = LostKeys { after: self.last_key.clone(), up_to: last_key.clone(), entries };
        self.faults.get_or_insert_default().push(Fault { why, lost: Some(lost) });
        self.believe(&state, last_key);
        Ok(())
    }

    /// Goes to the next entry; gives the places of its key and its value in the top frame's term.
    #[allow(clippy::type_complexity)]
    fn advance(&mut self) -> Result<Option<((usize, usize), (usize, usize))>, Met> {
        loop {
            let Some(frame) = self.frames.last_mut() else { return Ok(None) };
            let ptr = frame.ptr;
            let name = self.kind.name();
            let damaged = |e: TermError| CouchFileError::damaged(name, ptr, e);
            if frame.left == 0 {
                self.ascend().map_err(Met::InClaims)?;
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
                if self.checking || self.faults.is_some() {
                    let one =
                        Reduction::of_entry(self.kind, &frame.term[value.0..value.1]).map_err(damaged)?;
                    frame.reduction = frame.reduction.plus(one);
                }
                let raw_key = &frame.term[key.0..key.1];
                let this = Key::decode(raw_key).map_err(damaged)?;
                if let Some(last) = &self.last_key
                    && Key::decode(last).map_err(damaged)?.order(&this) != Ordering::Less
                {
                    let why = format!("key {this} is out of order");
                    return Err(CouchFileError::damaged(name, ptr, why).into());
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
                return Err(CouchFileError::damaged(name, ptr, "a pointer to nothing").into());
            };
            frame.pos = base + decoder.position();
            let last_key = frame.term[key.0..key.1].to_vec();
            if let Some(from) = &self.from {
                let last = Key::decode(&last_key).map_err(damaged)?;
                if last.order(&Key::decode(from).map_err(damaged)?) == Ordering::Less {
                    continue;
                }
            }
            self.descend_or_skip(state, Some(last_key), ptr)?;
        }
    }

    /// Leaves the top node and compares it with what its parent said.
    fn ascend(&mut self) -> Result<()> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        let held = frame.check_claims(self.kind, self.last_key.as_deref(), self.checking);
        // The entries have been read, whatever was said of them.
        if held.is_err() && self.faults.is_some() {
            self.believe(&frame.claimed, frame.claimed_last_key);
        } else if let Some(parent) = self.frames.last_mut() {
            parent.reduction = parent.reduction.plus(frame.reduction);
            parent.size.0 = parent.size.0.saturating_add(frame.size.0);
            parent.size.1 = parent.size.1.saturating_add(frame.size.1);
        }
        held
    }
}
