//! A document as the id tree and the sequence tree keep it.
//!
//! Source: `couch_bt_engine.erl` (`id_tree_join/2`, `seq_tree_join/2`).

use crate::btree::{Entry, Key, Sizes, flag};
use crate::error::TermError;
use crate::revtree::RevTree;
use crate::term::{Decoder, ListHead};

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
    /// Everything that both trees must agree on, encoded.
    pub(crate) shared: &'a [u8],
}

impl<'a> DocInfo<'a> {
    /// Reads an entry of the id tree: `{Seq, Deleted, Sizes, RevTree}`, in old files without sizes.
    pub fn from_id_tree(entry: &Entry<'a>) -> Result<Self, TermError> {
        let Key::Bytes(id) = entry.key else {
            return Err(TermError { at: 0, what: "an id that is no binary" });
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
            return Err(TermError { at: 0, what: "a sequence that is no integer" });
        };
        let mut decoder = Decoder::new(entry.value);
        let size = decoder.tuple()?;
        let id = decoder.binary()?;
        if size == 3 && flag(&mut decoder.clone()).is_err() {
            let deleted = matches!(decoder.list()?, ListHead::Elements(0));
            return Ok(Self { id, seq, deleted, sizes: Sizes::default(), revisions: None, shared: &[] });
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
        let revisions = RevTree::decode(decoder.raw()?)?;
        decoder.end()?;
        Ok(Self { id, seq, deleted, sizes, revisions: Some(revisions), shared })
    }
}
