//! `couchcopy unbrand`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use load::unbrand::{UnbrandOptions, UnbrandResult, unbrand};
use outcome::Result;
use outcome::report::Reporter as _;
use store::Location;

use crate::exit::Outcome;
use crate::flags::archive_file::ArchiveFileFlags;
use crate::flags::store::location;
use crate::session::Session;
use crate::text::problems::problems;
use crate::text::sizes::{bytes, count};

/// Make an archive whose shard maps name a single node, to be loaded again and again.
#[derive(Debug, Args)]
#[command(
    after_long_help = "The Python couchcopy loads such an archive faster: it starts a CouchDB with that node's name, and does not have to change \
    any shard map. For this couchcopy it makes no difference. The node gets a new name, which metadata.yaml records \
    (backup.source.nodes-names). Everything else stays as it is, including the node names that are recorded in database \
    files.\n\n\
    From an archive with a table of contents, everything else is copied without unpacking it, damage included; \
    `couchcopy verify` finds damage in either archive. An archive without a table of contents (made by the Python couchcopy or \
    by tar) is read in one pass, and the new archive has a table of contents.\n\n\
    Example:\n  couchcopy unbrand backup.tar.gz unbranded.tar.gz"
)]
pub(crate) struct Unbrand {
    /// The archive to read; it is not changed.
    #[arg(value_name = "ARCHIVE", value_parser = location())]
    archive: Location,

    /// The archive to make. It gets its name when it is complete.
    #[arg(value_name = "NEW", value_parser = location())]
    new: Location,

    #[command(flatten)]
    archive_file: ArchiveFileFlags,

    /// Directory for a temporary file, to which an archive without a table of contents is unpacked.
    ///
    /// The file needs as much space as all databases. It has no name, and disappears when the command ends.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir(), help_heading = "Archive")]
    tmp_dir: PathBuf,
}

impl Unbrand {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let options = UnbrandOptions {
            archive: session.place(&self.archive)?,
            new: session.new_place(&self.new, None, &self.archive_file.recipients)?,
            overwrite: self.archive_file.overwrite,
            level: self.archive_file.level,
            threads: session.threads(),
            temporary: self.tmp_dir.clone(),
        };
        let begun = Instant::now();
        let result = unbrand(&options, session.reporter())?;
        session.reporter().timing("unbranded", begun.elapsed().as_secs_f64());
        session.summary(&result, |result| self.text(result));
        Ok(Outcome::of(result.is_complete()))
    }

    fn text(&self, result: &UnbrandResult) -> String {
        let mut text = format!(
            "{}: {} of {}; {} in {}\n",
            self.new,
            count(result.databases, "database", "databases"),
            result.node,
            bytes(result.content_bytes),
            bytes(result.archive_bytes)
        );
        problems(
            &mut text,
            "NOT SAVED, damaged or missing in the archive",
            ("file", "files"),
            &result.problems,
        );
        text
    }
}
