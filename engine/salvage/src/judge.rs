//! Decides what is left of a document.
//!
//! Nodes of trees carry no checksum, so what a node says counts only if something else confirms it:
//!
//! - An **id** belongs to an entry if both the id tree and the sequence tree say so, in two places of a file or in two copies.
//! - A **body** belongs to a revision if its chunk has the right checksum and CouchDB's hash of it is the revision's id; or if two
//!   copies have the same body for it at different places.
//! - An **attachment** belongs to a body if it has the length and the MD5 that the body's summary records.
//!
//! A node that is found by searching may be the content of an attachment that only looks like a node, see [`Found::framed`]. Such
//! nodes count only for a body that lies where they say, with the right checksum and the right hash: a file that is attached to a
//! document has none there, because its pointers count from its own beginning. Content that somebody made for this purpose can
//! have one; [`Judge::strict`] is for those who have to expect that.

use std::collections::{HashMap, HashSet};

use couchfile::btree::{Entry, Key};
use couchfile::document::DocInfo;
use couchfile::revtree::{RevTree, Revision};

use crate::copy::{Purged, ScannedCopy};
use crate::evidence::{Bodies, revision_of};
use crate::found::{By, Found};
use crate::kept::{Kept, KeptAttachment};
use crate::report::Grade;

/// So many older revisions of a document are tried.
const MAX_OLDER: usize = 64;

/// A revision: generation and id.
pub(crate) type Rev<'a> = (u64, &'a [u8]);

/// What is left of a document.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) grade: Grade,
    /// The proven revisions; the best one first.
    pub(crate) kept: Vec<Kept>,
    /// Revisions with a body that nothing proves.
    pub(crate) unproven: Vec<Kept>,
    pub(crate) newest: bool,
    /// The winning revision, if its body is lost.
    pub(crate) lost_rev: Option<String>,
    pub(crate) lost_conflicts: u64,
}

/// An entry that is understood.
struct Known<'a> {
    found: &'a Found,
    tree: RevTree<'a>,
    live: bool,
    /// Whether the other tree of the same copy has the document at the same sequence, and enough is known of the two nodes.
    paired: bool,
    /// The same, whatever is known of the nodes.
    paired_somewhere: bool,
}

impl<'a> Known<'a> {
    fn revision(&self, rev: Rev<'_>) -> Option<&Revision<'a>> {
        self.tree.revisions().iter().find(|r| (r.generation, r.id.0) == rev)
    }

    fn parent(&self, revision: &Revision<'a>) -> Option<Rev<'a>> {
        let parent = self.tree.revisions().get(revision.parent?)?;
        Some((parent.generation, parent.id.0))
    }

    /// The revision's ancestors, the nearest one first.
    fn ancestors(&self, revision: &Revision<'a>) -> Vec<Rev<'a>> {
        let mut ancestors = Vec::new();
        let mut at = revision.parent;
        while let Some(revision) = at.and_then(|at| self.tree.revisions().get(at)) {
            ancestors.push((revision.generation, revision.id.0));
            at = revision.parent;
        }
        ancestors
    }
}

/// Judges documents by the entries of all copies.
pub(crate) struct Judge<'c> {
    pub(crate) copies: &'c [ScannedCopy],
    pub(crate) purged: &'c Purged,
    /// Whether a document with this id can lie in the shard.
    pub(crate) belongs: &'c dyn Fn(&[u8]) -> bool,
    /// Whether one of two nodes must be framed, whatever else they prove.
    pub(crate) strict: bool,
}

impl Judge<'_> {
    /// Judges one document. `None` if it belongs to an earlier state and was purged since.
    pub(crate) fn judge(&self, entries: &[Found]) -> Option<Verdict> {
        let first = entries.first()?;
        let mut known = self.understand(entries);
        if known.is_empty() {
            return Some(Verdict::without_body(Grade::IdOnly));
        }
        choose_live(&mut known);
        if !known.iter().any(|known| known.live) && !entries.iter().any(|found| found.by == By::Key) {
            return None;
        }
        let case = Case {
            bodies: Bodies::new(self.copies),
            copies: self.copies,
            known,
            purged: self.purged.get(&first.id),
            belongs: (self.belongs)(&first.id),
            strict: self.strict,
        };
        case.verdict()
    }

    fn understand<'a>(&self, entries: &'a [Found]) -> Vec<Known<'a>> {
        let mut known: Vec<Known<'a>> = entries
            .iter()
            .filter_map(|found| {
                let copy = self.copies.get(usize::from(found.copy))?;
                let value = found.value.as_slice();
                let info = match found.by {
                    By::Id => DocInfo::from_id_tree(&Entry { key: Key::Bytes(&found.id), value }),
                    By::Seq => DocInfo::from_seq_tree(&Entry { key: Key::Seq(found.seq), value }),
                    By::Key => return None,
                };
                let tree = info.ok()?.revisions?;
                Some(Known {
                    found,
                    tree,
                    live: copy.may_be_newest(found),
                    paired: false,
                    paired_somewhere: false,
                })
            })
            .collect();
        let place = |found: &Found| (found.copy, found.seq);
        let mut pairs: HashMap<(u16, u64), [(bool, bool); 2]> = HashMap::new();
        for Known { found, .. } in &known {
            let pair = &mut pairs.entry(place(found)).or_default()[usize::from(found.by == By::Seq)];
            *pair = (true, pair.1 | found.framed);
        }
        for known in &mut known {
            let pair = pairs.get(&place(known.found)).copied().unwrap_or_default();
            known.paired_somewhere = pair[0].0 && pair[1].0;
            known.paired = known.paired_somewhere && (pair[0].1 || pair[1].1);
        }
        known
    }
}

/// Of entries that no intact tree shows, only the newest that is confirmed can be the document's last state, and what is newer still.
fn choose_live(known: &mut [Known<'_>]) {
    let mut newest: HashMap<u16, u64> = HashMap::new();
    for known in known.iter().filter(|known| known.live && (known.paired_somewhere || known.found.current)) {
        let seq = newest.entry(known.found.copy).or_default();
        *seq = (*seq).max(known.found.seq);
    }
    for known in known.iter_mut().filter(|known| !known.found.current) {
        if newest.get(&known.found.copy).is_some_and(|&newest| known.found.seq < newest) {
            known.live = false;
        }
    }
}

/// A document that is being judged.
struct Case<'a> {
    bodies: Bodies<'a>,
    copies: &'a [ScannedCopy],
    known: Vec<Known<'a>>,
    purged: Option<&'a HashSet<(u64, Vec<u8>)>>,
    belongs: bool,
    strict: bool,
}

/// What is known of a leaf.
struct Leaf<'a> {
    rev: Rev<'a>,
    deleted: bool,
    /// Whether the revision exists without doubt.
    real: bool,
    body: Body,
}

enum Body {
    Proven(Kept),
    Unproven(Kept),
    Lost,
}

impl<'a> Case<'a> {
    fn verdict(&self) -> Option<Verdict> {
        let mut leaves = self.leaves();
        // The document's winning revision first.
        leaves.sort_by_key(|leaf| std::cmp::Reverse((leaf.real, !leaf.deleted, leaf.rev)));
        let real = leaves.iter().filter(|leaf| leaf.real).count();
        if leaves.is_empty() && self.known.iter().any(|known| known.live) {
            // All of its revisions were purged.
            return None;
        }
        let is_doubtful = self.has_doubtful_newer(&leaves);
        let winner_is_newest =
            leaves.first().is_some_and(|leaf| leaf.real && self.is_newest(leaf.rev)) && !is_doubtful;

        let mut kept = Vec::new();
        let mut unproven = Vec::new();
        let mut lost_rev = None;
        let mut lost_conflicts = 0;
        let mut grade = None;
        for (i, leaf) in leaves.into_iter().enumerate() {
            let is_winner = i == 0;
            match leaf.body {
                Body::Proven(body) => {
                    if is_winner {
                        let whole = body.attachments.iter().all(|a| a.copy.is_some());
                        grade = Some(if whole { Grade::Whole } else { Grade::AttachmentLost });
                    }
                    kept.push(body);
                }
                Body::Unproven(body) => {
                    unproven.push(body);
                    if is_winner && leaf.real {
                        grade = Some(Grade::Unproven);
                    }
                }
                Body::Lost if is_winner => {
                    lost_rev = leaf.real.then(|| rev_text(leaf.rev));
                    grade = leaf.real.then_some(Grade::BodyLost);
                }
                Body::Lost => lost_conflicts += u64::from(leaf.real),
            }
        }
        let winner_kept = matches!(grade, Some(Grade::Whole | Grade::AttachmentLost));
        if !winner_kept {
            // The best that is left: a revision in conflict, or an older one.
            if kept.is_empty() {
                kept.extend(self.older());
            }
            grade = Some(match grade {
                _ if !kept.is_empty() => Grade::OlderRevision,
                _ if !unproven.is_empty() => Grade::Unproven,
                Some(grade) => grade,
                None if real == 0 => Grade::IdOnly,
                None => Grade::BodyLost,
            });
        } else if is_doubtful {
            grade = Some(Grade::OlderRevision);
        }
        Some(Verdict {
            grade: grade.unwrap_or(Grade::IdOnly),
            newest: winner_kept && winner_is_newest,
            kept,
            unproven,
            lost_rev,
            lost_conflicts,
        })
    }

    /// The leaves of all live entries that are not ancestors of others.
    fn leaves(&self) -> Vec<Leaf<'a>> {
        let mut seen: HashMap<Rev<'a>, bool> = HashMap::new();
        for known in self.known.iter().filter(|known| known.live) {
            for leaf in known.tree.leaves() {
                let deleted = leaf.stored.is_some_and(|stored| stored.deleted);
                seen.entry((leaf.generation, leaf.id.0)).or_insert(deleted);
            }
        }
        if let Some(purged) = self.purged {
            seen.retain(|rev, _| !purged.contains(&(rev.0, rev.1.to_vec())));
        }
        let mut leaves: Vec<Leaf<'a>> = seen
            .into_iter()
            .map(|(rev, deleted)| {
                let body = self.body(rev);
                let real = self.belongs && (self.both_say(rev) || matches!(body, Body::Proven(_)));
                let deleted = match &body {
                    Body::Proven(kept) => kept.deleted,
                    _ => deleted,
                };
                Leaf { rev, deleted, real, body }
            })
            .collect();
        let mut interior = HashSet::new();
        for known in self.known.iter().filter(|known| known.live) {
            for leaf in leaves.iter().filter(|leaf| leaf.real) {
                if let Some(revision) = known.revision(leaf.rev) {
                    interior.extend(known.ancestors(revision));
                }
            }
        }
        leaves.retain(|leaf| !interior.contains(&leaf.rev));
        leaves
    }

    /// Whether both trees have this revision of the document.
    fn both_say(&self, rev: Rev<'_>) -> bool {
        let (both, framed) = self.who_says(rev);
        both && framed
    }

    /// Whether both trees have this revision of the document, and whether one of their nodes is framed.
    fn who_says(&self, rev: Rev<'_>) -> (bool, bool) {
        let (mut by_id, mut by_seq, mut framed) = (false, false, false);
        for known in self.known.iter().filter(|known| known.revision(rev).is_some()) {
            by_id |= known.found.by == By::Id;
            by_seq |= known.found.by == By::Seq;
            framed |= known.found.framed;
        }
        (by_id && by_seq, framed)
    }

    /// Whether the document's id belongs to this revision, whose body has the right hash.
    fn id_is_proven(&self, rev: Rev<'_>) -> bool {
        let (both, framed) = self.who_says(rev);
        let paired = |known: &Known<'_>| if self.strict { known.paired } else { known.paired_somewhere };
        self.belongs
            && ((both && (framed || !self.strict))
                || self.known.iter().any(|known| paired(known) && known.revision(rev).is_some()))
    }

    /// A revision that no other tree confirms, in an entry that is newer than everything that is confirmed.
    fn has_doubtful_newer(&self, leaves: &[Leaf<'_>]) -> bool {
        leaves.iter().filter(|leaf| !leaf.real).any(|doubtful| {
            self.known.iter().filter(|k| k.live && k.revision(doubtful.rev).is_some()).any(|newer| {
                !self.known.iter().any(|k| {
                    k.live
                        && k.found.copy == newer.found.copy
                        && k.found.seq >= newer.found.seq
                        && leaves.iter().any(|leaf| leaf.real && k.revision(leaf.rev).is_some())
                })
            })
        })
    }

    /// Whether a file that ends with its header has this revision in its newest state.
    fn is_newest(&self, rev: Rev<'_>) -> bool {
        self.known.iter().any(|known| {
            known.found.current
                && self.copies.get(usize::from(known.found.copy)).is_some_and(|copy| copy.ends_with_header)
                && known.revision(rev).is_some()
        })
    }

    /// The body of a revision, from whichever copy and generation has it.
    fn body(&self, rev: Rev<'_>) -> Body {
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
    fn keep(&self, rev: Rev<'_>, copy: u16, summary: &couchfile::document::Summary) -> (Kept, bool) {
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
    fn attachment_elsewhere(
        &self,
        rev: Rev<'_>,
        wanted: &couchfile::document::Attachment,
    ) -> Option<KeptAttachment> {
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
                            let attachment = couchfile::document::Attachment { pieces, ..wanted.clone() };
                            return Some(KeptAttachment { attachment, copy: Some(copy) });
                        }
                    }
                }
            }
        }
        None
    }

    /// The ancestors of a revision as far as they are certain: the parent if the revision's id was computed from it, and beyond it
    /// what both trees say.
    fn ancestors(&self, known: &Known<'a>, revision: &Revision<'a>, parent_is_proven: bool) -> Vec<Vec<u8>> {
        let all = known.ancestors(revision);
        let mut child = (revision.generation, revision.id.0);
        let mut certain = Vec::new();
        for (i, &parent) in all.iter().enumerate() {
            let is_certain = (i == 0 && parent_is_proven) || self.both_say_parent(child, parent);
            if !is_certain {
                break;
            }
            certain.push(parent.1.to_vec());
            child = parent;
        }
        certain
    }

    fn both_say_parent(&self, child: Rev<'_>, parent: Rev<'_>) -> bool {
        let says = |by: By| {
            self.known.iter().any(|k| {
                k.found.by == by && k.revision(child).is_some_and(|child| k.parent(child) == Some(parent))
            })
        };
        says(By::Id) && says(By::Seq)
    }

    /// The newest proven revision in any generation of the document.
    fn older(&self) -> Option<Kept> {
        let mut revisions: Vec<Rev<'a>> = Vec::new();
        for known in &self.known {
            let stored = known.tree.revisions().iter().filter(|revision| revision.stored.is_some());
            revisions.extend(stored.map(|revision| (revision.generation, revision.id.0)));
        }
        revisions.sort_unstable();
        revisions.dedup();
        let is_purged = |rev: &Rev<'_>| self.purged.is_some_and(|p| p.contains(&(rev.0, rev.1.to_vec())));
        revisions.into_iter().rev().filter(|rev| !is_purged(rev)).take(MAX_OLDER).find_map(|rev| {
            match self.body(rev) {
                Body::Proven(kept) => Some(kept),
                _ => None,
            }
        })
    }
}

impl Verdict {
    fn without_body(grade: Grade) -> Self {
        let (kept, unproven) = (Vec::new(), Vec::new());
        Self { grade, kept, unproven, newest: false, lost_rev: None, lost_conflicts: 0 }
    }
}

fn rev_text(rev: Rev<'_>) -> String {
    format!("{}-{}", rev.0, couchfile::revtree::RevId(rev.1))
}
