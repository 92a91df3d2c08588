//! What is served, where and to whom.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use snapshot::Snapshot;

/// What to serve, where and to whom.
pub struct Options {
    /// The address to listen on.
    pub bind: IpAddr,
    /// The port to listen on; 0 takes a free one.
    pub port: u16,
    /// Which pages of other origins may read, if any.
    pub cors: Option<Cors>,
    /// Who may read; everybody who reaches the address if `None`.
    pub authentication: Option<Authentication>,
    /// The only databases that are shown; all if `None`.
    pub only: Option<Vec<String>>,
    /// Told what of an archive could not be read when somebody asked for it.
    pub on_problem: OnProblem,
    /// The archives. The first one is at `/`, each of them below `/_backup/archives/N`.
    pub archives: Vec<Arc<Snapshot>>,
}

/// Told of a problem in words.
pub type OnProblem = Arc<dyn Fn(&str) + Send + Sync>;

/// Which origins browsers let read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Origins as browsers name them, e.g. `https://app.example.com`; `*` for all.
    pub origins: Vec<String>,
}

/// The one user there is.
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
