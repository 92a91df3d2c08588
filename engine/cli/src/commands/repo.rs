//! `couchcopy repo`: many backups in one place.

pub(super) mod check;
mod delete;
pub(super) mod expire;
mod init;
mod key;
mod list;
pub(super) mod prune;
mod transfer;

use clap::{Args, Subcommand};
pub(crate) use expire::KeepFlags;
use outcome::Result;

use crate::exit::Outcome;
use crate::session::Session;

/// Manage a repository, which keeps many backups and stores once what they share.
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "REPO is a directory or a prefix in a store. `couchcopy backup --repo REPO NODE...` adds a backup. Every \
    command that reads an archive also reads a backup in a repository:\n  \
    REPO::latest             the newest complete backup; REPO alone means the same. It is refused if\n                           \
    the repository has backups of other nodes or data directories, too\n  \
    REPO::latest@NODE        the newest complete backup of this node (NAME@HOST or HOST), machine or\n                           \
    data directory (MACHINE:/PATH)\n  \
    REPO::ID                 the backup whose id begins with ID\n  \
    REPO::2026-11-27T18:00   the newest complete backup begun at or before that minute, local time\n\n\
    Examples:\n  \
    couchcopy repo init --recipient age1... s3://backups/couchdb\n  \
    couchcopy backup --repo s3://backups/couchdb localhost,/opt/couchdb/data\n  \
    couchcopy repo list s3://backups/couchdb\n  \
    couchcopy verify s3://backups/couchdb::latest --identity offline.txt\n  \
    couchcopy repo expire --keep-hourly 24 --keep-daily 14 s3://backups/couchdb\n  \
    couchcopy repo prune s3://backups/couchdb"
)]
pub(crate) struct Repo {
    /// What to do.
    #[command(subcommand)]
    action: Action,
}

/// What to do with a repository.
#[derive(Debug, Subcommand)]
enum Action {
    Init(init::Init),
    List(list::List),
    Expire(expire::Expire),
    Delete(delete::Delete),
    Prune(prune::Prune),
    Check(check::Check),
    Copy(transfer::Copy),
    Import(transfer::Import),
    Key(key::Key),
}

impl Repo {
    /// Whether the command line names the repository, if it has to be named.
    pub(super) fn has_repository(&self) -> bool {
        match &self.action {
            Action::Init(action) => action.repository.is_some(),
            Action::List(action) => action.repository.is_some(),
            Action::Expire(action) => action.repository.is_some(),
            Action::Prune(action) => action.repository.is_some(),
            Action::Check(action) => action.repository.is_some(),
            // The parser wants it.
            Action::Delete(_) | Action::Copy(_) | Action::Import(_) | Action::Key(_) => true,
        }
    }

    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        match &self.action {
            Action::Init(action) => action.run(session),
            Action::List(action) => action.run(session),
            Action::Expire(action) => action.run(session),
            Action::Delete(action) => action.run(session),
            Action::Prune(action) => action.run(session),
            Action::Check(action) => action.run(session),
            Action::Copy(action) => action.run(session),
            Action::Import(action) => action.run(session),
            Action::Key(action) => action.run(session),
        }
    }
}
