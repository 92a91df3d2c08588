//! What the commands take that look into an archive.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use inspect::documents::DumpFormat;

use crate::completion;

/// List an archive's databases, or the documents of one.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  couchcopy ls backup.tar.gz\n  couchcopy ls backup.tar.gz orders --prefix 2026-11-\n  \
    couchcopy ls backup.tar.gz orders --shards"
)]
pub(crate) struct Ls {
    /// The archive.
    #[arg(value_name = "ARCHIVE")]
    pub(crate) archive: PathBuf,

    /// A database: its documents are listed, each with its size in bytes (body as JSON and attachments), the number of
    /// revisions in conflict with the one shown, and that revision.
    #[arg(value_name = "DB", add = completion::databases())]
    pub(crate) db: Option<String>,

    /// Only documents whose ids begin with this.
    #[arg(long, value_name = "TEXT", requires = "db", conflicts_with = "shards", default_value = "")]
    pub(crate) prefix: String,

    /// Deleted documents, too.
    #[arg(long, requires = "db", conflicts_with = "shards")]
    pub(crate) deleted: bool,

    /// At most so many documents.
    #[arg(long, value_name = "N", requires = "db", conflicts_with = "shards")]
    pub(crate) limit: Option<u64>,

    /// Only the documents' ids, one a line.
    #[arg(long, requires = "db", conflicts_with_all = ["shards", "json"])]
    pub(crate) ids: bool,

    /// The database's shards instead of its documents: range, file in the archive, counts, view indexes.
    #[arg(long, requires = "db")]
    pub(crate) shards: bool,
}

/// Print one document of an archive, or one of its attachments.
#[derive(Debug, Args)]
#[command(
    after_help = "Without --rev it is the revision that CouchDB shows. A document of another kind is named as \
    in CouchDB: _design/NAME, _local/NAME.\n\nExamples:\n  couchcopy get backup.tar.gz orders 2026-11-22-0001\n  \
    couchcopy get backup.tar.gz orders 2026-11-22-0001 --revs --conflicts\n  couchcopy get backup.tar.gz orders \
    2026-11-22-0001 --attachment invoice.pdf > invoice.pdf"
)]
pub(crate) struct Get {
    /// The archive.
    #[arg(value_name = "ARCHIVE")]
    pub(crate) archive: PathBuf,

    /// The database.
    #[arg(value_name = "DB", add = completion::databases())]
    pub(crate) db: String,

    /// The document's id.
    #[arg(value_name = "DOC", add = completion::documents())]
    pub(crate) doc: String,

    /// A revision, a deleted or conflicting one too, as far as its body is in the archive.
    #[arg(long, value_name = "REV")]
    pub(crate) rev: Option<String>,

    /// Also the revision's ancestors (_revisions) and what is left of them (_revs_info).
    #[arg(long, conflicts_with = "attachment")]
    pub(crate) revs: bool,

    /// Also the revisions in conflict with it (_conflicts, _deleted_conflicts).
    #[arg(long, conflicts_with = "attachment")]
    pub(crate) conflicts: bool,

    /// Attachments with their content, as Base64.
    #[arg(long, conflicts_with = "attachment")]
    pub(crate) attachments: bool,

    /// This attachment's content instead of the document.
    #[arg(long, value_name = "NAME", add = completion::attachments())]
    pub(crate) attachment: Option<String>,
}

/// Print all documents of a database in an archive, one JSON document a line.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  couchcopy dump backup.tar.gz orders > orders.jsonl\n  couchcopy dump backup.tar.gz orders \
    --format couchbackup --attachments --conflicts --deleted | couchrestore --attachments --db orders"
)]
pub(crate) struct Dump {
    /// The archive.
    #[arg(value_name = "ARCHIVE")]
    pub(crate) archive: PathBuf,

    /// The database.
    #[arg(value_name = "DB", add = completion::databases())]
    pub(crate) db: String,

    /// Attachments with their content, as Base64.
    #[arg(long)]
    pub(crate) attachments: bool,

    /// Every revision in conflict on a line of its own, after the one that CouchDB shows.
    #[arg(long)]
    pub(crate) conflicts: bool,

    /// Deleted documents, too; with --conflicts also deleted leaves.
    #[arg(long)]
    pub(crate) deleted: bool,

    /// Local documents, too, in the end; not those that CouchDB keeps for itself.
    #[arg(long)]
    pub(crate) local: bool,

    /// With the documents' ancestors (_revisions).
    #[arg(long)]
    pub(crate) revs: bool,

    /// One document a line, or what couchrestore of @cloudant/couchbackup reads.
    #[arg(long, value_enum, default_value_t = Format::Lines, value_name = "FORMAT")]
    pub(crate) format: Format,
}

/// How a dump looks.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// One JSON document a line.
    Lines,
    /// Batches with ancestry, for couchrestore.
    Couchbackup,
}

impl From<Format> for DumpFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Lines => Self::Lines,
            Format::Couchbackup => Self::Couchbackup,
        }
    }
}

/// Print what makes a shell complete commands, options, and names of databases and documents in archives.
#[derive(Debug, Args)]
#[command(
    after_help = "For bash, put this into ~/.bashrc:\n  source <(couchcopy completions bash)\nFor fish, into \
    ~/.config/fish/completions/couchcopy.fish:\n  couchcopy completions fish | source"
)]
pub(crate) struct Completions {
    /// bash, zsh, fish, elvish or powershell.
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}
