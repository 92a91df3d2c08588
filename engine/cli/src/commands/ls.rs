//! `couchcopy ls`.

use std::io::{IsTerminal, stdout};

use clap::Args;
use contents::Contents;
use inspect::documents::{self, ListOptions, ListStyle};
use inspect::overview::{self, DatabaseListing};
use outcome::{Code, Failure, Result};
use store::Location;

use crate::completion;
use crate::exit::Outcome;
use crate::flags::moment::MomentFlags;
use crate::flags::store::location;
use crate::session::Session;
use crate::text::listing;

/// List the databases of an archive, or the documents of a database.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    couchcopy ls backup.tar.gz\n  \
    couchcopy ls backup.tar.gz orders --prefix 2026-11-\n  \
    couchcopy ls backup.tar.gz orders --shards")]
pub(crate) struct Ls {
    /// The archive.
    #[arg(value_name = "ARCHIVE", value_parser = location())]
    archive: Location,

    /// The database whose documents are listed.
    ///
    /// Each document is listed with its size in bytes (body as JSON, and attachments), the number of revisions in conflict with
    /// the revision that CouchDB shows, and that revision.
    #[arg(value_name = "DB", add = completion::databases())]
    db: Option<String>,

    /// List only documents whose ids begin with TEXT.
    #[arg(long, value_name = "TEXT", requires = "db", conflicts_with = "shards", default_value = "")]
    prefix: String,

    /// List deleted documents, too.
    #[arg(long, requires = "db", conflicts_with = "shards")]
    deleted: bool,

    /// List at most N documents.
    #[arg(long, value_name = "N", requires = "db", conflicts_with = "shards")]
    limit: Option<u64>,

    /// List only the ids of documents, one per line.
    #[arg(long, requires = "db", conflicts_with_all = ["shards", "json"])]
    ids: bool,

    /// List the database's shards instead of its documents: range, file in the archive, counts, view indexes.
    #[arg(long, requires = "db")]
    shards: bool,

    #[command(flatten)]
    moment: MomentFlags,
}

impl Ls {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        self.moment.only_with_database(self.db.is_some() && !self.shards)?;
        match &self.db {
            None => {
                let databases = self.databases(None, session)?;
                session.answer(&databases, |databases| listing::databases(databases));
            }
            Some(db) if self.shards => {
                let databases = self.databases(Some(db), session)?;
                let database = databases.first().ok_or_else(|| {
                    Failure::refused(
                        Code::new("CC-C08"),
                        format!("{} holds no database {db}", self.archive),
                        "`couchcopy ls ARCHIVE` lists the databases of an archive.",
                    )
                })?;
                session.answer(database, listing::shards);
            }
            Some(db) => return self.documents(db, session),
        }
        Ok(Outcome::Done)
    }

    fn databases(&self, only: Option<&str>, session: &Session) -> Result<Vec<DatabaseListing>> {
        let contents = Contents::open(&session.place(&self.archive)?, session.threads(), session.reporter())?;
        overview::databases(&contents, only)
    }

    fn documents(&self, db: &str, session: &Session) -> Result<Outcome> {
        let (archive, at) = self.moment.of(session.place(&self.archive)?)?;
        let options = ListOptions {
            at,
            prefix: self.prefix.clone(),
            deleted: self.deleted,
            limit: self.limit,
            style: match (session.json(), self.ids) {
                (true, _) => ListStyle::Json,
                (false, true) if stdout().is_terminal() => ListStyle::ShownIds,
                (false, true) => ListStyle::Ids,
                (false, false) => ListStyle::Text,
            },
        };
        let (threads, reporter) = (session.threads(), session.reporter());
        session.stream(|out| documents::list(&archive, db, &options, threads, reporter, out))
    }
}
