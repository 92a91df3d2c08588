//! What an error has to say besides its message.

use std::any::Any;
use std::error::Error;

use crate::Failure;
use crate::code::Code;

/// What kind of failure it is. Decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The request makes no sense, or is refused to protect data. Nothing was changed.
    Refused,
    /// The archive is damaged or truncated, or the file is not an archive.
    Archive,
    /// The data directory is damaged or incomplete.
    Data,
    /// The operating system did not let us read or write.
    System,
    /// A plugin failed: CouchDB was not started or stopped, or a node was not reached.
    Plugin,
    /// A node did not do what it was asked to do, or was not reached.
    Node,
    /// The user interrupted the operation.
    Interrupted,
    /// A bug in couchcopy.
    Bug,
}

/// An error that says which kind of failure it is and what to do about it.
///
/// Implemented by every error that can end an operation, next to its definition.
pub trait Advice: Error + Any + Send + Sync {
    /// The kind of failure.
    fn kind(&self) -> FailureKind;

    /// The stable code of the error, which `docs/messages.md` explains.
    fn code(&self) -> Code;

    /// What to do now.
    fn remedy(&self) -> Option<String>;

    /// The failure with this error in it. An error that only carries a [`Failure`] through another crate returns that one.
    fn into_failure(self) -> Failure
    where
        Self: Sized,
    {
        Failure::new(self)
    }
}
