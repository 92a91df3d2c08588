//! Revision trees: every known revision of a document.
//!
//! `[{StartPos, Node}, …]`, `Node = {RevId, Value, [Node, …]}`: one level of nesting per revision, so a tree is read into
//! a flat list rather than by recursion.
//!
//! Sources: `couch_key_tree.erl` (form and order), `couch_bt_engine.erl` (`rev_tree/1`, the older forms of a leaf).

use std::fmt;

use crate::btree::Sizes;
use crate::btree::flag;
use crate::error::TermError;
use crate::term::{Decoder, Token};

/// The hash part of a revision: 16 bytes, or text where a client chose something that is not 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevId<'a>(pub &'a [u8]);

impl fmt::Display for RevId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In one piece: a restore writes millions of them. Only 16 bytes make 32 digits.
        let mut digits = [0; 32];
        if hex::encode_to_slice(self.0, &mut digits).is_err() {
            return f.write_str(&String::from_utf8_lossy(self.0));
        }
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

/// What the tree keeps of a revision whose body is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored<'a> {
    /// Whether this revision deletes the document.
    pub deleted: bool,
    /// Offset of its summary (body and attachments); `None` in rare old files.
    pub summary: Option<u64>,
    /// The sequence at which it was written.
    pub seq: u64,
    /// Sizes of its summary.
    pub sizes: Sizes,
    /// The encoded list `[{Pointers, Length}, …]` of its attachments, if the file has it.
    pub attachments: Option<&'a [u8]>,
}

/// One revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision<'a> {
    /// The number before the dash.
    pub generation: u64,
    /// The part after the dash.
    pub id: RevId<'a>,
    /// Index of the parent in [`RevTree::revisions`].
    pub parent: Option<usize>,
    /// Number of children; a leaf has none.
    pub children: usize,
    /// `None`: only known to have existed.
    pub stored: Option<Stored<'a>>,
}

impl fmt::Display for Revision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.generation, self.id)
    }
}

/// A document's revisions, every parent before its children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevTree<'a> {
    revisions: Vec<Revision<'a>>,
    ordered: bool,
}

impl<'a> RevTree<'a> {
    /// Reads an encoded tree.
    pub fn decode(raw: &'a [u8]) -> Result<Self, TermError> {
        let mut decoder = Decoder::new(raw);
        let mut revisions: Vec<Revision<'a>> = Vec::new();
        let mut ordered = true;
        let roots = decoder.list_of_terms()?;
        // Lists being read: parent of their elements, elements left, the element before.
        let mut open: Vec<(usize, usize, Option<RevId<'a>>)> = Vec::new();
        let mut last_root: Option<(u64, RevId<'a>)> = None;
        for _ in 0..roots {
            decoder.tuple_of(2)?;
            let start = decoder.uint()?;
            let children = read_node(&mut decoder, start, None, &mut revisions)?;
            let root = (start, revisions[revisions.len() - 1].id);
            ordered &= last_root.is_none_or(|last| last < root);
            last_root = Some(root);
            if children > 0 {
                open.push((revisions.len() - 1, children, None));
            }
            while let Some((parent, left, before)) = open.last_mut() {
                if *left == 0 {
                    decoder.list_end()?;
                    open.pop();
                    continue;
                }
                *left -= 1;
                let parent = *parent;
                let generation = revisions[parent]
                    .generation
                    .checked_add(1)
                    .ok_or_else(|| decoder.error("revision number too large"))?;
                let children = read_node(&mut decoder, generation, Some(parent), &mut revisions)?;
                let id = revisions[revisions.len() - 1].id;
                ordered &= before.is_none_or(|before| before < id);
                *before = Some(id);
                if children > 0 {
                    open.push((revisions.len() - 1, children, None));
                }
            }
        }
        if roots > 0 {
            decoder.list_end()?;
        }
        decoder.end()?;
        Ok(Self { revisions, ordered })
    }

    /// All revisions, every parent before its children.
    pub fn revisions(&self) -> &[Revision<'a>] {
        &self.revisions
    }

    /// Whether roots and siblings stand in the order that CouchDB's merging relies on.
    pub fn is_ordered(&self) -> bool {
        self.ordered
    }

    /// The leaves: revisions without children.
    pub fn leaves(&self) -> impl Iterator<Item = &Revision<'a>> {
        self.revisions.iter().filter(|revision| revision.children == 0)
    }

    /// The leaf that CouchDB shows as the document: not deleted before deleted, then the higher generation, then the
    /// greater id.
    pub fn winner(&self) -> Option<&Revision<'a>> {
        self.leaves()
            .max_by_key(|leaf| (!leaf.stored.is_some_and(|stored| stored.deleted), leaf.generation, leaf.id))
    }

    /// Whether all leaves are deleted.
    pub fn is_deleted(&self) -> bool {
        self.leaves().all(|leaf| leaf.stored.is_some_and(|stored| stored.deleted))
    }

    /// Whether two trees hold the same revisions at the same places, whichever form each is written in: older files keep
    /// less of sizes and attachments.
    pub(crate) fn means_the_same(&self, other: &RevTree<'_>) -> bool {
        let same = |(a, b): (&Revision<'_>, &Revision<'_>)| {
            let stored = |r: &Revision<'_>| r.stored.map(|s| (s.deleted, s.summary, s.seq));
            (a.generation, a.id.0, a.parent) == (b.generation, b.id.0, b.parent) && stored(a) == stored(b)
        };
        self.revisions.len() == other.revisions.len() && self.revisions.iter().zip(&other.revisions).all(same)
    }

    /// A revision's ids from itself to its oldest known ancestor.
    pub fn ancestry<'t>(&'t self, revision: &'t Revision<'a>) -> impl Iterator<Item = RevId<'a>> + 't {
        std::iter::successors(Some(revision), |revision| {
            revision.parent.and_then(|parent| self.revisions.get(parent))
        })
        .map(|revision| revision.id)
    }
}

/// Reads one node up to its children; gives their number.
fn read_node<'a>(
    decoder: &mut Decoder<'a>,
    generation: u64,
    parent: Option<usize>,
    revisions: &mut Vec<Revision<'a>>,
) -> Result<usize, TermError> {
    decoder.tuple_of(3)?;
    let id = RevId(decoder.binary()?);
    let stored = read_stored(decoder)?;
    let children = decoder.list_of_terms()?;
    revisions.push(Revision { generation, id, parent, children, stored });
    Ok(children)
}

/// Reads a node's value: `[]`, or `{Deleted, Ptr, Seq, Sizes, Attachments}` or a shorter tuple of older files.
fn read_stored<'a>(decoder: &mut Decoder<'a>) -> Result<Option<Stored<'a>>, TermError> {
    let size = match decoder.token()? {
        Token::Nil => return Ok(None),
        Token::Tuple(size @ 3..=5) => size,
        _ => return Err(decoder.error("no revision value")),
    };
    let deleted = flag(decoder)?;
    let summary = match decoder.token()? {
        Token::Int(ptr) => Some(u64::try_from(ptr).map_err(|_| decoder.error("negative pointer"))?),
        Token::Atom(_) => None,
        _ => return Err(decoder.error("no pointer")),
    };
    let seq = decoder.uint()?;
    let sizes = if size >= 4 { Sizes::decode(decoder)? } else { Sizes::default() };
    let attachments = if size >= 5 { Some(decoder.raw()?) } else { None };
    Ok(Some(Stored { deleted, summary, seq, sizes, attachments }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::Encoder;

    fn leaf(encoder: &mut Encoder, id: &[u8], deleted: u64) {
        encoder.tuple(3).binary(id);
        encoder.tuple(5).uint(deleted).uint(40).uint(1).tuple(2).uint(1).uint(1).nil();
        encoder.list(0);
    }

    #[test]
    fn a_million_generations_deep() {
        let depth = 1_000_000;
        let mut encoder = Encoder::new();
        encoder.list(1).tuple(2).uint(1);
        for _ in 0..depth {
            encoder.tuple(3).binary(b"r").nil().list(1);
        }
        leaf(&mut encoder, b"end", 0);
        for _ in 0..depth {
            encoder.nil();
        }
        encoder.nil();
        let bytes = encoder.finish();
        let tree = RevTree::decode(&bytes).unwrap();
        let winner = tree.winner().unwrap();
        assert_eq!(winner.generation, depth + 1);
        assert_eq!(tree.ancestry(winner).count() as u64, depth + 1);
    }

    #[test]
    fn the_winner_is_the_highest_leaf_that_is_not_deleted() {
        let mut encoder = Encoder::new();
        encoder.list(1).tuple(2).uint(1).tuple(3).binary(b"aa").nil().list(3);
        leaf(&mut encoder, b"bb", 0);
        leaf(&mut encoder, b"cc", 0);
        encoder.tuple(3).binary(b"ee").nil().list(1);
        leaf(&mut encoder, b"dd", 1);
        encoder.nil().nil().nil();
        let bytes = encoder.finish();
        let tree = RevTree::decode(&bytes).unwrap();
        assert_eq!(tree.winner().unwrap().to_string(), "2-cc");
        assert!(!tree.is_deleted() && tree.is_ordered());
        let deleted = tree.leaves().find(|l| l.id.0 == b"dd").unwrap();
        assert_eq!(deleted.to_string(), "3-dd");
        let ids: Vec<_> = tree.ancestry(deleted).map(|id| id.to_string()).collect();
        assert_eq!(ids, ["dd", "ee", "aa"]);
    }
}
