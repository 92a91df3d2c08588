//! What is served, where and to whom.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use snapshot::Snapshot;

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
    /// The archives. The first one is at `/`, every archive below `/_backup/archives/N`.
    pub archives: Vec<Arc<Snapshot>>,
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
