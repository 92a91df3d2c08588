//! What is served, where and to whom.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use contents::{BackupId, RepositoryBackups};
use inspect::documents;
use outcome::report::Reporter;
use outcome::{Failure, Result};
use snapshot::{Moment, Snapshot};
use store::{Location, Place};

/// What to serve, where and to whom.
pub struct Options {
    /// The address to listen on.
    pub bind: IpAddr,
    /// The port to listen on; 0 uses any free port.
    pub port: u16,
    /// Which pages of other origins may read the databases, if any.
    pub cors: Option<Cors>,
    /// Who may read; every client that reaches the address if `None`.
    pub authentication: Option<Authentication>,
    /// The only databases that are shown; all if `None`.
    pub only: Option<Vec<String>>,
    /// Called with a description of what could not be read from an archive when a client requested it.
    pub on_problem: OnProblem,
    /// The archives and repositories. The first one is at `/`, each one below `/_backup/archives/N`.
    pub archives: Vec<Served>,
    /// Options that a command needs to read the same archives, such as `--identity` with its value.
    pub flags: Vec<String>,
}

/// An archive or a repository that is served.
pub struct Served {
    /// The archive, or the newest complete backup of the repository.
    pub(crate) backup: Arc<Snapshot>,
    /// Where it is, as a command names it; `None` if no command could read it once more.
    pub(crate) location: Option<String>,
    /// All backups of the repository, and the one that was the newest.
    pub(crate) repository: Option<(Arc<RepositoryBackups>, BackupId)>,
}

impl Served {
    /// Opens an archive, or a repository with all its backups. A repository is one backup if a moment in it is given.
    ///
    /// An archive without a table of contents is read once from beginning to end, and the reporter shows that.
    pub fn open(
        place: &Place,
        only: Option<Vec<String>>,
        at: Option<Moment>,
        threads: usize,
        reporter: &dyn Reporter,
    ) -> Result<Self> {
        let location = match place.location() {
            Location::Standard => None,
            _ => Some(place.absolute().to_string()),
        };
        let repository = if at.is_none() { RepositoryBackups::at(place)? } else { None };
        let Some(repository) = repository else {
            let backup = documents::open(place, only, at, threads, reporter)?;
            return Ok(Self { backup, location, repository: None });
        };
        let newest = repository.newest()?;
        let gone = || Failure::bug("the newest backup was deleted while it was opened");
        let source = repository.open(newest)?.ok_or_else(gone)?;
        let backup = documents::open_source(source, only, None, threads, reporter)?;
        Ok(Self { backup, location, repository: Some((Arc::new(repository), newest)) })
    }

    /// What messages call it.
    pub fn name(&self) -> String {
        match &self.repository {
            Some((repository, _)) => repository.place().to_string(),
            None => self.backup.name().to_owned(),
        }
    }
}

impl From<Arc<Snapshot>> for Served {
    fn from(backup: Arc<Snapshot>) -> Self {
        Self { backup, location: None, repository: None }
    }
}

/// Called with a problem in words.
pub type OnProblem = Arc<dyn Fn(&str) + Send + Sync>;

/// The origins whose pages browsers allow to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Origins as browsers name them, e.g. `https://app.example.com`; `*` for all.
    pub origins: Vec<String>,
}

/// The only user.
#[derive(Clone, PartialEq, Eq)]
pub struct Authentication {
    /// Name of the user.
    pub name: String,
    /// The user's password.
    pub password: String,
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authentication").field("name", &self.name).finish_non_exhaustive()
    }
}
