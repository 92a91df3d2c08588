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
use crate::text::problems::problems;
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

    #[command(flatten)]
    damage: DamageFlags,
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

    #[command(flatten)]
    damage: DamageFlags,
}

/// What happens to damaged files.
#[derive(Debug, Args)]
struct DamageFlags {
    /// Leave out files that are missing or damaged, and copy all others.
    ///
    /// The command reads everything twice, prints the files that it has left out, and exits with 3. The copy records them as problems.
    /// Without this option, the command fails at the first such file.
    #[arg(long, help_heading = "Mode")]
    skip_damaged: bool,
}

impl Copy {
    /// Carries it out.
    pub(super) fn run(&self, session: &Session) -> Result<Outcome> {
        let destination = Destination::Archive {
            place: session.new_place(&self.archive, None, &self.archive_file.recipients)?,
            overwrite: self.archive_file.overwrite,
            level: self.archive_file.level,
        };
        run(session, &self.backup, &destination, &self.damage)
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
            object_lock: None,
        };
        run(session, &self.archive, &destination, &self.damage)
    }
}

fn run(session: &Session, from: &Location, to: &Destination, damage: &DamageFlags) -> Result<Outcome> {
    if matches!(from, Location::Standard) {
        return Err(Failure::refused(
            Code::new("CC-X23"),
            "a backup cannot be copied from standard input",
            "Write the archive to a file first.",
        ));
    }
    let place = session.place(from)?;
    let result = transfer(&place, to, session.threads(), damage.skip_damaged, session.reporter())?;
    session.summary(&result, |result: &Transferred| {
        let mut text = format!(
            "{}: {}, {}; {} stored\n",
            result.to,
            count(result.files, "file", "files"),
            bytes(result.content_bytes),
            bytes(result.stored_bytes)
        );
        problems(&mut text, "LEFT OUT, damaged or missing", ("file", "files"), &result.left_out);
        text
    });
    Ok(Outcome::of(result.left_out.is_empty()))
}
