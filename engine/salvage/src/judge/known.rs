//! An entry that is understood.

use couchfile::revtree::Revision;

use super::{Known, Rev};

impl<'a> Known<'a> {
    pub(super) fn revision(&self, rev: Rev<'_>) -> Option<&Revision<'a>> {
        self.tree.revisions().iter().find(|r| (r.generation, r.id.0) == rev)
    }

    pub(super) fn parent(&self, revision: &Revision<'a>) -> Option<Rev<'a>> {
        let parent = self.tree.revisions().get(revision.parent?)?;
        Some((parent.generation, parent.id.0))
    }

    /// The revision's ancestors, the nearest one first.
    pub(super) fn ancestors(&self, revision: &Revision<'a>) -> Vec<Rev<'a>> {
        let mut ancestors = Vec::new();
        let mut at = revision.parent;
        while let Some(revision) = at.and_then(|at| self.tree.revisions().get(at)) {
            ancestors.push((revision.generation, revision.id.0));
            at = revision.parent;
        }
        ancestors
    }
}
