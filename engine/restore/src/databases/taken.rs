//! The leaf revisions of a database that a filter takes.

use couchfile::document::JsonOptions;
use couchfile::ejson::NegativeZero;
use couchfile::revtree::Revision;
use filter::{Filter, Glance, Session, Verdict};
use outcome::Result;
use snapshot::{Document, SnapshotDatabase};

use super::batches::unreadable;

/// Decides about leaf revisions, on one thread.
pub(super) struct Taken<'f> {
    filter: Option<&'f dyn Filter>,
    session: Option<Box<dyn Session + 'f>>,
}

impl<'f> Taken<'f> {
    /// Takes what the filter takes; without a filter everything.
    pub(super) fn new(filter: Option<&'f dyn Filter>) -> Self {
        Self { filter, session: None }
    }

    /// Whether everything is taken as it is.
    pub(super) fn is_everything(&self) -> bool {
        self.filter.is_none()
    }

    /// What becomes of a leaf revision.
    ///
    /// Fails if its body cannot be read, or if the filter fails.
    pub(super) fn judge(
        &mut self,
        source: &SnapshotDatabase,
        document: &Document<'_>,
        leaf: &Revision<'_>,
    ) -> Result<Verdict> {
        let Some(filter) = self.filter else { return Ok(Verdict::Keep) };
        let deleted = leaf.stored.is_some_and(|stored| stored.deleted);
        let revision = Glance { id: document.id(), deleted };
        if let Some(verdict) = filter.at_a_glance(revision) {
            return Ok(verdict);
        }
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(filter.session()?),
        };
        let options = JsonOptions { zero: NegativeZero::Kept, ..JsonOptions::default() };
        let json = document.json(leaf, options).map_err(unreadable(source, document))?;
        session.judge(revision, &json)
    }
}
