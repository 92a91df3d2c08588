//! Failures that every crate knows.

use std::io;
use std::path::{Path, PathBuf};

use crate::advice::{Advice, FailureKind};
use crate::code::Code;

/// A failure that needs no type of its own.
#[derive(Debug, thiserror::Error)]
pub enum Common {
    /// The operating system refused a read or a write.
    #[error("cannot {doing} {path}")]
    Io {
        /// The failed action, as in "cannot …".
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
    /// The request is refused. Nothing was changed.
    #[error("{problem}")]
    Refused {
        /// The code of the refusal.
        code: Code,
        /// Why the request is refused.
        problem: String,
        /// What the user can do about it.
        remedy: String,
    },
    /// The data to be saved or restored is incomplete.
    #[error("{problem}")]
    Incomplete {
        /// The code of the failure.
        code: Code,
        /// What is missing.
        problem: String,
        /// What the user can do about it.
        remedy: String,
    },
    /// The user interrupted the operation before it was done.
    #[error("interrupted; nothing was left behind")]
    Interrupted,
    /// An internal error: it cannot happen unless couchcopy has a bug.
    #[error("internal error: {0}")]
    Bug(String),
}

impl Advice for Common {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Io { .. } => FailureKind::System,
            Self::Refused { .. } => FailureKind::Refused,
            Self::Incomplete { .. } => FailureKind::Data,
            Self::Interrupted => FailureKind::Interrupted,
            Self::Bug(_) => FailureKind::Bug,
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Bug(_) => Code::new("CC-G01"),
            Self::Io { .. } => Code::new("CC-G02"),
            Self::Interrupted => Code::new("CC-G03"),
            Self::Refused { code, .. } | Self::Incomplete { code, .. } => *code,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Refused { remedy, .. } | Self::Incomplete { remedy, .. } => Some(remedy.clone()),
            Self::Io { path, source, .. } => io_remedy(path, source),
            Self::Interrupted => None,
            Self::Bug(_) => Some("Please report it with the command that you ran and this message.".into()),
        }
    }
}

/// The remedy for a failed system call on this path (empty if there is no path).
pub fn io_remedy(path: &Path, error: &io::Error) -> Option<String> {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Some(
            "Run couchcopy as the user that owns CouchDB's data (often `couchdb`), or as root with sudo."
                .into(),
        ),
        io::ErrorKind::StorageFull => Some(format!(
            "The file system is full. Free some space{}; existing data has not been changed.",
            path.parent().map_or_else(String::new, |parent| format!(" in {}", parent.display()))
        )),
        io::ErrorKind::FileTooLarge => Some(
            "The file exceeds the largest size that is allowed here. `ulimit -f` shows the limit of the shell that runs \
             couchcopy; some file systems have a limit too."
                .into(),
        ),
        io::ErrorKind::NotFound => Some("Check the path for typing errors.".into()),
        _ => None,
    }
}
