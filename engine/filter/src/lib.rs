//! Decides which revisions of a backup are restored, and with which content.
//!
//! A restore asks a [`Filter`] for every leaf revision of every document: first with [`Filter::at_a_glance`], which needs no body,
//! and then, where that does not decide, a [`Session`] with the document as JSON. Revisions that are not leaves have no body after
//! a restore with a filter.
//!
//! [`Judging`] asks a filter about one revision after the other. It compares what takes the place of a document with it: [`Replaced`].
//!
//! [`Choice`] keeps some revisions and leaves out the others: by id, deletion, or a Mango selector. [`All`] asks several filters, one
//! after the other.

mod all;
mod choice;
mod error;
mod judging;
mod replaced;

use std::fmt;

use outcome::{Result, printable};

pub use all::All;
pub use choice::{Choice, parse_selector};
pub use error::FilterError;
pub use judging::{Judged, Judging};
pub use replaced::{Before, Replaced};

/// What becomes of a leaf revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is restored as it is.
    Keep,
    /// It is restored with this content in place of its own: a JSON object in UTF-8, with the members that CouchDB's HTTP
    /// interface shows (`_id`, `_rev`, `_attachments`, ...). Attachments that its `_attachments` does not name are left out.
    Replace(Vec<u8>),
    /// It is not restored. A document none of whose leaves is restored does not exist after the restore.
    LeaveOut,
}

/// What is known of a leaf revision without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glance<'g> {
    /// The document's id.
    pub id: &'g str,
    /// Whether the revision is a deletion.
    pub deleted: bool,
}

/// Decides about revisions. The same revision always gets the same verdict.
pub trait Filter: fmt::Debug + Send + Sync {
    /// Decides without the body; `None`: the body decides.
    fn at_a_glance(&self, revision: Glance<'_>) -> Option<Verdict>;

    /// Begins to decide with bodies of documents of this database of the backup, on one thread.
    fn session(&self, database: &str) -> Result<Box<dyn Session + '_>>;

    /// What makes this filter another one than any other, for the note that an interrupted restore leaves. Not a secret.
    fn identity(&self) -> String;

    /// What it means for the restored database, for the user.
    fn meaning(&self) -> String {
        format!(
            "Not all documents are restored ({}). A replication from a complete copy of the database brings the others back; a \
             replication to one removes nothing there. Without its deleted documents, a database gets documents back from each copy \
             that has not seen their deletion.",
            printable(&self.identity())
        )
    }
}

/// Decides about revisions by their content, on one thread.
pub trait Session {
    /// Decides about a leaf revision. `document` is a JSON object in UTF-8 with `_id`, `_rev`, `_deleted` where it is a deletion,
    /// and `_attachments` (as stubs) where it has attachments.
    ///
    /// Fails if the filter itself fails; the restore then ends.
    fn judge(&mut self, revision: Glance<'_>, document: &[u8]) -> Result<Verdict>;
}
