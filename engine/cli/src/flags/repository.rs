//! How repositories are named, and how durations are written.

use outcome::{Code, Failure, Result};
use repository::{Access, Repository};
use store::Location;

use crate::session::Session;

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

/// The name of this machine.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Reads a duration such as `24h`, `7d` or `1d 12h`. A day has 24 hours.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no duration: write, for example, 90s, 24h or 7d");
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    let relative = jiff::SpanRelativeTo::days_are_24_hours();
    let seconds = span.total((jiff::Unit::Second, relative)).map_err(|_| wrong())?;
    if seconds >= 0.0 { Ok(seconds as u64) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, expected) in
            [("90s", 90), ("24h", 86_400), ("7d", 604_800), ("1w", 604_800), ("1d 12h", 129_600), ("0s", 0)]
        {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "7", "d", "-1h", "1 month"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
