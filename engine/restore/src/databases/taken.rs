//! The leaf revisions of a database that a filter takes, and with which content.

use couchfile::document::JsonOptions;
use couchfile::ejson::NegativeZero;
use couchfile::revtree::Revision;
use filter::{Before, Filter, FilterError, Glance, Replaced, Session, Verdict};
use outcome::Result;
use snapshot::{Document, SnapshotDatabase};

use super::batches::unreadable;

/// What becomes of a leaf revision.
pub(super) enum Taking {
    /// It is restored as it is.
    Whole,
    /// It is restored with this content.
    Changed(Replaced),
    /// It is not restored.
    Nothing,
}

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
    ) -> Result<Taking> {
        let Some(filter) = self.filter else { return Ok(Taking::Whole) };
        let deleted = leaf.stored.is_some_and(|stored| stored.deleted);
        let revision = Glance { id: document.id(), deleted };
        match filter.at_a_glance(revision) {
            Some(Verdict::Keep) => return Ok(Taking::Whole),
            Some(Verdict::LeaveOut) => return Ok(Taking::Nothing),
            // What takes the place of a body has to be compared with it.
            Some(Verdict::Replace(_)) | None => {}
        }
        let failed = |e| FilterError::failed(source.name(), e);
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(filter.session(source.name()).map_err(failed)?),
        };
        let options = JsonOptions { zero: NegativeZero::Kept, ..JsonOptions::default() };
        let json = document.json(leaf, options).map_err(unreadable(source, document))?;
        Ok(match session.judge(revision, &json).map_err(failed)? {
            Verdict::Keep => Taking::Whole,
            Verdict::LeaveOut => Taking::Nothing,
            Verdict::Replace(text) => {
                let rev = leaf.to_string();
                let before = Before { id: document.id(), rev: &rev, deleted, text: &json };
                let replaced = Replaced::of(&before, &text);
                Taking::Changed(replaced.map_err(|problem| {
                    FilterError::not_the_document(source.name(), document.id(), problem)
                })?)
            }
        })
    }
}
