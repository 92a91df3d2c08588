//! `couchcopy get`.

use std::io::{IsTerminal, stdout};

use clap::Args;
use inspect::documents::{self, GetOptions};
use outcome::Result;
use store::Location;

use crate::completion;
use crate::exit::Outcome;
use crate::flags::moment::MomentFlags;
use crate::flags::store::location;
use crate::session::Session;

/// Print one document of an archive, or one of its attachments.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Without --rev, couchcopy prints the revision that CouchDB shows. Name design documents and local documents as in \
    CouchDB: _design/NAME, _local/NAME.\n\n\
    Examples:\n  \
    couchcopy get backup.tar.gz orders 2026-11-22-0001\n  \
    couchcopy get backup.tar.gz orders 2026-11-22-0001 --revs --conflicts\n  \
    couchcopy get backup.tar.gz orders 2026-11-22-0001 \\\n    --attachment invoice.pdf > invoice.pdf"
)]
pub(crate) struct Get {
    /// The archive.
    #[arg(value_name = "ARCHIVE", value_parser = location())]
    archive: Location,

    /// The database.
    #[arg(value_name = "DB", add = completion::databases())]
    db: String,

    /// The document's id.
    #[arg(value_name = "DOC", add = completion::documents())]
    doc: String,

    /// Print this revision.
    ///
    /// It may be a deleted or conflicting revision, provided that its body is in the archive.
    #[arg(long, value_name = "REV")]
    rev: Option<String>,

    /// Add the ancestors of the revision (_revisions) and their state (_revs_info).
    #[arg(long, conflicts_with = "attachment")]
    revs: bool,

    /// Add the revisions in conflict with this revision (_conflicts, _deleted_conflicts).
    #[arg(long, conflicts_with = "attachment")]
    conflicts: bool,

    /// Add the content of attachments as Base64.
    #[arg(long, conflicts_with = "attachment")]
    attachments: bool,

    /// Print the content of this attachment instead of the document.
    #[arg(long, value_name = "NAME", add = completion::attachments())]
    attachment: Option<String>,

    #[command(flatten)]
    moment: MomentFlags,
}

impl Get {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let (archive, at) = self.moment.of(session.place(&self.archive)?)?;
        let options = GetOptions {
            at,
            rev: self.rev.clone(),
            revs: self.revs,
            conflicts: self.conflicts,
            attachments: self.attachments,
            attachment: self.attachment.clone(),
            pretty: !session.json() && stdout().is_terminal(),
        };
        let (threads, reporter) = (session.threads(), session.reporter());
        session.stream(|out| documents::get(&archive, &self.db, &self.doc, &options, threads, reporter, out))
    }
}
