//! What can be wrong with a repository.

use outcome::{Advice, Code, FailureKind};
use store::StoreError;

/// The result of something done with a repository.
pub(crate) type Result<T, E = outcome::Failure> = std::result::Result<T, E>;

/// What can be wrong with a repository.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// There is none.
    #[error("{place} is not a repository: it has no couchcopy-repository.json")]
    NotThere {
        /// The repository.
        place: String,
    },
    /// There is one already.
    #[error("{place} is a repository already")]
    Exists {
        /// The repository.
        place: String,
    },
    /// Something else lies where a repository should be made.
    #[error("{place} is not empty: it holds {found}")]
    NotEmpty {
        /// The place.
        place: String,
        /// One of the objects there.
        found: String,
    },
    /// It was made by a newer version.
    #[error("{place} has the format {format}, which this version of couchcopy does not know")]
    Newer {
        /// The repository or the object.
        place: String,
        /// Its format.
        format: u64,
    },
    /// An object is not as it was written.
    #[error("{object}: {problem}")]
    Damaged {
        /// The object.
        object: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An object that others need is missing.
    #[error("{object} is missing, and {needed_by} needs it")]
    Missing {
        /// The object.
        object: String,
        /// What needs it.
        needed_by: String,
    },
    /// A signature is not valid.
    #[error("{object}: {problem}")]
    Signature {
        /// The object.
        object: String,
        /// What is wrong with its signature.
        problem: String,
    },
    /// No backup fits.
    #[error("{place} has no backup {wanted}")]
    NoBackup {
        /// The repository.
        place: String,
        /// What was wanted, as "that …" or a name.
        wanted: String,
    },
    /// Several backups fit.
    #[error("{place}: {wanted} fits several backups: {found}")]
    Ambiguous {
        /// The repository.
        place: String,
        /// What was wanted.
        wanted: String,
        /// The first two that fit.
        found: String,
    },
    /// The backups are of several sources, and it is not said which one is meant.
    #[error("{place} holds backups of {count} sources, and none is named. The newest of each: {newest}")]
    Sources {
        /// The repository.
        place: String,
        /// Number of sources.
        count: usize,
        /// The newest backups of some sources, as `REPO::ID (nodes, places)`.
        newest: String,
    },
    /// The newest backups lack something.
    #[error("{place} has no complete backup {wanted}: {newest} has problems")]
    Incomplete {
        /// The repository.
        place: String,
        /// What was wanted.
        wanted: String,
        /// The newest backup that fits.
        newest: String,
    },
    /// This host has no key.
    #[error("this machine has no key for {place}: {path} does not exist")]
    NoHostKey {
        /// The repository.
        place: String,
        /// Where the key is expected.
        path: String,
    },
    /// A key file cannot be used.
    #[error("the host key in {path} cannot be used: {problem}")]
    HostKey {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The key of this host cannot be stored.
    #[error("cannot write the key of this machine to {path}: {error}")]
    HostKeyNotWritten {
        /// The file, or its directory.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// No key opens what is needed.
    #[error("{place}: no given key opens {what}")]
    NoKey {
        /// The repository.
        place: String,
        /// What is closed.
        what: &'static str,
    },
    /// A prune deletes what the backup needs.
    #[error(
        "{place}: a prune that ran at the same time deletes data that this backup builds on. The backup was withdrawn"
    )]
    Pruned {
        /// The repository.
        place: String,
    },
    /// A prune deletes what the backup needs, or may do so, and its snapshot cannot be deleted.
    #[error(
        "{backup} lacks data, or may lack data, because a prune ran at the same time. It cannot be withdrawn: {why}"
    )]
    NotWithdrawn {
        /// The backup, as `REPO::ID`.
        backup: String,
        /// Why its snapshot was not deleted.
        why: StoreError,
    },
    /// The options make no sense.
    #[error("{0}")]
    Options(String),
    /// An internal error.
    #[error("{0}")]
    Bug(&'static str),
}

impl RepositoryError {
    pub(crate) fn damaged(object: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Damaged { object: object.into(), problem: problem.into() }
    }
}

impl Advice for RepositoryError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Damaged { .. } | Self::Missing { .. } | Self::Signature { .. } => FailureKind::Archive,
            Self::Pruned { .. } | Self::NotWithdrawn { .. } | Self::HostKeyNotWritten { .. } => {
                FailureKind::System
            }
            Self::Bug(_) => FailureKind::Bug,
            _ => FailureKind::Refused,
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::NotThere { .. } => Code::new("CC-Q01"),
            Self::Exists { .. } => Code::new("CC-Q02"),
            Self::NotEmpty { .. } => Code::new("CC-Q03"),
            Self::Newer { .. } => Code::new("CC-Q04"),
            Self::Damaged { .. } => Code::new("CC-Q05"),
            Self::Missing { .. } => Code::new("CC-Q06"),
            Self::Signature { .. } => Code::new("CC-Q07"),
            Self::NoBackup { .. } => Code::new("CC-Q08"),
            Self::Ambiguous { .. } => Code::new("CC-Q09"),
            Self::Incomplete { .. } => Code::new("CC-Q10"),
            Self::NoHostKey { .. } => Code::new("CC-Q11"),
            Self::HostKey { .. } => Code::new("CC-Q12"),
            Self::NoKey { .. } => Code::new("CC-Q13"),
            Self::Pruned { .. } => Code::new("CC-Q14"),
            Self::Options(_) => Code::new("CC-Q15"),
            Self::Bug(_) => Code::new("CC-Q16"),
            Self::Sources { .. } => Code::new("CC-Q17"),
            Self::NotWithdrawn { .. } => Code::new("CC-Q18"),
            Self::HostKeyNotWritten { .. } => Code::new("CC-Q19"),
        }
    }

    fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::NotThere { place } => {
                format!("Check the name, or make a repository: `couchcopy repo init {place}`.")
            }
            Self::Exists { .. } => "Use it as it is, or choose another place.".into(),
            Self::NotEmpty { .. } => "Choose a new directory or prefix: a repository has its place for itself.".into(),
            Self::Newer { .. } => "Use a newer version of couchcopy.".into(),
            Self::Damaged { .. } | Self::Missing { .. } => {
                "`couchcopy repo check` lists everything that is damaged, and which backups are not affected.".into()
            }
            Self::Signature { .. } => {
                "Somebody without a key of this repository may have written it. Do not restore it unless you know who wrote it; \
                 with `--signer PUBLIC-KEY` the backups that this key signed are accepted, and no others."
                    .into()
            }
            Self::NoBackup { place, .. } | Self::Ambiguous { place, .. } | Self::Incomplete { place, .. } => {
                format!("`couchcopy repo list {place}` lists all backups. Name one by its id: `{place}::ID`.")
            }
            Self::NoHostKey { place, .. } => format!(
                "Copy the key file of a machine that has one, or give this machine a key: `couchcopy repo key add {place} --host FILE`, with --identity or --passphrase-file if the repository is encrypted."
            ),
            Self::HostKey { .. } => "Name another file with `--host-key FILE`, or give this machine a new key with `couchcopy repo key add`.".into(),
            Self::HostKeyNotWritten { .. } => "Name another file with `--host-key FILE`, in a directory that you may write to. Give the same option to each later command, or write the file as `host_key` into the configuration.".into(),
            Self::NoKey { .. } => "Name the file of the key with `--identity FILE` or `--passphrase-file FILE`.".into(),
            Self::Pruned { .. } => "Run the backup again.".into(),
            Self::Sources { place, .. } => {
                format!("Name a backup by its id, or the newest one of a node or a machine: `{place}::latest@NODE`.")
            }
            Self::NotWithdrawn { backup, .. } => format!(
                "Run the backup again. `couchcopy repo check` reports whether this backup lacks anything; on a machine that may delete, `couchcopy repo delete {backup}` deletes it."
            ),
            Self::Options(_) => return None,
            Self::Bug(_) => "Please report this as a bug.".into(),
        })
    }
}
