//! What can go wrong.

use std::io;
use std::path::{Path, PathBuf};

use plugin_build::BuildError;

/// Result of the task.
pub type Result<T, E = TaskError> = std::result::Result<T, E>;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A file or folder cannot be used.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was being done, as in "cannot …".
        doing: &'static str,
        /// To which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no crate of that name.
    #[error("there is no plugins/{name}")]
    NoSource {
        /// The name.
        name: String,
    },
    /// A plugin cannot be built.
    #[error("{name}")]
    Build {
        /// Which.
        name: String,
        /// Why.
        source: BuildError,
    },
    /// A plugin is built, but not as a built-in one has to be.
    #[error("{name}: {problem}")]
    Unfit {
        /// Which.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl TaskError {
    pub(crate) fn io(doing: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { doing, path, source }
    }
}
