//! Copies a document with all its revisions from another file: bodies and attachments as they are stored, revision tree and sizes
//! with their new places.

use std::collections::HashMap;
use std::io::Write;

use md5::{Digest, Md5};

use super::appender::Appender;
use super::placed;
use crate::btree::Sizes;
use crate::database::Database;
use crate::document::{Attachment, DocInfo, PackedSummary, Piece};
use crate::ejson;
use crate::error::{CouchFileError, Result};
use crate::read_at::ReadAt;
use crate::revtree::{RevTree, Revision, Stored};
use crate::term::Encoder;

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
    let mut copy = Copy { out, source, seq, has_sizes: doc.has_sizes, moved: HashMap::new() };
    let (tree, sizes) = copy.tree(revisions)?;
    let mut entry = Encoder::new();
    entry.uint(u64::from(revisions.is_deleted()));
    sizes.encode(&mut entry);
    entry.raw(tree.as_bytes());
    Ok(entry.finish())
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
    /// Attachments by their places in the source: revisions share them.
    moved: HashMap<Vec<Piece>, Moved>,
}

impl<R: ReadAt, W: Write> Copy<'_, R, W> {
    /// Copies the revision tree with everything in it; gives the new tree and the document's sizes.
    fn tree(&mut self, revisions: &RevTree<'_>) -> Result<(Encoder, Sizes)> {
        let mut total = Sizes::default();
        let mut tree = Encoder::new();
        let roots = revisions.revisions().iter().filter(|revision| revision.parent.is_none()).count();
        tree.list(roots);
        // For each list of children that is not complete, how many are missing.
        let mut open: Vec<usize> = Vec::new();
        for revision in revisions.revisions() {
            if revision.parent.is_none() {
                tree.tuple(2).uint(revision.generation);
            }
            tree.tuple(3).binary(revision.id.0);
            match &revision.stored {
                None => {
                    tree.nil();
                }
                Some(stored) => total = total.plus(self.stored(revision, stored, &mut tree)?),
            }
            tree.list(revision.children);
            if revision.children > 0 {
                open.push(revision.children);
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
        Ok((tree, total))
    }

    /// Copies a revision's body and attachments, and appends its value to the tree. Gives what it adds to the document's sizes.
    fn stored(&mut self, revision: &Revision<'_>, stored: &Stored<'_>, tree: &mut Encoder) -> Result<Sizes> {
        let mut summary = match stored.summary {
            Some(ptr) => PackedSummary::read(self.source.blocks(), ptr)?,
            None => PackedSummary::empty(),
        };
        let external = match stored.sizes.external {
            known if known > 0 && self.has_sizes => known,
            _ => external_size(&summary, stored)?,
        };
        let is_leaf = revision.children == 0;
        let mut attached = 0u64;
        for attachment in &mut summary.attachments {
            attached = attached.saturating_add(self.attachment(attachment, is_leaf)?);
        }
        let listed = placed::listed(&summary.attachments);
        let mut term = Encoder::versioned();
        term.tuple(2).binary(&summary.body).binary(&self.out.pack(&listed.list));
        let written = self.out.summary(term.as_bytes())?;
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

/// CouchDB's estimate of the length of a body as JSON, which files from before CouchDB 2 do not have.
fn external_size(summary: &PackedSummary, stored: &Stored<'_>) -> Result<u64> {
    let damaged = |why: String| {
        CouchFileError::damaged("document summary", stored.summary.unwrap_or(0), format!("body: {why}"))
    };
    let body = summary.body().map_err(damaged)?;
    ejson::external_size(&mut body.decoder()).map_err(|e| damaged(e.to_string()))
}
