//! What proves that a body belongs to a revision.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use couchfile::document::{Attachment, Summary, read_attachment};
use couchfile::revision::{self, AttachmentDigest};

use crate::copy::ScannedCopy;

/// Longest summary that is read, in bytes.
const MAX_SUMMARY: u32 = 32 << 20;
/// Bytes of a document's bodies that are kept while it is judged.
const KEPT: usize = 32 << 20;

/// A summary whose checksum is right.
pub(crate) type Read = Option<Rc<Summary>>;

/// The bodies of one document.
pub(crate) struct Bodies<'c> {
    copies: &'c [ScannedCopy],
    read: RefCell<HashMap<(u16, u64), Read>>,
    kept: std::cell::Cell<usize>,
}

impl<'c> Bodies<'c> {
    pub(crate) fn new(copies: &'c [ScannedCopy]) -> Self {
        Self { copies, read: RefCell::default(), kept: std::cell::Cell::new(0) }
    }

    /// The summary at this place; `None` if there is none with a right checksum.
    pub(crate) fn summary(&self, copy: u16, pointer: u64) -> Read {
        if let Some(read) = self.read.borrow().get(&(copy, pointer)) {
            return read.clone();
        }
        let read = self.read_summary(copy, pointer).map(Rc::new);
        let bytes = read.as_ref().map_or(0, |summary| summary.body.as_slice().len()) + 100;
        let mut kept = self.read.borrow_mut();
        if self.kept.get() + bytes > KEPT {
            kept.clear();
            self.kept.set(0);
        }
        if bytes < KEPT / 4 {
            self.kept.set(self.kept.get() + bytes);
            kept.insert((copy, pointer), read.clone());
        }
        read
    }

    fn read_summary(&self, copy: u16, pointer: u64) -> Option<Summary> {
        let blocks = &self.copies.get(usize::from(copy))?.blocks;
        let word = crate::search::word(blocks, pointer).ok()??;
        if word & !(1 << 31) > MAX_SUMMARY {
            return None;
        }
        let chunk = blocks.read_chunk(pointer, "document summary").ok()?;
        chunk.checksum?;
        Summary::decode(&chunk.payload).ok()
    }

    /// Whether an attachment's bytes are there and have its MD5. `None`: it has none to compare with.
    pub(crate) fn has_attachment(&self, copy: u16, attachment: &Attachment) -> Option<bool> {
        let blocks = &self.copies.get(usize::from(copy))?.blocks;
        if attachment.md5.len() != 16 {
            return None;
        }
        Some(read_attachment(blocks, attachment, |_| Ok(())).is_ok())
    }
}

/// Whether CouchDB computes this revision's id from this body, parent, and attachments. If so, which of the two deleted flags it was
/// computed with.
///
/// Source: `couch_db.erl` (`new_revid/1`).
pub(crate) fn revision_of(
    summary: &Summary,
    generation: u64,
    id: &[u8],
    parent: Option<(u64, &[u8])>,
) -> Option<bool> {
    let mut digests = Vec::with_capacity(summary.attachments.len());
    for attachment in &summary.attachments {
        digests.push(AttachmentDigest {
            name: attachment.name.as_bytes(),
            content_type: attachment.content_type.as_bytes(),
            md5: attachment.md5.as_slice().try_into().ok()?,
        });
    }
    [false, true].into_iter().find(|&deleted| {
        let (computed, hash) = revision::next(parent, deleted, summary.body.as_slice(), &digests);
        computed == generation && hash == id
    })
}
