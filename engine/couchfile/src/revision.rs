//! Revision ids as CouchDB computes them (`couch_db:new_revid`).

use crate::checksum;
use crate::term::Encoder;

/// What a revision id depends on of an attachment.
#[derive(Debug, Clone, Copy)]
pub struct AttachmentDigest<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its content type.
    pub content_type: &'a [u8],
    /// MD5 of the stored (maybe gzipped) bytes.
    pub md5: [u8; 16],
}

/// The revision that follows `parent` (generation and id): MD5 of the term
/// `[Deleted, ParentGeneration, ParentId, Body, Attachments]`, attachments in reverse order.
///
/// `body` is the encoded body without version byte.
pub fn next(
    parent: Option<(u64, &[u8])>,
    deleted: bool,
    body: &[u8],
    attachments: &[AttachmentDigest<'_>],
) -> (u64, [u8; 16]) {
    let mut encoder = Encoder::versioned();
    encoder.list(5).bool(deleted);
    match parent {
        Some((generation, id)) => encoder.uint(generation).binary(id),
        None => encoder.uint(0).uint(0),
    };
    encoder.raw(body).list(attachments.len());
    for attachment in attachments.iter().rev() {
        encoder.tuple(3).binary(attachment.name).binary(attachment.content_type).binary(&attachment.md5);
    }
    if !attachments.is_empty() {
        encoder.nil();
    }
    encoder.nil();
    (parent.map_or(0, |(generation, _)| generation) + 1, checksum::md5(encoder.as_bytes()))
}
