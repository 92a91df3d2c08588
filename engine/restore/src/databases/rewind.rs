//! Makes documents of a running cluster what they were, by ordinary edits on top of what they are now.
//!
//! An edit on top wins on every node and on every replica, as a user's edit does: no revision is removed, no other document is
//! touched, and replications carry it on. The plan compares every document with what it was. Carrying it out writes each document
//! on top of the revision that the plan has seen; if somebody has written another one since, CouchDB refuses the edit, and the
//! document is reported. A note in the database records how far it got, so that the same command goes on after an interruption
//! and does not override a document again that somebody has edited in the meantime.

mod compare;
mod entries;
mod live;
mod note;
mod plan;
mod report;
mod send;

pub use plan::{Choice, Expected, PlannedRewind, RewindOptions};
pub use report::{Listed, RewindDescription, RewindResult, Was};
