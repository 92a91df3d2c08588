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
}

#[derive(Serialize)]
struct Deleted {
    deleted: Vec<String>,
}

impl Delete {
    /// Carries it out.
    pub(super) fn run(&self, session: &Session) -> Result<Outcome> {
        let mut named = Vec::new();
        for backup in &self.backups {
            match backup {
                Location::Member(repository, id) if !matches!(id.as_str(), "" | "latest") => {
                    named.push((&**repository, id));
                }
                other => {
                    return Err(Failure::refused(
                        Code::new("CC-X25"),
                        format!("{other} does not name a backup by its id"),
                        "Write REPO::ID. `couchcopy repo list REPO` lists the ids.",
                    ));
                }
            }
        }
        let shown: Vec<String> = self.backups.iter().map(ToString::to_string).collect();
        session.confirm(self.yes, &format!("These backups will be deleted: {}", shown.join(", ")))?;
        let mut deleted = Deleted { deleted: Vec::new() };
        for (repository, id) in named {
            let name = open(session, repository)?.delete_snapshot(id)?;
            deleted.deleted.push(format!("{repository}::{name}"));
        }
        session.summary(&deleted, |deleted| {
            let mut text = String::new();
            for backup in &deleted.deleted {
                let _ = writeln!(text, "{backup}: deleted");
            }
            text
        });
        Ok(Outcome::Done)
    }
}
