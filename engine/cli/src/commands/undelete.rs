//! `couchcopy undelete`.

use std::collections::BTreeMap;

use clap::Args;
use inspect::history::{Change, Difference, Side, differences};
use outcome::{Code, Failure, Result, printable};
use restore::databases::parse_database;
use restore::databases::rewind::{Choice, Expected, RewindOptions};
use snapshot::Moment;
use store::{Location, Place};

use super::restore::rewind::carry_out;
use crate::cluster::with_credentials;
use crate::completion;
use crate::exit::Outcome;
use crate::flags::access::AccessFlags;
use crate::flags::http::HttpFlags;
use crate::flags::moment::MomentFlags;
use crate::flags::store::location;
use crate::session::Session;

/// The most documents that are taken between two moments.
const MOST: usize = 1_000_000;

/// List what was deleted or changed between two moments, and bring chosen documents back.
///
/// Documents are brought back by ordinary edits on top of what they are now.
#[derive(Debug, Args)]
#[command(
    override_usage = "couchcopy undelete [OPTIONS] BACKUP DB\n       \
        couchcopy undelete [OPTIONS] BACKUP DB[=NAME] NODE",
    after_long_help = "Without NODE, undelete lists the documents that differ between the moment of --at-seq or --at and the moment of \
    --until-seq or --until (without them: the backup as it was saved).\n\n\
    With NODE, undelete compares the first moment with the database in the cluster, and brings the chosen documents back: --doc, \
    --prefix or --all. With --until-seq or --until, only documents that differ between the two moments are taken, and documents that \
    were changed after the second moment stay as they are.\n\n\
    NODE is any one node of the cluster, written as [http[s]://][user:password@]HOST[:port].\n\n\
    Examples:\n  \
    couchcopy undelete /mnt/backups shop --at 2026-11-27T18:00\n  \
    couchcopy undelete backup.tar.gz shop --all --dry-run \\\n    admin:password@localhost:5984\n  \
    couchcopy undelete backup.tar.gz shop --at-seq 1041 --doc order-7 \\\n    admin:password@localhost:5984"
)]
pub(crate) struct Undelete {
    /// The archive, or the repository.
    #[arg(value_name = "BACKUP", value_parser = location())]
    archive: Location,

    /// The database in the backup, and its name in the cluster if it has another one.
    #[arg(value_name = "DB", add = completion::databases())]
    db: String,

    /// The node through which documents are brought back.
    #[arg(value_name = "NODE")]
    node: Option<String>,

    #[command(flatten)]
    moment: MomentFlags,

    /// The sequence of the second moment. Can be repeated, once for each shard.
    #[arg(long, value_name = "SEQ", conflicts_with = "until")]
    until_seq: Vec<String>,

    /// The time of the second moment.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// Bring this document back. Can be repeated.
    #[arg(long = "doc", value_name = "ID", conflicts_with_all = ["prefix", "all"])]
    docs: Vec<String>,

    /// Only documents whose ids begin with TEXT.
    #[arg(long, value_name = "TEXT", conflicts_with = "all")]
    prefix: Option<String>,

    /// Bring all documents back that were deleted.
    #[arg(long)]
    all: bool,

    /// Also bring documents back that were changed. --doc always does.
    #[arg(long)]
    changed: bool,

    /// Show what would be done, without doing it.
    #[arg(long, requires = "node")]
    dry_run: bool,

    /// Continue without confirmation.
    #[arg(short, long)]
    yes: bool,

    #[command(flatten)]
    access: AccessFlags,

    #[command(flatten)]
    http: HttpFlags,
}

impl Undelete {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let place = session.place_of_cluster(&self.archive, self.access.cluster.as_deref())?;
        let (backup, at) = self.moment.of(place.clone())?;
        let until = MomentFlags { at_seq: self.until_seq.clone(), at: self.until.clone() };
        let has_until = !self.until_seq.is_empty() || self.until.is_some();
        let later = until.of(place)?;
        let has_node = self.node.is_some() || self.access.cluster.is_some();
        if !has_node {
            return self.list(&backup, at, &later, session);
        }
        let names = parse_database(&self.db)?;
        let choice = self.choice(&names.from, (&backup, &at), has_until.then_some(&later), session)?;
        let options = RewindOptions {
            backup,
            at,
            from: names.from,
            database: names.to,
            choice,
            changed: self.changed || !self.docs.is_empty(),
            exact: false,
            resolve_conflicts: false,
            threads: session.threads(),
        };
        let names: Vec<String> = self.node.iter().cloned().collect();
        let sites = with_credentials(&names, &self.access, &self.http, session)?;
        let site = super::restore::first_node(&sites)?;
        // The plugins have to live as long as a tunnel through them.
        let plugins = self.access.grants.plugins(session)?;
        let http = plugins.http(site, self.http.tunnel())?;
        Ok(Outcome::of(carry_out(&options, &http, self.dry_run, self.yes, session)?))
    }

    /// Lists the differences between two moments of the backup.
    fn list(
        &self,
        backup: &Place,
        at: Option<Moment>,
        later: &(Place, Option<Moment>),
        session: &Session,
    ) -> Result<Outcome> {
        if at.is_none() && self.moment.at.is_none() {
            return Err(Failure::refused(
                Code::new("CC-X29"),
                "neither a node nor an earlier moment is named, so there is nothing to compare the backup with",
                "Add --at-seq SEQ or --at TIME to list what was deleted or changed since then, or a node of the cluster. `couchcopy \
                 history BACKUP DB` lists the sequences.",
            ));
        }
        let (then, later) = (Side { place: backup, at }, Side { place: &later.0, at: later.1.clone() });
        let (threads, reporter) = (session.threads(), session.reporter());
        let prefix = self.prefix.as_deref().unwrap_or_default();
        let mut damaged = 0;
        session.stream(|out| {
            damaged = differences(&then, &later, &self.db, prefix, threads, reporter, |difference| {
                if !self.docs.is_empty() && !self.docs.contains(&difference.id) {
                    return Ok(());
                }
                let line = if session.json() {
                    serde_json::to_string(&difference).map_err(|e| Failure::bug(e.to_string()))?
                } else {
                    text(&difference)
                };
                writeln!(out, "{line}").map_err(|e| Failure::io("write to", "standard output", e))
            })?;
            Ok(())
        })?;
        Ok(Outcome::of(damaged == 0))
    }

    /// Which documents are brought back.
    fn choice(
        &self,
        db: &str,
        then: (&Place, &Option<Moment>),
        later: Option<&(Place, Option<Moment>)>,
        session: &Session,
    ) -> Result<Choice> {
        if self.docs.is_empty() && self.prefix.is_none() && !self.all && !self.dry_run {
            return Err(Failure::refused(
                Code::new("CC-X30"),
                "no documents are chosen",
                "Add --doc ID, --prefix TEXT or --all. --dry-run shows what --all would do.",
            ));
        }
        let prefix = self.prefix.as_deref().unwrap_or_default();
        let Some((place, at)) = later else {
            return Ok(if self.docs.is_empty() {
                Choice::Prefix(prefix.to_owned())
            } else {
                Choice::These(self.docs.iter().map(|id| (id.clone(), None)).collect())
            });
        };
        let mut chosen = BTreeMap::new();
        let (then, later) = (Side { place: then.0, at: then.1.clone() }, Side { place, at: at.clone() });
        let (threads, reporter) = (session.threads(), session.reporter());
        differences(
            &then,
            &later,
            db,
            prefix,
            threads,
            reporter,
            |Difference { id, was, later, .. }| {
                let is_wanted = match was {
                    Change::New => false,
                    Change::Changed => self.changed || self.docs.contains(&id),
                    Change::Deleted | Change::Gone => true,
                };
                if is_wanted && (self.docs.is_empty() || self.docs.contains(&id)) {
                    chosen.insert(id, Some(Expected { rev: later }));
                }
                if chosen.len() > MOST {
                    return Err(Failure::refused(
                        Code::new("CC-H15"),
                        format!("more than {MOST} documents differ between the two moments"),
                        "Omit --until and --until-seq, or choose documents with --prefix.",
                    ));
                }
                Ok(())
            },
        )?;
        Ok(Choice::These(chosen))
    }
}

fn text(difference: &Difference) -> String {
    let word = match difference.was {
        Change::Changed => "changed",
        Change::Deleted => "deleted",
        Change::Gone => "purged",
        Change::New => "new",
    };
    let rev = |rev: &Option<String>| rev.as_deref().map_or_else(|| "-".to_owned(), printable);
    format!(
        "{word:<8}  {}  {} to {}",
        printable(&difference.id),
        rev(&difference.then),
        rev(&difference.later)
    )
}
