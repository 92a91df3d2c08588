//! A document as the id tree and the sequence tree keep it.
//!
//! Source: `couch_bt_engine.erl` (`id_tree_join/2`, `seq_tree_join/2`).

use crate::btree::{Entry, Key, Sizes, flag};
use crate::error::TermError;
use crate::revtree::{RevId, RevTree};
use crate::term::{Decoder, ListHead, Token};

/// A document's entry in the id tree or the sequence tree.
#[derive(Debug, Clone)]
pub struct DocInfo<'a> {
    /// The document's id.
    pub id: &'a [u8],
    /// The sequence of its last change.
    pub seq: u64,
    /// Whether all its leaves are deleted.
    pub deleted: bool,
    /// Sizes of its leaves and attachments. May be too large after a purge.
    pub sizes: Sizes,
    /// Its revisions; `None` in the sequence tree of files from before CouchDB 1.2, which does not hold them.
    pub revisions: Option<RevTree<'a>>,
    /// Everything that both trees must agree on where both are of the newest form, encoded.
    pub(crate) shared: &'a [u8],
    /// Its revision tree, encoded. In an entry of the sequence tree from before CouchDB 1.2 its leaves: those that are not
    /// deleted, then those that are.
    pub(crate) tree: &'a [u8],
    /// Whether the entry has sizes.
    pub(crate) has_sizes: bool,
}

/// A leaf as the sequence tree of files from before CouchDB 1.2 keeps it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct OldLeaf<'a> {
    generation: u64,
    id: RevId<'a>,
    deleted: bool,
    seq: u64,
}

impl<'a> DocInfo<'a> {
    /// Reads an entry of the id tree: `{Seq, Deleted, Sizes, RevTree}`, in old files without sizes.
    pub fn from_id_tree(entry: &Entry<'a>) -> Result<Self, TermError> {
        let Key::Bytes(id) = entry.key else {
            return Err(TermError { at: 0, what: "an id that is not a binary" });
        };
        let mut decoder = Decoder::new(entry.value);
        let size = decoder.tuple()?;
        let seq = decoder.uint()?;
        Self::rest(id, seq, size, decoder, entry.value)
    }

    /// Reads an entry of the sequence tree: `{Id, Deleted, Sizes, RevTree}`, in old files without sizes, in older ones
    /// `{Id, Leaves, DeletedLeaves}`.
    pub fn from_seq_tree(entry: &Entry<'a>) -> Result<Self, TermError> {
        let Key::Seq(seq) = entry.key else {
            return Err(TermError { at: 0, what: "a sequence that is not an integer" });
        };
        let mut decoder = Decoder::new(entry.value);
        let size = decoder.tuple()?;
        let id = decoder.binary()?;
        if size == 3 && flag(&mut decoder.clone()).is_err() {
            let tree = &entry.value[decoder.position()..];
            let deleted = matches!(decoder.clone().list()?, ListHead::Elements(0));
            decoder.skip()?;
            decoder.skip()?;
            decoder.end()?;
            return Ok(Self {
                id,
                seq,
                deleted,
                sizes: Sizes::default(),
                revisions: None,
                shared: &[],
                tree,
                has_sizes: false,
            });
        }
        Self::rest(id, seq, size, decoder, entry.value)
    }

    fn rest(
        id: &'a [u8],
        seq: u64,
        size: usize,
        mut decoder: Decoder<'a>,
        value: &'a [u8],
    ) -> Result<Self, TermError> {
        if size != 3 && size != 4 {
            return Err(decoder.error("no document entry"));
        }
        let shared = &value[decoder.position()..];
        let deleted = flag(&mut decoder)?;
        let sizes = if size == 4 { Sizes::decode(&mut decoder)? } else { Sizes::default() };
        let tree = decoder.raw()?;
        let revisions = RevTree::decode(tree)?;
        decoder.end()?;
        let has_sizes = size == 4;
        Ok(Self { id, seq, deleted, sizes, revisions: Some(revisions), shared, tree, has_sizes })
    }

    /// Whether an entry of the id tree and one of the sequence tree mean the same document, whichever of its forms each has.
    pub(crate) fn means_the_same(&self, in_seq_tree: &DocInfo<'_>) -> bool {
        if (self.id, self.seq, self.deleted) != (in_seq_tree.id, in_seq_tree.seq, in_seq_tree.deleted) {
            return false;
        }
        let Some(tree) = &self.revisions else { return false };
        match &in_seq_tree.revisions {
            Some(other) => self.tree == in_seq_tree.tree || tree.means_the_same(other),
            None => old_leaves(in_seq_tree.tree).is_ok_and(|old| old == leaves(tree)),
        }
    }
}

/// The leaves of a tree, in order.
fn leaves<'a>(tree: &RevTree<'a>) -> Vec<OldLeaf<'a>> {
    let of = |leaf: &crate::revtree::Revision<'a>| OldLeaf {
        generation: leaf.generation,
        id: leaf.id,
        deleted: leaf.stored.is_some_and(|stored| stored.deleted),
        seq: leaf.stored.map_or(0, |stored| stored.seq),
    };
    let mut leaves: Vec<_> = tree.leaves().map(of).collect();
    leaves.sort_unstable();
    leaves
}

/// Reads `[{{Generation, Id}, Seq, Pointer}, …]` of the leaves that are not deleted, then the same of those that are.
fn old_leaves(raw: &[u8]) -> Result<Vec<OldLeaf<'_>>, TermError> {
    let mut decoder = Decoder::new(raw);
    let mut leaves = Vec::new();
    for deleted in [false, true] {
        decoder.list_items(|d| -> Result<(), TermError> {
            d.tuple_of(3)?;
            d.tuple_of(2)?;
            let (generation, id) = (d.uint()?, RevId(d.binary()?));
            let seq = d.uint()?;
            match d.token()? {
                Token::Int(_) | Token::Atom(_) => {}
                _ => return Err(d.error("no pointer")),
            }
            leaves.push(OldLeaf { generation, id, deleted, seq });
            Ok(())
        })?;
    }
    decoder.end()?;
    leaves.sort_unstable();
    Ok(leaves)
}
