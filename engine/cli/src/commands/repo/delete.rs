//! `couchcopy repo delete`.

use std::fmt::Write as _;

use clap::Args;
use outcome::{Code, Failure, Result};
use serde::Serialize;
use store::Location;

use crate::exit::Outcome;
use crate::flags::repository::open;
use crate::flags::store::location;
use crate::session::Session;

/// Delete single backups.
#[derive(Debug, Args)]
#[command(
    after_long_help = "A backup that cannot be read can be deleted, too. No key is needed. `couchcopy repo prune` then frees the \
    space of what no backup needs any more.\n\n\
    Examples:\n  \
    couchcopy repo delete s3://backups/couchdb::18041b9828fa9d5b\n  \
    couchcopy repo delete -y /backups/couchdb::1804 /backups/couchdb::c681"
)]
pub(crate) struct Delete {
    /// The backups, by their ids or the beginnings of these.
    #[arg(value_name = "REPO::ID", value_parser = location(), required = true)]
    backups: Vec<Location>,

    /// Do not ask for confirmation.
    #[arg(short, long, help_heading = "Mode")]
    yes: bool,

    /// Show what would be done.
    #[arg(long, help_heading = "Mode")]
    dry_run: bool,
}

#[derive(Serialize)]
struct Deleted {
    dry_run: bool,
    deleted: Vec<String>,
}

impl Delete {
    /// Carries it out.
    pub(super) fn run(&self, session: &Session) -> Result<Outcome> {
        // All of them are found before any is deleted.
        let mut found = Vec::new();
        for backup in &self.backups {
            let Location::Member(repository, id) = backup else { return Err(no_id(backup)) };
            if id.is_empty() || id == "latest" || id.contains('@') {
                return Err(no_id(backup));
            }
            let repository = open(session, repository)?;
            let name = repository.named(id)?;
            found.push((repository, name));
        }
        let shown: Vec<String> =
            found.iter().map(|(repository, name)| format!("{}::{name}", repository.name())).collect();
        if !self.dry_run {
            session.confirm(self.yes, &format!("These backups will be deleted: {}", shown.join(", ")))?;
            for (repository, name) in &found {
                repository.delete_snapshot(*name)?;
            }
        }
        let deleted = Deleted { dry_run: self.dry_run, deleted: shown };
        if self.dry_run {
            session.answer(&deleted, text);
        } else {
            session.summary(&deleted, text);
        }
        Ok(Outcome::Done)
    }
}

fn no_id(backup: &Location) -> Failure {
    Failure::refused(
        Code::new("CC-X25"),
        format!("{backup} does not name a backup by its id"),
        "Write REPO::ID. `couchcopy repo list REPO` lists the ids.",
    )
}

fn text(deleted: &Deleted) -> String {
    let mut text = String::new();
    let what = if deleted.dry_run { "would be deleted" } else { "deleted" };
    for backup in &deleted.deleted {
        let _ = writeln!(text, "{backup}: {what}");
    }
    text
}
