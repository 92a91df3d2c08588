//! What can go wrong while a folder is built.

use std::io;
use std::path::{Path, PathBuf};

use couchfile::error::CouchFileError;

/// Why a data folder could not be built.
#[derive(Debug, thiserror::Error)]
pub enum ScaleDataError {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Plan(String),
    /// The target holds something already.
    #[error("{} is not empty; name a folder that is new or empty", .0.display())]
    NotEmpty(PathBuf),
    /// The system refused to make, open or write a file or folder.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A database file could not be built.
    #[error("cannot build {}", .path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: CouchFileError,
    },
}

impl ScaleDataError {
    /// A refusal of the system at `path`.
    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }

    /// A failure of the database writer at `path`.
    pub(crate) fn database(path: &Path) -> impl FnOnce(CouchFileError) -> Self {
        let path = path.to_owned();
        move |source| Self::Database { path, source }
    }
}

/// Result of this crate's operations.
pub type Result<T, E = ScaleDataError> = std::result::Result<T, E>;
