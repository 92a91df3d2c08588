//! How repositories are named, and how durations are written.

pub(crate) use configuration::seconds;
use outcome::{Code, Failure, Result};
use repository::{Access, Repository};
use store::Location;

use crate::session::Session;

/// Opens a repository; if none is named, that of the configuration file.
pub(crate) fn open_or_configured(session: &Session, location: Option<&Location>) -> Result<Repository> {
    open(session, &session.repository_location(location)?)
}

/// Opens a repository.
pub(crate) fn open(session: &Session, location: &Location) -> Result<Repository> {
    Repository::open(access(session, location)?)
}

/// How a repository is reached.
pub(crate) fn access(session: &Session, location: &Location) -> Result<Access> {
    if matches!(location, Location::Standard | Location::Member(..)) {
        return Err(not_a_place(location));
    }
    if matches!(location, Location::Path(_)) {
        // Like archives, the files of a repository are for their owner alone.
        rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    }
    Access::of(&session.place(location)?)?.ok_or_else(|| not_a_place(location))
}

fn not_a_place(location: &Location) -> Failure {
    Failure::refused(
        Code::new("CC-X19"),
        format!("{location} cannot be a repository"),
        "Name a directory, or a prefix in a store, for example s3://backups/couchdb.",
    )
}

/// The newest backup in the repository of the configuration file.
pub(crate) fn usual_backup() -> Location {
    Location::Path("::latest".into())
}

/// The name of this machine.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
