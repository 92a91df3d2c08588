//! Bulk-builds a B+tree from entries in key order.

use std::io::Write;

use super::appender::Appender;
use crate::btree::{Reduction, TreeKind};
use crate::error::{CouchFileError, Result};
use crate::header::TreeState;
use crate::term::Encoder;

/// Nodes are cut when their entries reach so many bytes: CouchDB's `btree_chunk_size`.
const NODE_SIZE: usize = 1279;

/// A node being filled.
#[derive(Debug, Default)]
struct Node {
    entries: Vec<u8>,
    count: usize,
    last_key: Vec<u8>,
    reduction: Reduction,
    /// Bytes on disk of all nodes below.
    below: u64,
}

impl Node {
    fn push(&mut self, key: &[u8], value: &[u8], reduction: Reduction, below: u64) {
        let mut encoder = Encoder::appending(std::mem::take(&mut self.entries));
        encoder.tuple(2).raw(key).raw(value);
        self.entries = encoder.finish();
        self.count += 1;
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.reduction = self.reduction.plus(reduction);
        self.below += below;
    }

    fn append(&mut self, other: &Node) {
        self.entries.extend_from_slice(&other.entries);
        self.count += other.count;
        self.last_key.clone_from(&other.last_key);
        self.reduction = self.reduction.plus(other.reduction);
        self.below += other.below;
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= NODE_SIZE && self.count >= 2
    }
}

/// One level of the tree: a full node is held back so that a lone last entry can join it.
#[derive(Debug, Default)]
struct Level {
    held: Option<Node>,
    filling: Node,
    flushed: bool,
}

/// Builds a tree; nodes are written as soon as they are full, so memory stays at a few nodes per level.
#[derive(Debug)]
pub struct TreeBuilder {
    kind: TreeKind,
    levels: Vec<Level>,
}

impl TreeBuilder {
    /// An empty tree.
    pub fn new(kind: TreeKind) -> Self {
        Self { kind, levels: vec![Level::default()] }
    }

    /// Adds an entry: key and value as encoded terms. Keys must ascend; the caller sees to that.
    pub fn push<W: Write>(&mut self, out: &mut Appender<W>, key: &[u8], value: &[u8]) -> Result<()> {
        let reduction = Reduction::of_entry(self.kind, value)
            .map_err(|e| CouchFileError::Invalid(format!("an entry of the {}: {e}", self.kind.name())))?;
        self.push_at(out, 0, key, value, reduction, 0)
    }

    fn push_at<W: Write>(
        &mut self,
        out: &mut Appender<W>,
        at: usize,
        key: &[u8],
        value: &[u8],
        reduction: Reduction,
        below: u64,
    ) -> Result<()> {
        if self.levels.len() == at {
            self.levels.push(Level::default());
        }
        let level = &mut self.levels[at];
        if level.filling.is_full() {
            let full = std::mem::take(&mut level.filling);
            if let Some(held) = level.held.replace(full) {
                level.flushed = true;
                self.flush(out, at, &held)?;
            }
        }
        self.levels[at].filling.push(key, value, reduction, below);
        Ok(())
    }

    /// Writes a node and names it in the level above. Levels are few, so the recursion through `push_at` is shallow.
    fn flush<W: Write>(&mut self, out: &mut Appender<W>, at: usize, node: &Node) -> Result<()> {
        let state = self.write(out, at, node)?;
        let mut value = Encoder::new();
        TreeState::encode(Some(&state), &mut value);
        let size = state.size.unwrap_or(0);
        self.push_at(out, at + 1, &node.last_key, value.as_bytes(), node.reduction, size)
    }

    fn write<W: Write>(&self, out: &mut Appender<W>, at: usize, node: &Node) -> Result<TreeState> {
        let mut term = Encoder::versioned();
        term.tuple(2).atom(if at == 0 { b"kv_node" } else { b"kp_node" });
        term.list(node.count).raw(&node.entries).nil();
        let written = out.term(term.as_bytes())?;
        Ok(TreeState {
            ptr: written.ptr,
            reduction: node.reduction.encode(self.kind),
            size: Some(written.len + node.below),
        })
    }

    /// Writes what is left; gives the root, `None` for an empty tree.
    pub fn finish<W: Write>(mut self, out: &mut Appender<W>) -> Result<Option<TreeState>> {
        let mut at = 0;
        while at < self.levels.len() {
            let level = &mut self.levels[at];
            let mut last = std::mem::take(&mut level.filling);
            let mut held = level.held.take();
            if at > 0
                && last.count == 1
                && let Some(held) = held.as_mut()
            {
                held.append(&last);
                last = Node::default();
            }
            let only = !level.flushed && (held.is_none() || last.count == 0);
            if only {
                let root = if last.count > 0 { Some(last) } else { held };
                return root.map(|node| self.write(out, at, &node)).transpose();
            }
            if let Some(held) = held {
                self.flush(out, at, &held)?;
            }
            if last.count > 0 {
                self.flush(out, at, &last)?;
            }
            at += 1;
        }
        Ok(None)
    }
}
