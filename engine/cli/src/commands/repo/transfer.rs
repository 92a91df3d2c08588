//! `couchcopy repo copy` and `couchcopy repo import`.

use clap::Args;
use contents::Destination;
use inspect::transfer::{Transferred, transfer};
use outcome::{Code, Failure, Result};
use store::Location;

use crate::exit::Outcome;
use crate::flags::archive_file::ArchiveFileFlags;
use crate::flags::repository::{host_name, open};
use crate::flags::store::location;
use crate::session::Session;
use crate::text::sizes::{bytes, count};

/// Copy a backup out of a repository into an archive.
#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// The backup, for example REPO::latest or REPO::ID.
    #[arg(value_name = "REPO::ID", value_parser = location())]
    backup: Location,

    /// The archive to make.
    #[arg(value_name = "ARCHIVE", value_parser = location())]
    archive: Location,

    #[command(flatten)]
    archive_file: ArchiveFileFlags,
}

/// Copy an archive, or a backup of another repository, into a repository.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The archive, or a backup of another repository (REPO::ID).
    #[arg(value_name = "ARCHIVE", value_parser = location())]
    archive: Location,

    /// The repository.
    #[arg(value_name = "REPO", value_parser = location())]
    repository: Location,
}

impl Copy {
    /// Carries it out.
    pub(super) fn run(&self, session: &Session) -> Result<Outcome> {
        let destination = Destination::Archive {
            place: session.new_place(&self.archive, None, &self.archive_file.recipients)?,
            overwrite: self.archive_file.overwrite,
            level: self.archive_file.level,
        };
        run(session, &self.backup, &destination)
    }
}

impl Import {
    /// Carries it out.
    pub(super) fn run(&self, session: &Session) -> Result<Outcome> {
        let repository = open(session, &self.repository)?;
        let destination = Destination::Repository {
            repository,
            host: host_name(),
            paranoid: false,
            made: None,
            only_if_changed: false,
        };
        run(session, &self.archive, &destination)
    }
}

fn run(session: &Session, from: &Location, to: &Destination) -> Result<Outcome> {
    if matches!(from, Location::Standard) {
        return Err(Failure::refused(
            Code::new("CC-X23"),
            "a backup cannot be copied from standard input",
            "Write the archive to a file first.",
        ));
    }
    let result = transfer(&session.place(from)?, to, session.threads(), session.reporter())?;
    session.summary(&result, |result: &Transferred| {
        format!(
            "{}: {}, {}; {} stored\n",
            result.to,
            count(result.files, "file", "files"),
            bytes(result.content_bytes),
            bytes(result.stored_bytes)
        )
    });
    Ok(Outcome::Done)
}
