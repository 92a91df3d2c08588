//! `couchcopy history`.

use clap::Args;
use inspect::history::{self, HistoryOptions};
use outcome::{Code, Failure, Result};
use store::{Location, Place};

use crate::completion;
use crate::exit::Outcome;
use crate::flags::store::location;
use crate::session::Session;

/// List the older states of a database, or the revisions of a document that can still be read.
///
/// CouchDB only appends to its files, so a file holds the older states of its database, as far back as the last compaction.
#[derive(Debug, Args)]
#[command(
    override_usage = "couchcopy history [OPTIONS] BACKUP DB [DOC]\n       \
        couchcopy history [OPTIONS] FILE.couch [DOC]",
    after_long_help = "Each line is a state: the sequence of the database's last change, its numbers of documents, and the offset of its \
    header in the file. `get`, `dump`, `ls`, `serve` and `restore --db` read a state with `--at-seq SEQUENCE`. Each shard numbers its \
    own changes.\n\n\
    With DOC, each line is a revision of the document that can be read, with the states in which it was first and last seen. \
    `get --rev REVISION` reads it, also from older states.\n\n\
    Of a repository, all backups are searched. Name one backup with REPO::ID.\n\n\
    Examples:\n  \
    couchcopy history backup.tar.gz shop\n  \
    couchcopy history backup.tar.gz shop order-7\n  \
    couchcopy get backup.tar.gz shop order-7 --at-seq 1041\n  \
    couchcopy history /mnt/backups shop order-7"
)]
pub(crate) struct History {
    /// The archive, the repository, or a `.couch` file.
    #[arg(value_name = "BACKUP", value_parser = location())]
    archive: Location,

    /// The database, then a document. For a `.couch` file, the document.
    #[arg(value_names = ["DB", "DOC"], num_args = 0..=2, add = completion::databases())]
    names: Vec<String>,

    /// List at most N states of each file, the newest ones.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

impl History {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let place = session.place(&self.archive)?;
        let (db, document) = self.names(&place)?;
        let (threads, reporter) = (session.threads(), session.reporter());
        let mut damaged = 0;
        session.stream(|out| {
            damaged = if let Some(id) = document {
                history::document_history(&place, db, id, session.json(), threads, reporter, out)?.damaged
            } else {
                let options = HistoryOptions { limit: self.limit, json: session.json() };
                history::database_history(&place, db, &options, threads, reporter, out)?
            };
            Ok(())
        })?;
        Ok(Outcome::of(damaged == 0))
    }

    /// The database, unless the place is the file of one, and the document.
    fn names(&self, place: &Place) -> Result<(Option<&str>, Option<&str>)> {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        match (is_couch_file(place), names.as_slice()) {
            (true, []) => Ok((None, None)),
            (true, [document]) => Ok((None, Some(document))),
            (false, [db]) => Ok((Some(db), None)),
            (false, [db, document]) => Ok((Some(db), Some(document))),
            (is_file, _) => Err(Failure::refused(
                Code::new("CC-X26"),
                if is_file {
                    format!("{place} is the file of one database, but a database and a document are named")
                } else {
                    format!("no database of {place} is named")
                },
                "Run `couchcopy history BACKUP DB [DOC]`, or `couchcopy history FILE.couch [DOC]`.",
            )),
        }
    }
}

/// Whether a place is a database file by its name.
fn is_couch_file(place: &Place) -> bool {
    place.path().is_some_and(|path| path.is_file() && path.extension().is_some_and(|name| name == "couch"))
}
