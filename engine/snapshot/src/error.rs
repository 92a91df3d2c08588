//! Why something cannot be read out of an archive.

use archive::ArchiveError;
use couchfile::error::CouchFileError;
use outcome::{Advice, FailureKind};

/// Result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something cannot be read out of an archive.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A database file in it cannot be used.
    #[error("cannot read {what} in {archive}")]
    Database {
        /// The archive's path.
        archive: String,
        /// Which file, document or attachment.
        what: String,
        /// What is wrong with it.
        source: CouchFileError,
    },
    /// A part of a database file is damaged; what lies in it cannot be read, and the rest can.
    #[error("cannot read {entries} {what} {keys} of {path} in {archive}")]
    Lost {
        /// The archive's path.
        archive: String,
        /// The shard's path below the data folder.
        path: String,
        /// "documents", "changes" or "local documents".
        what: &'static str,
        /// How many they are, as far as that is known.
        entries: u64,
        /// Which they are: the keys before and at the end of them.
        keys: String,
        /// What is wrong.
        source: Box<CouchFileError>,
    },
    /// It is no backup: there are no shard maps in it.
    #[error("{archive} holds no shard maps (_dbs.couch), so it is no backup of a CouchDB node")]
    NoMaps {
        /// The archive's path.
        archive: String,
    },
    /// It holds the data folders of several nodes, which no backup does.
    #[error("{archive} holds several data folders: {first} and {second}")]
    SeveralFolders {
        /// The archive's path.
        archive: String,
        /// One of them.
        first: String,
        /// Another one.
        second: String,
    },
    /// The document with a database's shard map does not hold one.
    #[error("the shard map of {db} in {archive} cannot be read: {problem}")]
    Map {
        /// The archive's path.
        archive: String,
        /// The database.
        db: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A shard that the map names is not in the archive.
    #[error("{archive} does not hold {path}, a shard of {db}")]
    MissingShard {
        /// The archive's path.
        archive: String,
        /// The database.
        db: String,
        /// The shard's path below the data folder.
        path: String,
    },
    /// What the archive holds could not be kept in a temporary file.
    #[error("cannot {doing} a temporary file in {folder}")]
    Spool {
        /// What was being done, as in "cannot …".
        doing: &'static str,
        /// The folder for temporary files.
        folder: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// Whether a part of the archive is damaged, so that the rest can still be read.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Database { source, .. } => {
                !source.is_io() && !matches!(source, CouchFileError::Newer { .. })
            }
            Self::Lost { .. } | Self::MissingShard { .. } => true,
            _ => false,
        }
    }
}

impl Advice for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Archive(error) => error.kind(),
            Self::Spool { .. } => FailureKind::System,
            Self::SeveralFolders { .. } => FailureKind::Refused,
            _ => FailureKind::Data,
        }
    }

    fn remedy(&self) -> Option<String> {
        let remedy = match self {
            Self::Archive(ArchiveError::NewerVersion { .. }) => "Use a newer couchcopy for this archive.",
            Self::Archive(ArchiveError::Io { .. }) => {
                "Check the path for typing mistakes, and who may read the file."
            }
            Self::Archive(_) => {
                "Use another copy of this archive. `couchcopy verify` tells whether an archive is whole."
            }
            Self::NoMaps { .. } => {
                "Check that this is the right file. An archive made with tar must hold the whole data folder."
            }
            Self::SeveralFolders { .. } => {
                "Unpack it and back the folders up as the nodes of one cluster: couchcopy backup localhost,DIR1 \
                 localhost,DIR2 NEW_ARCHIVE."
            }
            Self::Database { source: CouchFileError::Newer { .. }, .. } => {
                "The file is not damaged. Use a couchcopy that knows this CouchDB: update couchcopy on this machine and try \
                 again."
            }
            Self::Database { .. } | Self::Lost { .. } | Self::Map { .. } | Self::MissingShard { .. } => {
                "Use another backup; `couchcopy verify` tells what is whole in this one."
            }
            Self::Spool { .. } => "Make room there, or name another folder in TMPDIR.",
        };
        Some(remedy.to_owned())
    }
}
