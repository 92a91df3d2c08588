//! Reads the documents of several shards in the order in which they were changed.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use contents::AnySource;
use couchfile::Database;
use couchfile::btree::{Cursor, Entry, Key, TreeKind};
use couchfile::error::{CouchFileError, TermError};
use couchfile::term::Decoder;

/// The next document of a shard.
pub(crate) struct Next {
    /// Number of the shard among those that are read.
    pub(crate) source: usize,
    /// Sequence in that shard.
    seq: u64,
    /// The shard's last sequence.
    last: u64,
    /// The entry of the tree by sequence.
    value: Vec<u8>,
}

impl Next {
    /// The document's entry in the tree by sequence.
    pub(crate) fn entry(&self) -> Entry<'_> {
        Entry { key: Key::Seq(self.seq), value: &self.value }
    }

    /// The document's id.
    pub(crate) fn id(&self) -> Result<&[u8], TermError> {
        let mut decoder = Decoder::new(&self.value);
        decoder.tuple()?;
        decoder.binary()
    }

    /// The heap gives the greatest: that which lies furthest back in its shard.
    fn order(&self, other: &Self) -> Ordering {
        let share = |next: &Self, last: u64| u128::from(next.seq) * u128::from(last.max(1));
        share(other, self.last).cmp(&share(self, other.last)).then(other.source.cmp(&self.source))
    }
}

impl Ord for Next {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order(other)
    }
}

impl PartialOrd for Next {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Next {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Next {}

/// The documents of several shards. Sequences of different shards cannot be compared: two documents count as equally old if each
/// has the same share of its shard's sequences before it.
pub(crate) struct ByAge<'s> {
    cursors: Vec<Cursor<'s, AnySource>>,
    heads: BinaryHeap<Next>,
}

impl<'s> ByAge<'s> {
    /// Begins to read these shards. An error comes with the number of the shard.
    pub(crate) fn new(shards: &[&'s Database<AnySource>]) -> Result<Self, (usize, CouchFileError)> {
        let mut merged = Self { cursors: Vec::new(), heads: BinaryHeap::new() };
        for (source, shard) in shards.iter().enumerate() {
            merged.cursors.push(shard.cursor(TreeKind::Seq).map_err(|e| (source, e))?);
            let next = Next { source, seq: 0, last: shard.header().update_seq, value: Vec::new() };
            merged.advance(next)?;
        }
        Ok(merged)
    }

    /// The next document; `done` is the one before, whose memory is used again.
    pub(crate) fn next(&mut self, done: Option<Next>) -> Result<Option<Next>, (usize, CouchFileError)> {
        if let Some(done) = done {
            self.advance(done)?;
        }
        Ok(self.heads.pop())
    }

    fn advance(&mut self, mut next: Next) -> Result<(), (usize, CouchFileError)> {
        let source = next.source;
        let entry = self.cursors[source].next_entry().map_err(|e| (source, e))?;
        let Some(entry) = entry else { return Ok(()) };
        let Key::Seq(seq) = entry.key else {
            return Err((source, CouchFileError::damaged("seq tree", 0, "a key that is not a sequence")));
        };
        next.seq = seq;
        next.value.clear();
        next.value.extend_from_slice(entry.value);
        self.heads.push(next);
        Ok(())
    }
}
