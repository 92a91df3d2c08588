//! `couchcopy repo list`.

use std::fmt::Write as _;

use clap::Args;
use outcome::Result;
use repository::Snapshot;
use serde::Serialize;
use store::Location;

use crate::exit::Outcome;
use crate::flags::repository::open;
use crate::flags::store::location;
use crate::session::Session;
use crate::text::sizes::{bytes, count};

/// List the backups in a repository.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// The repository.
    #[arg(value_name = "REPO", value_parser = location())]
    repository: Location,
}

#[derive(Serialize)]
struct Listing {
    repository: String,
    id: String,
    encrypted: bool,
    backups: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    id: String,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    snapshot: Option<Snapshot>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl List {
    /// Carries it out.
    pub(super) fn run(&self, session: &Session) -> Result<Outcome> {
        let repository = open(session, &self.repository)?;
        let names = repository.snapshot_names()?;
        let backups: Vec<Line> = repository
            .snapshots(&names)
            .into_iter()
            .map(|(name, snapshot)| match snapshot {
                Ok(snapshot) => Line {
                    id: name.to_string(),
                    signed_by: Some(snapshot.signer.clone()),
                    snapshot: Some(Snapshot { base: Vec::new(), changes: Vec::new(), ..snapshot }),
                    problem: None,
                },
                Err(failure) => Line {
                    id: name.to_string(),
                    snapshot: None,
                    signed_by: None,
                    problem: Some(failure.to_string()),
                },
            })
            .collect();
        let is_whole = backups.iter().all(|line| line.problem.is_none());
        let listing = Listing {
            repository: repository.name(),
            id: repository.id().to_owned(),
            encrypted: repository.is_encrypted(),
            backups,
        };
        session.answer(&listing, text);
        Ok(Outcome::of(is_whole))
    }
}

fn text(listing: &Listing) -> String {
    let mut text = String::new();
    let encrypted = if listing.encrypted { "encrypted" } else { "not encrypted" };
    let _ = writeln!(
        text,
        "{}: {encrypted}, {}",
        listing.repository,
        count(listing.backups.len() as u64, "backup", "backups")
    );
    if listing.backups.is_empty() {
        return text;
    }
    let _ = writeln!(
        text,
        "{:<37} {:<9} {:>9} {:>11} {:>11} {:>11}  nodes",
        "id", "", "databases", "size", "new", "stored"
    );
    for line in &listing.backups {
        let Some(snapshot) = &line.snapshot else {
            let _ =
                writeln!(text, "{:<37} UNREADABLE: {}", line.id, line.problem.as_deref().unwrap_or_default());
            continue;
        };
        let _ = writeln!(
            text,
            "{:<37} {:<9} {:>9} {:>11} {:>11} {:>11}  {}",
            line.id,
            if snapshot.complete { "complete" } else { "PROBLEMS" },
            snapshot.databases,
            bytes(snapshot.content_bytes),
            bytes(snapshot.new_bytes),
            bytes(snapshot.added_bytes),
            snapshot.nodes.join(", ")
        );
    }
    text
}
