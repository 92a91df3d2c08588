//! What a backup still holds of the past of a database: the older states of its files, and the revisions of a document in them.
//!
//! Memory: one state, or the revisions of one document.

mod copies;
mod differences;
mod listing;
mod places;
mod revisions;
mod states;

pub use copies::Backups;
pub use differences::{Change, Difference, Side, differences};
pub use listing::{Revisions, document_history};
pub(crate) use revisions::find_revision;
pub use revisions::{FoundRevisions, Readable, SavedAttachment, Seen, SeenRevision, Shown, revisions_in};
pub use states::{HistoryOptions, database_history};

/// A moment in seconds since 1970 as text (RFC 3339, UTC).
fn time_text(seconds: u64) -> Option<String> {
    let seconds = i64::try_from(seconds).ok()?;
    Some(jiff::Timestamp::from_second(seconds).ok()?.to_string())
}
