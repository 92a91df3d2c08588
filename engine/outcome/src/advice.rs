//! What an error carries besides its message: kind, code and remedy.

use std::any::Any;
use std::error::Error;

use crate::Failure;
use crate::code::Code;

/// The kind of a failure. It determines the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The request makes no sense, or is refused to protect data. Nothing was changed.
    Refused,
    /// The archive is damaged or truncated, or the file is not an archive.
    Archive,
    /// The data directory is damaged or incomplete.
    Data,
    /// The operating system refused a read or a write.
    System,
    /// A plugin failed: CouchDB was not started or stopped, or a node was not reached.
    Plugin,
    /// A node did not do what was requested, or was not reached.
    Node,
    /// The user interrupted the operation.
    Interrupted,
    /// A bug in couchcopy.
    Bug,
}

/// An error with a kind, a stable code and a remedy.
///
/// Implemented by every error that can end an operation, next to its definition.
pub trait Advice: Error + Any + Send + Sync {
    /// The kind of the failure.
    fn kind(&self) -> FailureKind;

    /// The stable code of the error, which `docs/messages.md` explains.
    fn code(&self) -> Code;

    /// What the user can do about the error.
    fn remedy(&self) -> Option<String>;

    /// Wraps this error in a [`Failure`]. An error that only carries a [`Failure`] through another crate returns the carried
    /// failure.
    fn into_failure(self) -> Failure
    where
        Self: Sized,
    {
        Failure::new(self)
    }
}
