//! Values of options.

use std::time::Duration;

use clap::ValueEnum;
use cluster::agreement::WaitFor;
use node::Version;
use restore::folders::OLDEST_TARGET;
use restore::live::MapsBy;

/// Parses a version of CouchDB to which data can be restored.
pub(super) fn couchdb_version(text: &str) -> Result<Version, String> {
    let numbers = text.split('.').map(|part| part.parse::<u64>().is_ok());
    if !numbers.clone().all(|is_number| is_number) || !(2..=3).contains(&numbers.count()) {
        return Err("write a version of CouchDB, e.g. 3.3 or 3.3.3".into());
    }
    let version = Version::parse(text);
    if version.at_least(OLDEST_TARGET.0, OLDEST_TARGET.1) {
        return Ok(version);
    }
    Err(format!("data can be restored to CouchDB {}.{} or newer", OLDEST_TARGET.0, OLDEST_TARGET.1))
}

/// How long to open databases; `None`: until all are open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenFor(pub(crate) Option<Duration>);

/// Parses a number of seconds, or `all`.
pub(crate) fn open_for(text: &str) -> Result<OpenFor, String> {
    if text == "all" {
        return Ok(OpenFor(None));
    }
    let seconds = text.parse().map_err(|_| "write a number of seconds, or `all`")?;
    Ok(OpenFor(Some(Duration::from_secs(seconds))))
}

/// How shard maps reach the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Maps {
    /// As files, before the nodes start.
    File,
    /// Through the HTTP interface of the first node, after the nodes have started.
    Http,
}

impl From<Maps> for MapsBy {
    fn from(maps: Maps) -> Self {
        match maps {
            Maps::File => Self::File,
            Maps::Http => Self::Http,
        }
    }
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Wait {
    /// All nodes agree, and databases open with all their documents.
    Agreement,
    /// The same, and the copies of all nodes have sent what they have to the copies of the nodes that were restored.
    Replication,
}

impl From<Wait> for WaitFor {
    fn from(wait: Wait) -> Self {
        match wait {
            Wait::Agreement => Self::Agreement,
            Wait::Replication => Self::Replication,
        }
    }
}
