//! Which revisions of a document are its leaves, which of them are left, and how complete that is.

use std::collections::{HashMap, HashSet};

use super::{Body, Case, Leaf, MAX_OLDER, Rev, Verdict, rev_text};
use crate::kept::Kept;
use crate::report::Grade;

impl<'a> Case<'a> {
    pub(super) fn verdict(&self) -> Option<Verdict> {
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
