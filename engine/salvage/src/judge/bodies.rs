//! The body of a revision and its attachments, from whichever copy has them.

use std::collections::HashSet;

use couchfile::document::{Attachment, Summary};

use super::{Body, Case, MAX_OLDER, Rev};
use crate::evidence::revision_of;
use crate::kept::{Kept, KeptAttachment};

impl Case<'_> {
    /// The body of a revision, from whichever copy and generation has it.
    pub(super) fn body(&self, rev: Rev<'_>) -> Body {
        let id_is_proven = self.id_is_proven(rev);
        let mut best: Option<Kept> = None;
        let mut unproven: Option<Kept> = None;
        let mut tried = HashSet::new();
        let mut equals: Vec<(u16, u64, Kept)> = Vec::new();
        for known in &self.known {
            let Some(revision) = known.revision(rev) else { continue };
            let Some(stored) = revision.stored else { continue };
            let Some(pointer) = stored.summary else { continue };
            let copy = known.found.copy;
            let parent = known.parent(revision);
            if !tried.insert((copy, pointer, parent)) {
                continue;
            }
            let Some(summary) = self.bodies.summary(copy, pointer) else { continue };
            let hashed = revision_of(&summary, rev.0, rev.1, parent)
                // Only a first revision has no parent; of any other, the parent is not known any more.
                .filter(|_| parent.is_some() || rev.0 == 1);
            let (mut kept, is_checkable) = self.keep(rev, copy, &summary);
            kept.deleted = hashed.unwrap_or(stored.deleted);
            kept.ancestors = self.ancestors(known, revision, hashed.is_some());
            if hashed.is_some() && id_is_proven && is_checkable {
                if kept.lost_attachments() == 0 {
                    return Body::Proven(kept);
                }
                if best.as_ref().is_none_or(|best| kept.lost_attachments() < best.lost_attachments()) {
                    best = Some(kept);
                }
                continue;
            }
            if best.is_none() && id_is_proven && is_checkable {
                // Written at different places, so one damage does not explain that they are the same.
                let same = equals
                    .iter()
                    .any(|(other, at, body)| *other != copy && *at != pointer && body.has_content_of(&kept));
                if same && self.both_say(rev) {
                    best = Some(kept);
                    continue;
                }
                equals.push((copy, pointer, kept.clone()));
            }
            unproven.get_or_insert(kept);
        }
        match (best, unproven) {
            (Some(kept), _) => Body::Proven(kept),
            (None, Some(kept)) => Body::Unproven(kept),
            (None, None) => Body::Lost,
        }
    }

    /// A body with its attachments, each from any copy that has it. The flag: whether all attachments have an MD5.
    fn keep(&self, rev: Rev<'_>, copy: u16, summary: &Summary) -> (Kept, bool) {
        let mut is_checkable = true;
        let mut attachments = Vec::with_capacity(summary.attachments.len());
        for attachment in &summary.attachments {
            let here = self.bodies.has_attachment(copy, attachment);
            is_checkable &= here.is_some();
            attachments.push(if here == Some(true) {
                KeptAttachment { attachment: attachment.clone(), copy: Some(copy) }
            } else {
                self.attachment_elsewhere(rev, attachment)
                    .unwrap_or_else(|| KeptAttachment { attachment: attachment.clone(), copy: None })
            });
        }
        let kept = Kept {
            generation: rev.0,
            id: rev.1.to_vec(),
            ancestors: Vec::new(),
            deleted: false,
            body: summary.body.as_slice().to_vec(),
            attachments,
        };
        (kept, is_checkable)
    }

    /// The same bytes at another place: where another copy has this revision, or another revision the same attachment.
    fn attachment_elsewhere(&self, rev: Rev<'_>, wanted: &Attachment) -> Option<KeptAttachment> {
        let mut tried = HashSet::new();
        for same_revision in [true, false] {
            for known in &self.known {
                for revision in known.tree.revisions() {
                    if ((revision.generation, revision.id.0) == rev) != same_revision {
                        continue;
                    }
                    let Some(pointer) = revision.stored.and_then(|stored| stored.summary) else { continue };
                    let copy = known.found.copy;
                    if tried.len() > MAX_OLDER || !tried.insert((copy, pointer)) {
                        continue;
                    }
                    let Some(summary) = self.bodies.summary(copy, pointer) else { continue };
                    for attachment in &summary.attachments {
                        if attachment.md5 == wanted.md5
                            && attachment.stored_len == wanted.stored_len
                            && self.bodies.has_attachment(copy, attachment) == Some(true)
                        {
                            let pieces = attachment.pieces.clone();
                            let attachment = Attachment { pieces, ..wanted.clone() };
                            return Some(KeptAttachment { attachment, copy: Some(copy) });
                        }
                    }
                }
            }
        }
        None
    }
}
