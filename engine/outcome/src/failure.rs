//! Why an operation ended.

use std::any::Any;
use std::error::Error;
use std::path::PathBuf;
use std::{fmt, io};

use crate::advice::{Advice, FailureKind};
use crate::code::Code;
use crate::common::Common;

/// Result of an operation.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why an operation ended: an error of any crate, with the kind of failure and a remedy.
///
/// `?` converts every error that implements [`Advice`].
pub struct Failure(Box<dyn Advice>);

impl Failure {
    /// Wraps an error.
    pub fn new(error: impl Advice) -> Self {
        Self(Box::new(error))
    }

    /// A failed system call.
    pub fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::new(Common::Io { doing, path: path.into(), source })
    }

    /// A refused request: nothing was changed.
    pub fn refused(code: Code, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Common::Refused { code, problem: problem.into(), remedy: remedy.into() })
    }

    /// The data to be saved or restored is incomplete.
    pub fn incomplete(code: Code, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Common::Incomplete { code, problem: problem.into(), remedy: remedy.into() })
    }

    /// An internal error: it cannot happen unless couchcopy has a bug.
    pub fn bug(what: impl Into<String>) -> Self {
        Self::new(Common::Bug(what.into()))
    }

    /// The user interrupted the operation.
    pub fn interrupted() -> Self {
        Self::new(Common::Interrupted)
    }

    /// The kind of the failure.
    pub fn kind(&self) -> FailureKind {
        self.0.kind()
    }

    /// The stable code of the error, which `docs/messages.md` explains.
    pub fn code(&self) -> Code {
        self.0.code()
    }

    /// What the user can do about the failure.
    pub fn remedy(&self) -> Option<String> {
        self.0.remedy()
    }

    /// Whether the reader of the output has closed it.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self.get(), Some(Common::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The wrapped error, if it has this type.
    pub fn get<E: Advice>(&self) -> Option<&E> {
        (&*self.0 as &dyn Any).downcast_ref()
    }

    /// Takes the wrapped error out, if it has this type.
    pub fn take<E: Advice>(self) -> Result<E> {
        if self.get::<E>().is_none() {
            return Err(self);
        }
        match (self.0 as Box<dyn Any>).downcast::<E>() {
            Ok(error) => Ok(*error),
            // It was looked at a moment ago.
            Err(_) => Err(Self::bug("an error changed its type")),
        }
    }
}

impl<E: Advice> From<E> for Failure {
    fn from(error: E) -> Self {
        error.into_failure()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// An error with all its causes, on one line.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let next = inner.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("a node is missing")]
    struct Missing;

    impl Advice for Missing {
        fn kind(&self) -> FailureKind {
            FailureKind::Node
        }

        fn code(&self) -> Code {
            Code::new("CC-N00")
        }

        fn remedy(&self) -> Option<String> {
            Some("Find it.".into())
        }
    }

    fn fails() -> Result<()> {
        Err(Missing)?;
        Ok(())
    }

    #[test]
    fn an_error_keeps_its_type_and_its_advice() {
        let failure = fails().unwrap_err();
        assert_eq!(
            (failure.kind(), failure.remedy(), failure.to_string()),
            (FailureKind::Node, Some("Find it.".into()), "a node is missing".into())
        );
        assert_eq!(failure.code().to_string(), "CC-N00");
        assert!(failure.get::<Missing>().is_some());
        assert!(failure.get::<Common>().is_none());
        assert!(failure.take::<Common>().unwrap_err().take::<Missing>().is_ok());
    }

    #[test]
    fn causes_are_told_once() {
        let failure = Failure::io("read", "/a", io::Error::other("no"));
        assert_eq!(with_causes(&failure), "cannot read /a: no");
    }
}
