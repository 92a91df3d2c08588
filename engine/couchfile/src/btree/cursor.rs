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

/// Damage that a skipping cursor went around.
#[derive(Debug)]
pub struct Fault {
    /// What is wrong.
    pub why: CouchFileError,
    /// The entries that were passed over; `None` where all entries were read and only what a node says of them is wrong.
    pub lost: Option<LostKeys>,
}

/// Entries of a tree that cannot be read, because the node that holds them or one above it is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostKeys {
    /// The key before the first of them as an encoded term; `None` where they are the first of the tree.
    pub after: Option<Vec<u8>>,
    /// The key of the last of them as an encoded term; `None` where they are the last of the tree.
    pub up_to: Option<Vec<u8>>,
    /// How many there are, as the node above them says; 0 where nothing says it.
    pub entries: u64,
}

impl LostKeys {
    /// Whether a key is one of them, or would be.
    pub fn contains(&self, key: &Key<'_>) -> bool {
        let order = |raw: &[u8]| Key::decode(raw).map(|bound| key.order(&bound));
        let begun = self.after.as_deref().is_none_or(|raw| order(raw) == Ok(Ordering::Greater));
        let ended = self.up_to.as_deref().is_some_and(|raw| order(raw) == Ok(Ordering::Greater));
        begun && !ended
    }
}

impl std::fmt::Display for LostKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = |raw: &'_ Option<Vec<u8>>| {
            raw.as_ref().and_then(|raw| Key::decode(raw).ok().map(|key| key.to_string()))
        };
        match (key(&self.after), key(&self.up_to)) {
            (Some(after), Some(up_to)) => write!(f, "after {after} up to {up_to}"),
            (Some(after), None) => write!(f, "after {after}"),
            (None, Some(up_to)) => write!(f, "up to {up_to}"),
            (None, None) => f.write_str("of the whole tree"),
        }
    }
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
    /// Damage that was gone around; `None` where damage ends the walk.
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
    /// Fails where the bytes cannot be read at all.
    pub fn skipping(blocks: &'f Blocks<R>, kind: TreeKind, root: Option<&TreeState>) -> Result<Self> {
        let mut cursor = Self::new(blocks, kind, None)?;
        cursor.faults = Some(Vec::new());
        if let Some(root) = root {
            cursor.descend_or_skip(root.clone(), None, blocks.end())?;
        }
        Ok(cursor)
    }

    /// The same from the first entry on whose key, given as an encoded term, is not less than `from`.
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

    /// The damage that was gone around since this was asked last. Complete when there are no more entries.
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

    /// Notes damage and leaves it behind. Fails where damage ends the walk.
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

    /// Goes down into a node or, where that is damaged and the cursor skips, around it.
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

    /// Leaves the top node and holds it against what its parent said.
    fn ascend(&mut self) -> Result<()> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        let held = self.hold_against_claims(&frame);
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

    fn hold_against_claims(&self, frame: &Frame) -> Result<()> {
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
        if !self.checking {
            return Ok(());
        }
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
        Ok(())
    }
}

/// How many entries a node says that the tree below it has; 0 where it does not say.
fn claimed_entries(kind: TreeKind, claimed: &TreeState) -> u64 {
    Reduction::decode(kind, &claimed.reduction)
        .map_or(0, |(reduction, _)| reduction.count.saturating_add(reduction.deleted))
}
