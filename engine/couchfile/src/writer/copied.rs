//! Copies a document with all its revisions from another file: bodies and attachments as they are stored, revision tree and sizes
//! with their new places. Leaves can be changed or left out on the way; bodies of older revisions are then left out, too.

use std::collections::HashMap;
use std::io::Write;

use md5::{Digest, Md5};

use super::appender::Appender;
use super::changed::{Changes, Leaf};
use super::placed;
use super::settings::object_members;
use crate::btree::Sizes;
use crate::database::Database;
use crate::document::{Attachment, DocInfo, PackedSummary, Piece};
use crate::ejson;
use crate::error::{CouchFileError, Result};
use crate::read_at::ReadAt;
use crate::revtree::{RevTree, Revision, Stored};
use crate::term::{Decoder, Encoder, Token};

/// Copies a document; gives what both main trees have of it, encoded: deleted flag, sizes and revision tree. All its revisions get
/// the sequence `seq`.
///
/// The length and the MD5 of every attachment are compared, and the checksum of every body.
pub(super) fn document<R: ReadAt, W: Write>(
    out: &mut Appender<W>,
    source: &Database<R>,
    doc: &DocInfo<'_>,
    seq: u64,
) -> Result<Vec<u8>> {
    let Some(revisions) = &doc.revisions else {
        return Err(CouchFileError::Invalid("a document without its revision tree".into()));
    };
    let mut copy = Copy { out, source, seq, has_sizes: doc.has_sizes, changes: None, moved: HashMap::new() };
    copy.entry(revisions)
}

/// Copies a document with changes to its leaves, one for each in the order of the tree; `None` if none of them stays. Of older
/// revisions the ids stay.
pub(super) fn changed<R: ReadAt, W: Write>(
    out: &mut Appender<W>,
    source: &Database<R>,
    doc: &DocInfo<'_>,
    leaves: &[Leaf],
    seq: u64,
) -> Result<Option<Vec<u8>>> {
    let Some(revisions) = &doc.revisions else {
        return Err(CouchFileError::Invalid("a document without its revision tree".into()));
    };
    let changes = Changes::of(revisions, leaves)
        .ok_or_else(|| CouchFileError::Invalid("another number of changes than of leaves".into()))?;
    if changes.is_empty() {
        return Ok(None);
    }
    let changes = Some(&changes);
    let mut copy = Copy { out, source, seq, has_sizes: doc.has_sizes, changes, moved: HashMap::new() };
    copy.entry(revisions).map(Some)
}

/// An attachment that lies in the new file.
struct Moved {
    pieces: Vec<Piece>,
    /// MD5 of its bytes, if it had none: CouchDB 0.10 kept none, and a compaction adds it, too.
    md5: Vec<u8>,
    /// Whether its bytes are in the document's sizes.
    is_counted: bool,
}

struct Copy<'c, R, W> {
    out: &'c mut Appender<W>,
    source: &'c Database<R>,
    seq: u64,
    has_sizes: bool,
    changes: Option<&'c Changes<'c>>,
    /// Attachments by their places in the source: revisions share them.
    moved: HashMap<Vec<Piece>, Moved>,
}

impl<R: ReadAt, W: Write> Copy<'_, R, W> {
    /// Copies the document; gives what both trees have of it.
    fn entry(&mut self, revisions: &RevTree<'_>) -> Result<Vec<u8>> {
        let (tree, sizes, is_deleted) = self.tree(revisions)?;
        let mut entry = Encoder::new();
        entry.uint(u64::from(is_deleted));
        sizes.encode(&mut entry);
        entry.raw(tree.as_bytes());
        Ok(entry.finish())
    }

    /// The number of children of a revision that stay; `None` if it does not stay itself.
    fn children(&self, number: usize, revision: &Revision<'_>) -> Option<usize> {
        match self.changes {
            None => Some(revision.children),
            Some(changes) => changes.children.get(number).copied().flatten(),
        }
    }

    /// Copies the revision tree with everything in it; gives the new tree, the document's sizes and whether all leaves are deleted.
    fn tree(&mut self, revisions: &RevTree<'_>) -> Result<(Encoder, Sizes, bool)> {
        let mut total = Sizes::default();
        let mut tree = Encoder::new();
        let mut is_deleted = true;
        let all = || revisions.revisions().iter().enumerate();
        let is_root = |(i, revision): &(usize, &Revision<'_>)| {
            revision.parent.is_none() && self.children(*i, revision).is_some()
        };
        let roots = all().filter(is_root).count();
        tree.list(roots);
        // For each list of children that is not complete, how many are missing.
        let mut open: Vec<usize> = Vec::new();
        for (i, revision) in all() {
            let Some(children) = self.children(i, revision) else { continue };
            if revision.parent.is_none() {
                tree.tuple(2).uint(revision.generation);
            }
            tree.tuple(3).binary(revision.id.0);
            let is_leaf = children == 0;
            match revision.stored.as_ref().filter(|_| is_leaf || self.changes.is_none()) {
                None => {
                    tree.nil();
                }
                Some(stored) => {
                    let change = self.changes.and_then(|changes| changes.leaf(i));
                    total = total.plus(self.stored(is_leaf, stored, change, &mut tree)?);
                }
            }
            is_deleted &= !is_leaf || revision.stored.is_some_and(|stored| stored.deleted);
            tree.list(children);
            if !is_leaf {
                open.push(children);
                continue;
            }
            while let Some(missing) = open.last_mut() {
                *missing -= 1;
                if *missing > 0 {
                    break;
                }
                tree.nil();
                open.pop();
            }
        }
        if roots > 0 {
            tree.nil();
        }
        Ok((tree, total, is_deleted))
    }

    /// Copies a revision's body and attachments, and appends its value to the tree. Gives what it adds to the document's sizes.
    fn stored(
        &mut self,
        is_leaf: bool,
        stored: &Stored<'_>,
        change: Option<&Leaf>,
        tree: &mut Encoder,
    ) -> Result<Sizes> {
        let mut summary = match stored.summary {
            // Nothing of it is needed.
            Some(_) if matches!(change, Some(Leaf::Replace { .. })) && has_no_attachments(stored) => {
                PackedSummary::empty()
            }
            Some(ptr) => PackedSummary::read(self.source.blocks(), ptr)?,
            None => PackedSummary::empty(),
        };
        let external = match (change, stored.sizes.external) {
            (Some(Leaf::Replace { term, attachments }), _) => {
                summary.attachments.retain(|attachment| attachments.contains(&attachment.name));
                self.replaced(&mut summary, term)?
            }
            (_, known) if known > 0 && self.has_sizes => known,
            _ => external_size(&summary, stored)?,
        };
        let mut attached = 0u64;
        for attachment in &mut summary.attachments {
            attached = attached.saturating_add(self.attachment(attachment, is_leaf)?);
        }
        let listed = placed::listed(&summary.attachments);
        let mut term = Encoder::versioned();
        term.tuple(2).binary(&summary.body).binary(&self.out.pack(&listed.list));
        let term = term.as_bytes();
        // A third of the time of a copy went into the second MD5 of the same bytes.
        let written = match summary.md5_of(term) {
            Some(md5) => self.out.copied_summary(term, md5)?,
            None => self.out.summary(term)?,
        };
        let sizes = Sizes { active: written.len, external };
        tree.tuple(5).uint(u64::from(stored.deleted)).uint(written.ptr).uint(self.seq);
        sizes.encode(tree);
        tree.raw(&listed.pairs);
        // Only leaves count.
        if !is_leaf {
            return Ok(Sizes::default());
        }
        Ok(sizes.plus(Sizes { active: attached, external: attached }))
    }

    /// Gives a summary another body; gives CouchDB's estimate of its length as JSON.
    fn replaced(&self, summary: &mut PackedSummary, term: &[u8]) -> Result<u64> {
        object_members(term)
            .map_err(|e| CouchFileError::Invalid(format!("a document body that is not an object: {e}")))?;
        let external = ejson::external_size(&mut Decoder::new(term))
            .map_err(|e| CouchFileError::Invalid(format!("a document body: {e}")))?;
        let mut body = Encoder::versioned();
        body.raw(term);
        summary.body = self.out.pack(body.as_bytes());
        Ok(external)
    }

    /// Copies an attachment unless another revision has brought it, and gives it its new place. Gives the bytes that it adds to
    /// the document's sizes.
    fn attachment(&mut self, attachment: &mut Attachment, is_leaf: bool) -> Result<u64> {
        if !self.moved.contains_key(&attachment.pieces) {
            let (pieces, md5) = self.pieces(attachment)?;
            self.moved.insert(attachment.pieces.clone(), Moved { pieces, md5, is_counted: false });
        }
        let Some(moved) = self.moved.get_mut(&attachment.pieces) else { return Ok(0) };
        let adds = is_leaf && !moved.is_counted;
        moved.is_counted |= is_leaf;
        attachment.pieces.clone_from(&moved.pieces);
        if attachment.md5.is_empty() {
            attachment.md5.clone_from(&moved.md5);
        }
        Ok(if adds { attachment.stored_len } else { 0 })
    }

    /// Copies the bytes of an attachment in pieces of equal length; gives these and, if it has no MD5, its MD5.
    fn pieces(&mut self, attachment: &Attachment) -> Result<(Vec<Piece>, Vec<u8>)> {
        let mut pieces = Vec::new();
        let mut gathered = Vec::new();
        let mut hash = attachment.md5.is_empty().then(Md5::new);
        let out = &mut *self.out;
        let mut write = |bytes: &[u8]| -> Result<()> {
            let written = out.piece(bytes)?;
            pieces.push(Piece { ptr: written.ptr, len: Some(bytes.len() as u64) });
            Ok(())
        };
        self.source.attachment(attachment, |mut bytes| {
            if let Some(hash) = &mut hash {
                hash.update(bytes);
            }
            while !bytes.is_empty() {
                if gathered.is_empty() && bytes.len() >= placed::PIECE {
                    let (now, later) = bytes.split_at(placed::PIECE);
                    write(now)?;
                    bytes = later;
                    continue;
                }
                let (now, later) = bytes.split_at(bytes.len().min(placed::PIECE - gathered.len()));
                gathered.extend_from_slice(now);
                bytes = later;
                if gathered.len() == placed::PIECE {
                    write(&gathered)?;
                    gathered.clear();
                }
            }
            Ok(())
        })?;
        if !gathered.is_empty() {
            write(&gathered)?;
        }
        Ok((pieces, hash.map(|hash| hash.finalize().to_vec()).unwrap_or_default()))
    }
}

/// Whether the revision tree says that a revision has no attachments; older files do not say it.
fn has_no_attachments(stored: &Stored<'_>) -> bool {
    stored.attachments.is_some_and(|list| matches!(Decoder::new(list).token(), Ok(Token::Nil)))
}

/// CouchDB's estimate of the length of a body as JSON, which files from before CouchDB 2 do not have.
fn external_size(summary: &PackedSummary, stored: &Stored<'_>) -> Result<u64> {
    let damaged = |why: String| {
        CouchFileError::damaged("document summary", stored.summary.unwrap_or(0), format!("body: {why}"))
    };
    let body = summary.body().map_err(damaged)?;
    ejson::external_size(&mut body.decoder()).map_err(|e| damaged(e.to_string()))
}
