//! Writes a document's bodies, and its entry in the two main trees.

use std::io::Write;

use super::appender::Appender;
use super::new_document::{NewAttachment, NewBody, NewDocument};
use super::settings::object_members;
use crate::btree::Sizes;
use crate::document::{Attachment, Encoding, Piece};
use crate::ejson;
use crate::error::{CouchFileError, Result};
use crate::term::{Decoder, Encoder};

/// Longest piece of an attachment, in bytes.
pub(super) const PIECE: usize = 64 << 10;

/// What both main trees have of a document, encoded: deleted flag, sizes and revision tree. `write_body` writes a body, appends the
/// value of its revision to the tree, and gives the sizes that it adds to the document.
pub(super) fn revisions<A>(
    doc: &NewDocument<A>,
    mut write_body: impl FnMut(&NewBody<A>, &mut Encoder) -> Result<Sizes>,
) -> Result<Vec<u8>> {
    let (roots, children) = doc.children()?;
    let mut total = Sizes::default();
    let mut deleted = true;
    let mut tree = Encoder::new();
    tree.list(roots.len());
    // What is still to be written: a revision, or the end of a list.
    let mut todo: Vec<Option<usize>> = Vec::new();
    for &root in &roots {
        tree.tuple(2).uint(doc.revisions[root].generation);
        todo.push(Some(root));
        while let Some(next) = todo.pop() {
            let Some(i) = next else {
                tree.nil();
                continue;
            };
            let revision = &doc.revisions[i];
            tree.tuple(3).binary(&revision.id);
            match &revision.body {
                None => {
                    tree.nil();
                }
                Some(body) => {
                    let sizes = write_body(body, &mut tree)?;
                    if children[i].is_empty() {
                        total = total.plus(sizes);
                        deleted &= body.deleted;
                    }
                }
            }
            if children[i].is_empty() && revision.body.is_none() {
                return Err(CouchFileError::Invalid("a leaf revision without body".into()));
            }
            tree.list(children[i].len());
            if !children[i].is_empty() {
                todo.push(None);
            }
            todo.extend(children[i].iter().rev().map(|&child| Some(child)));
        }
    }
    tree.nil();
    let mut value = Encoder::new();
    value.uint(u64::from(deleted));
    total.encode(&mut value);
    value.raw(tree.as_bytes());
    Ok(value.finish())
}

/// Writes the summary of a revision whose attachments are in the file already, and appends the revision's value to the tree. Gives
/// the sizes that it adds to the document.
pub(super) fn body<W: Write, A>(
    out: &mut Appender<W>,
    body: &NewBody<A>,
    attachments: &[Attachment],
    seq: u64,
    tree: &mut Encoder,
) -> Result<Sizes> {
    object_members(&body.term)
        .map_err(|e| CouchFileError::Invalid(format!("a document body that is not an object: {e}")))?;
    let Listed { list, pairs, stored: attached } = listed(attachments);
    let external = ejson::external_size(&mut Decoder::new(&body.term))
        .map_err(|e| CouchFileError::Invalid(format!("a document body: {e}")))?;
    let mut packed_body = Encoder::versioned();
    packed_body.raw(&body.term);
    let mut summary = Encoder::versioned();
    summary.tuple(2).binary(&out.pack(packed_body.as_bytes())).binary(&out.pack(&list));
    let written = out.summary(summary.as_bytes())?;
    let sizes = Sizes { active: written.len, external };
    tree.tuple(5).uint(u64::from(body.deleted)).uint(written.ptr).uint(seq);
    sizes.encode(tree);
    tree.raw(&pairs);
    Ok(sizes.plus(Sizes { active: attached, external: attached }))
}

/// What a summary and a revision tree record of a revision's attachments.
pub(super) struct Listed {
    /// The list of the summary, a term with version byte.
    pub(super) list: Vec<u8>,
    /// The list of the revision tree: `[{Pointers, StoredLen}, …]`, encoded.
    pub(super) pairs: Vec<u8>,
    /// Bytes of all attachments as stored.
    pub(super) stored: u64,
}

/// Encodes attachments that are in the file.
pub(super) fn listed(attachments: &[Attachment]) -> Listed {
    let mut list = Encoder::versioned();
    let mut pairs = Encoder::new();
    let mut stored = 0u64;
    list.list(attachments.len());
    pairs.list(attachments.len());
    for attachment in attachments {
        let pointers = pointers(&attachment.pieces);
        let len = attachment.stored_len;
        stored = stored.saturating_add(len);
        pairs.tuple(2).raw(&pointers).uint(len);
        list.tuple(8)
            .binary(attachment.name.as_bytes())
            .binary(attachment.content_type.as_bytes())
            .raw(&pointers)
            .uint(len)
            .uint(attachment.original_len)
            .uint(attachment.revpos)
            .binary(&attachment.md5)
            .atom(match attachment.encoding {
                Encoding::Identity => b"identity",
                Encoding::Gzip => b"gzip",
            });
    }
    if !attachments.is_empty() {
        list.nil();
        pairs.nil();
    }
    Listed { list: list.finish(), pairs: pairs.finish(), stored }
}

/// Writes an attachment that is in memory.
pub(super) fn place<W: Write>(out: &mut Appender<W>, attachment: &NewAttachment) -> Result<Attachment> {
    let mut pieces = Vec::new();
    for piece in attachment.data.chunks(PIECE) {
        let written = out.piece(piece)?;
        pieces.push(Piece { ptr: written.ptr, len: Some(piece.len() as u64) });
    }
    Ok(Attachment {
        name: attachment.name.clone(),
        content_type: attachment.content_type.clone(),
        pieces,
        stored_len: attachment.data.len() as u64,
        original_len: attachment.original_len,
        revpos: attachment.revpos,
        md5: crate::checksum::md5(&attachment.data).to_vec(),
        encoding: attachment.encoding,
    })
}

fn pointers(pieces: &[Piece]) -> Vec<u8> {
    let mut pointers = Encoder::new();
    pointers.list(pieces.len());
    for piece in pieces {
        pointers.tuple(2).uint(piece.ptr).uint(piece.len.unwrap_or(0));
    }
    if !pieces.is_empty() {
        pointers.nil();
    }
    pointers.finish()
}
