//! Writes a complete database file whose documents come in the order of their sequences, in memory that does not grow.
//!
//! The tree by sequence is written while the documents come. Of what the trees by key need, the caller gets the entries back,
//! sorts them, on disk if they are many, and hands them over again in order.

use std::io::Write;

use super::appender::Appender;
use super::changed::Leaf;
use super::copied;
use super::database::LOCAL;
use super::settings::{Settings, Written};
use super::tree::TreeBuilder;
use crate::btree::TreeKind;
use crate::database::Database;
use crate::document::{DocInfo, Purge};
use crate::error::{CouchFileError, Result};
use crate::header::TreeState;
use crate::read_at::ReadAt;
use crate::term::Encoder;

/// Writes a database whose documents are copied from other files, in the order of their new sequences.
#[derive(Debug)]
pub struct SequencedWriter<W> {
    out: Appender<W>,
    settings: Settings,
    written: Written,
    by_seq: TreeBuilder,
    by_purge_seq: TreeBuilder,
    seq: u64,
    purge_seq: u64,
}

impl<W: Write> SequencedWriter<W> {
    /// Begins a file; `out` gets it from offset 0 on.
    ///
    /// Fails if the settings' uuid or node name is malformed.
    pub fn new(out: W, settings: Settings) -> Result<Self> {
        let (out, written) = settings.begin(out)?;
        Ok(Self {
            out,
            settings,
            written,
            by_seq: TreeBuilder::new(TreeKind::Seq),
            by_purge_seq: TreeBuilder::new(TreeKind::PurgeSeq),
            seq: 0,
            purge_seq: 0,
        })
    }

    /// Offset of the next byte.
    pub fn position(&self) -> u64 {
        self.out.position()
    }

    /// Number of documents that were added.
    pub fn documents(&self) -> u64 {
        self.seq
    }

    /// Copies a document with all its revisions, bodies and attachments from another file. It gets the next sequence.
    ///
    /// Returns its value in the tree by id ([`SortedTree::Documents`]).
    pub fn copy<R: ReadAt>(&mut self, source: &Database<R>, doc: &DocInfo<'_>) -> Result<Vec<u8>> {
        let entry = copied::document(&mut self.out, source, doc, self.seq + 1)?;
        self.add(doc.id, &entry)
    }

    /// Copies a document with changes to its leaves, one for each in the order of its revision tree. Of revisions that are not leaves
    /// only the ids are copied, and none that no leaf that stays is made of. If a leaf stays, the document gets the next sequence.
    ///
    /// Returns its value in the tree by id ([`SortedTree::Documents`]); `None` if none of its leaves stays, and nothing was written.
    pub fn copy_changed<R: ReadAt>(
        &mut self,
        source: &Database<R>,
        doc: &DocInfo<'_>,
        leaves: &[Leaf],
    ) -> Result<Option<Vec<u8>>> {
        let entry = copied::changed(&mut self.out, source, doc, leaves, self.seq + 1)?;
        entry.map(|entry| self.add(doc.id, &entry)).transpose()
    }

    /// Gives a document the next sequence; gives its value in the tree by id.
    fn add(&mut self, id: &[u8], entry: &[u8]) -> Result<Vec<u8>> {
        let seq = self.seq + 1;
        let mut value = Encoder::new();
        value.tuple(4).binary(id).raw(entry);
        self.by_seq.push(&mut self.out, Encoder::new().uint(seq).as_bytes(), value.as_bytes())?;
        self.seq = seq;
        let mut value = Encoder::new();
        value.tuple(4).uint(seq).raw(entry);
        Ok(value.finish())
    }

    /// Records a purge. It gets the next purge sequence.
    ///
    /// Returns its value in the tree by uuid ([`SortedTree::Purges`]).
    pub fn purge(&mut self, purge: &Purge<'_>) -> Result<Vec<u8>> {
        let purge_seq = self.purge_seq + 1;
        let mut rest = Encoder::new();
        rest.binary(purge.id).list(purge.revisions.len());
        for (generation, rev) in &purge.revisions {
            rest.tuple(2).uint(*generation).binary(rev.0);
        }
        if !purge.revisions.is_empty() {
            rest.nil();
        }
        let mut value = Encoder::new();
        value.tuple(3).binary(purge.uuid).raw(rest.as_bytes());
        let mut key = Encoder::new();
        key.uint(purge_seq);
        self.by_purge_seq.push(&mut self.out, key.as_bytes(), value.as_bytes())?;
        self.purge_seq = purge_seq;
        let mut value = Encoder::new();
        value.tuple(3).uint(purge_seq).raw(rest.as_bytes());
        Ok(value.finish())
    }

    /// Ends the documents and purges: what follows are the trees by key.
    pub fn into_sorted(mut self) -> Result<SortedTrees<W>> {
        let seq_tree = self.by_seq.finish(&mut self.out)?;
        let purge_seq_tree = self.by_purge_seq.finish(&mut self.out)?;
        Ok(SortedTrees {
            out: self.out,
            settings: self.settings,
            written: self.written,
            update_seq: self.seq,
            by_seq: [seq_tree, purge_seq_tree],
            trees: SortedTree::ALL.map(|tree| Growing {
                builder: TreeBuilder::new(tree.kind()),
                last_key: Vec::new(),
                entries: 0,
            }),
            expected: [self.seq, self.purge_seq],
        })
    }
}

/// A tree whose entries are in the order of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortedTree {
    /// Document ids with the values that [`SequencedWriter::copy`] returned.
    Documents,
    /// Ids of local documents, with `_local/` in front; see [`SortedTree::local_value`].
    Locals,
    /// Uuids of purges with the values that [`SequencedWriter::purge`] returned.
    Purges,
}

impl SortedTree {
    const ALL: [Self; 3] = [Self::Documents, Self::Locals, Self::Purges];

    fn kind(self) -> TreeKind {
        match self {
            Self::Documents => TreeKind::Id,
            Self::Locals => TreeKind::Local,
            Self::Purges => TreeKind::Purge,
        }
    }

    /// The value of a local document; `body` is an object as a term, without version byte.
    pub fn local_value(revision: u64, body: &[u8]) -> Vec<u8> {
        let mut value = Encoder::new();
        value.tuple(2).uint(revision).raw(body);
        value.finish()
    }
}

#[derive(Debug)]
struct Growing {
    builder: TreeBuilder,
    last_key: Vec<u8>,
    entries: u64,
}

/// The end of a file of a [`SequencedWriter`]: the trees by key, and the header.
#[derive(Debug)]
pub struct SortedTrees<W> {
    out: Appender<W>,
    settings: Settings,
    written: Written,
    update_seq: u64,
    /// The trees by sequence and by purge sequence.
    by_seq: [Option<TreeState>; 2],
    /// In the order of [`SortedTree::ALL`].
    trees: [Growing; 3],
    /// Documents and purges that must come.
    expected: [u64; 2],
}

impl<W: Write> SortedTrees<W> {
    /// Adds an entry to a tree.
    ///
    /// Fails if its key is not greater than the one before in this tree, or not one of this tree.
    pub fn push(&mut self, tree: SortedTree, key: &[u8], value: &[u8]) -> Result<()> {
        let growing = &mut self.trees[tree as usize];
        let fits = tree == SortedTree::Purges || key.starts_with(LOCAL) == (tree == SortedTree::Locals);
        if !fits || (growing.entries > 0 && key <= growing.last_key.as_slice()) {
            let key = String::from_utf8_lossy(key);
            let kind = tree.kind().name();
            return Err(CouchFileError::Invalid(format!("an entry of the {kind} at this place: {key}")));
        }
        growing.builder.push(&mut self.out, Encoder::new().binary(key).as_bytes(), value)?;
        growing.last_key.clear();
        growing.last_key.extend_from_slice(key);
        growing.entries += 1;
        Ok(())
    }

    /// Offset of the next byte.
    pub fn position(&self) -> u64 {
        self.out.position()
    }

    /// Writes what is left of the trees and the header, and returns the output.
    ///
    /// Fails if documents or purges are missing in the trees by key.
    pub fn finish(mut self) -> Result<W> {
        let [documents, locals, purges] = self.trees;
        if [documents.entries, purges.entries] != self.expected {
            return Err(CouchFileError::Invalid("trees with different numbers of entries".into()));
        }
        let id_tree = documents.builder.finish(&mut self.out)?;
        let local_tree = locals.builder.finish(&mut self.out)?;
        let purge_tree = purges.builder.finish(&mut self.out)?;
        let [seq_tree, purge_seq_tree] = self.by_seq;
        let trees = [id_tree, seq_tree, local_tree, purge_tree, purge_seq_tree];
        let header = self.settings.header(self.update_seq, trees, self.written);
        self.out.header(&header.encode())?;
        Ok(self.out.into_inner())
    }
}

#[cfg(test)]
mod tests;
