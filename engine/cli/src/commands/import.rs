//! `couchcopy import`.

use std::path::PathBuf;

use clap::Args;
use outcome::{Code, Failure, Result};
use restore::Ranges;
use restore::databases::{DatabasesOptions, parse_database};
use restore::placement::Places;
use store::Place;

use super::restore::{Consent, Way, restore_over_http};
use crate::exit::Outcome;
use crate::flags::access::AccessFlags;
use crate::flags::http::HttpFlags;
use crate::session::Session;

/// Bring a single .couch file into a running cluster, as a new database.
///
/// The file can be a database of CouchDB 0.10 to 1.7, or a shard of a newer CouchDB, whose documents are then a part of its database.
#[derive(Debug, Args)]
#[command(
    after_long_help = "couchcopy sends the documents over HTTP, with their revisions, conflicts, deletions and attachments, and \
    compares the database with the file in the end. Nothing is stopped, and the file is only read. If interrupted, run the same command \
    again to resume.\n\n\
    NODE is any one node of the cluster, written as [http[s]://][user:password@]HOST[:port].\n\n\
    Examples:\n  \
    couchcopy import /var/lib/couchdb/events.couch events \\\n    admin:password@localhost:5984\n  \
    couchcopy import --q 8 old/shop.couch shop-2014 \\\n    https://admin@db1.example.com:6984\n  \
    couchcopy restore --db events --selector '{\"year\": 2014}' \\\n    events.couch admin@localhost:5984"
)]
pub(crate) struct Import {
    /// The file. Its name ends with .couch.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The name of the database in the cluster.
    #[arg(value_name = "DB")]
    db: String,

    /// The node through which documents are written.
    #[arg(value_name = "NODE")]
    node: String,

    /// Number of ranges of a new database. The default is 2.
    #[arg(long = "q", value_name = "N")]
    ranges: Option<String>,

    /// Copies of each range of a new database. The default is what the cluster's placement in zones makes, or else 1.
    #[arg(long, visible_alias = "n", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    copies: Option<u16>,

    /// Which zones get how many copies of a new database, such as z1:2,z2:1. The default is the cluster's placement.
    #[arg(long, value_name = "ZONES")]
    place: Option<String>,

    /// Add the documents to a database that already contains documents.
    #[arg(long)]
    merge: bool,

    /// Send local documents, too.
    #[arg(long)]
    local: bool,

    /// Check the file and the cluster, and show what would be done.
    #[arg(long)]
    dry_run: bool,

    /// Continue without confirmation.
    #[arg(short, long)]
    yes: bool,

    #[command(flatten)]
    access: AccessFlags,

    #[command(flatten)]
    http: HttpFlags,
}

impl Import {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let Some(from) = contents::database_of_file(&self.file) else {
            return Err(Failure::refused(
                Code::new("CC-X33"),
                format!("{} is not the path of a .couch file", self.file.display()),
                "Give a file whose name ends with .couch. `couchcopy restore --db` restores databases of an archive.",
            ));
        };
        let mut names = parse_database(&self.db)?;
        names.from = from;
        let options = DatabasesOptions {
            archive: Place::from(self.file.as_path()),
            databases: vec![names],
            at: None,
            copies: self.copies.map(usize::from),
            ranges: Ranges::parse(self.ranges.as_slice())?,
            places: Places::parse(self.place.as_slice())?,
            merge: self.merge,
            local: self.local,
            filter: None,
            threads: session.threads(),
        };
        let node = [self.node.clone()];
        let way = Way { names: &node, access: &self.access, http: &self.http };
        restore_over_http(&options, &way, Consent { dry_run: self.dry_run, yes: self.yes }, session)
    }
}
