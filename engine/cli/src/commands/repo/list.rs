//! `couchcopy repo list`.

use std::fmt::Write as _;

use clap::Args;
use outcome::Result;
use repository::{ListedBackup, Snapshot};
use serde::Serialize;
use store::Location;

use crate::exit::Outcome;
use crate::flags::repository::open_or_configured;
use crate::flags::store::location;
use crate::session::Session;
use crate::text::sizes::{bytes, count};

/// List the backups in a repository.
#[derive(Debug, Args)]
#[command(
    after_long_help = "The command compares the lists of files of all backups with the objects that are there, and, if a backup was \
    killed shortly before its end, its data, too. `couchcopy repo check` does so for all data. Exits with 3 if a backup cannot be \
    read or something is missing."
)]
pub(crate) struct List {
    /// The repository [default: that of the configuration file].
    #[arg(value_name = "REPO", value_parser = location())]
    pub(super) repository: Option<Location>,
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
    /// Objects that the backup needs and that are missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lacks: Vec<String>,
}

impl From<ListedBackup> for Line {
    fn from(ListedBackup { name, snapshot, lacks }: ListedBackup) -> Self {
        match snapshot {
            Ok(snapshot) => Self {
                id: name.to_string(),
                signed_by: Some(snapshot.signer.clone()),
                snapshot: Some(Snapshot { base: Vec::new(), changes: Vec::new(), ..snapshot }),
                problem: None,
                lacks,
            },
            Err(failure) => Self {
                id: name.to_string(),
                snapshot: None,
                signed_by: None,
                problem: Some(failure.to_string()),
                lacks,
            },
        }
    }
}

impl List {
    /// Carries it out.
    pub(super) fn run(&self, session: &Session) -> Result<Outcome> {
        let repository = open_or_configured(session, self.repository.as_ref())?;
        let backups: Vec<Line> = repository.list()?.into_iter().map(Line::from).collect();
        let is_whole = backups.iter().all(|line| line.problem.is_none() && line.lacks.is_empty());
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
        let state = match (line.lacks.is_empty(), snapshot.complete) {
            (false, _) => "DAMAGED",
            (true, true) => "complete",
            (true, false) => "PROBLEMS",
        };
        let _ = writeln!(
            text,
            "{:<37} {:<9} {:>9} {:>11} {:>11} {:>11}  {}",
            line.id,
            state,
            snapshot.databases,
            bytes(snapshot.content_bytes),
            bytes(snapshot.new_bytes),
            bytes(snapshot.added_bytes),
            snapshot.nodes.join(", ")
        );
        if let [first, rest @ ..] = &line.lacks[..] {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            let _ = writeln!(text, "  MISSING: {first}{more}");
        }
    }
    text
}
