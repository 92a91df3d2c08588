//! `couchcopy dump`.

use clap::{Args, ValueEnum};
use inspect::documents::{self, DumpFormat, DumpOptions};
use outcome::Result;
use store::Location;

use crate::completion;
use crate::exit::Outcome;
use crate::flags::moment::MomentFlags;
use crate::flags::store::location;
use crate::session::Session;

/// Print all documents of a database in an archive, one JSON document per line.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    couchcopy dump backup.tar.gz orders > orders.jsonl\n  \
    couchcopy dump backup.tar.gz orders \\\n    \
    --format couchbackup --attachments --conflicts --deleted |\n    \
    couchrestore --attachments --db orders")]
pub(crate) struct Dump {
    /// The archive.
    #[arg(value_name = "ARCHIVE", value_parser = location())]
    archive: Location,

    /// The database.
    #[arg(value_name = "DB", add = completion::databases())]
    db: String,

    /// Add the content of attachments as Base64.
    #[arg(long)]
    attachments: bool,

    /// Print every conflicting revision on its own line, after the revision that CouchDB shows.
    #[arg(long)]
    conflicts: bool,

    /// Print deleted documents, too; with --conflicts also deleted leaves.
    #[arg(long)]
    deleted: bool,

    /// Print local documents, too, after all others.
    ///
    /// Local documents that CouchDB keeps for itself are not printed.
    #[arg(long)]
    local: bool,

    /// Add the ancestors of each revision (_revisions).
    #[arg(long)]
    revs: bool,

    /// Format of the output.
    #[arg(long, value_enum, default_value_t = Format::Lines, value_name = "FORMAT")]
    format: Format,

    #[command(flatten)]
    moment: MomentFlags,
}

/// How a dump looks.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// One JSON document per line.
    Lines,
    /// Batches with ancestors, for couchrestore of @cloudant/couchbackup.
    Couchbackup,
}

impl Dump {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let (archive, at) = self.moment.of(session.place(&self.archive)?)?;
        let options = DumpOptions {
            at,
            attachments: self.attachments,
            conflicts: self.conflicts,
            deleted: self.deleted,
            local: self.local,
            revs: self.revs,
            format: match self.format {
                Format::Lines => DumpFormat::Lines,
                Format::Couchbackup => DumpFormat::Couchbackup,
            },
        };
        let (threads, reporter) = (session.threads(), session.reporter());
        let mut damaged = 0;
        session.stream(|out| {
            let dumped = documents::dump(&archive, &self.db, &options, threads, reporter, out)?;
            damaged = dumped.damaged;
            Ok(())
        })?;
        Ok(Outcome::of(damaged == 0))
    }
}
