//! The leaf revisions of a database that a filter takes, and with which content.

use couchfile::revtree::Revision;
use filter::{Filter, Judged, Judging};
use outcome::Result;
use snapshot::{Document, SnapshotDatabase};

use super::batches::unreadable;

/// Decides about leaf revisions, on one thread.
pub(super) struct Taken<'f>(Option<Judging<'f>>);

impl<'f> Taken<'f> {
    /// Takes what the filter takes of a database; without a filter everything.
    pub(super) fn new(filter: Option<&'f dyn Filter>, source: &SnapshotDatabase) -> Self {
        Self(filter.map(|filter| Judging::new(filter, source.name())))
    }

    /// Whether everything is taken as it is.
    pub(super) fn is_everything(&self) -> bool {
        self.0.is_none()
    }

    /// What is restored of a leaf revision.
    ///
    /// Fails if its body cannot be read, or if the filter fails.
    pub(super) fn judge(
        &mut self,
        source: &SnapshotDatabase,
        document: &Document<'_>,
        leaf: &Revision<'_>,
    ) -> Result<Judged> {
        let Some(judging) = &mut self.0 else { return Ok(Judged::Kept) };
        judging.judge(document.id(), leaf, |options, out| {
            document.write_json(leaf, options, out).map_err(unreadable(source, document))
        })
    }
}
