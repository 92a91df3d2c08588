//! What the trees say of a revision, and whether two of them say so.

use couchfile::revtree::Revision;

use super::{Case, Known, Rev};
use crate::found::By;

impl<'a> Case<'a> {
    /// Whether both trees have this revision of the document.
    pub(super) fn both_say(&self, rev: Rev<'_>) -> bool {
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
    pub(super) fn id_is_proven(&self, rev: Rev<'_>) -> bool {
        let (both, framed) = self.who_says(rev);
        let paired = |known: &Known<'_>| if self.strict { known.paired } else { known.paired_somewhere };
        self.belongs
            && ((both && (framed || !self.strict))
                || self.known.iter().any(|known| paired(known) && known.revision(rev).is_some()))
    }

    /// The ancestors of a revision as far as they are certain: the parent if the revision's id was computed from it, and beyond it
    /// what both trees say.
    pub(super) fn ancestors(
        &self,
        known: &Known<'a>,
        revision: &Revision<'a>,
        parent_is_proven: bool,
    ) -> Vec<Vec<u8>> {
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
}
