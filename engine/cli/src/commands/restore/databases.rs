//! Restores of single databases into a running cluster (`--db`).

use std::fmt::Write as _;

use filter::All;
use outcome::{Code, Failure, Result, printable};
use restore::Ranges;
use restore::databases::{
    DatabaseDescription, DatabaseResult, DatabasesDescription, DatabasesOptions, DatabasesResult,
    FoundDescription, PlannedDatabases, SecurityResult, parse_database,
};
use site::SiteNode;
use store::Location;

use super::Restore;
use crate::cluster::with_credentials;
use crate::exit::Outcome;
use crate::flags::access::AccessFlags;
use crate::flags::http::HttpFlags;
use crate::session::Session;
use crate::text::sizes::{bytes, count};

/// Refused revisions that are printed as text; `--json` lists more.
const REFUSED_SHOWN: usize = 20;

impl Restore {
    /// Restores the databases that `--db` names.
    pub(super) fn restore_databases(
        &self,
        archive: &Location,
        names: &[String],
        session: &Session,
    ) -> Result<Outcome> {
        let place = session.place_of_cluster(archive, self.access.cluster.as_deref())?;
        let (place, at) = self.databases.moment.of(place)?;
        let options = DatabasesOptions {
            archive: place,
            at,
            databases: self.databases.db.iter().map(|text| parse_database(text)).collect::<Result<_>>()?,
            copies: self.data.copies.map(usize::from),
            ranges: Ranges::parse(&self.data.ranges)?,
            places: self.placement.places()?,
            merge: self.databases.merge,
            local: self.databases.local,
            filter: All::of(
                [self.databases.chosen.filter()?, self.transformation(session)?.shared()]
                    .into_iter()
                    .flatten()
                    .collect(),
            ),
            threads: session.threads(),
        };
        let way = Way { names, access: &self.access, http: &self.http };
        let consent = Consent { dry_run: self.mode.dry_run, yes: self.mode.yes };
        restore_over_http(&options, &way, consent, session)
    }
}

/// The node through which databases are written, and how it is reached.
pub(in crate::commands) struct Way<'w> {
    pub(in crate::commands) names: &'w [String],
    pub(in crate::commands) access: &'w AccessFlags,
    pub(in crate::commands) http: &'w HttpFlags,
}

/// Whether to write, and whether to ask before.
#[derive(Clone, Copy)]
pub(in crate::commands) struct Consent {
    pub(in crate::commands) dry_run: bool,
    pub(in crate::commands) yes: bool,
}

/// Plans a restore of databases, shows the plan or carries it out, and prints what came of it.
pub(in crate::commands) fn restore_over_http(
    options: &DatabasesOptions,
    way: &Way<'_>,
    consent: Consent,
    session: &Session,
) -> Result<Outcome> {
    let sites = with_credentials(way.names, way.access, way.http, session)?;
    let site = first(&sites)?;
    // The plugins have to live as long as a tunnel through them.
    let plugins = way.access.grants.plugins(session)?;
    let http = plugins.http(site, way.http.tunnel())?;
    let interrupted = session.interruptible()?;
    let planned = PlannedDatabases::make(options, &http, session.reporter())?;
    let plan = planned.describe(&http);
    if consent.dry_run {
        session.answer(&plan, plan_text);
        return Ok(Outcome::Done);
    }
    if planned.merges() {
        session.confirm(consent.yes, &plan_text(&plan))?;
    }
    let result = planned.carry_out(&http, interrupted, session.reporter())?;
    session.summary(&result, result_text);
    Ok(Outcome::of(result.is_complete()))
}

/// The node through which databases are written.
pub(in crate::commands) fn first(sites: &[SiteNode]) -> Result<&SiteNode> {
    sites.first().ok_or_else(|| {
        Failure::refused(Code::new("CC-X04"), "no node is named", "Put a node into the --cluster file.")
    })
}

fn names(from: &str, to: &str) -> String {
    if from == to { to.to_owned() } else { format!("{from} as {to}") }
}

fn plan_text(plan: &DatabasesDescription) -> String {
    let mut text = format!(
        "{}{}, into the cluster at {}:\n",
        plan.archive,
        plan.made.as_ref().map_or_else(String::new, |made| format!(" of {made}")),
        plan.url
    );
    for database in &plan.databases {
        let DatabaseDescription { from, to, documents, deleted, q, n, partitioned, .. } = database;
        let _ = write!(
            text,
            "  {}: {} and {}, ",
            names(from, to),
            count(*documents, "document", "documents"),
            count(*deleted, "deleted document", "deleted documents")
        );
        let _ = match database.found {
            FoundDescription::Nothing => writeln!(
                text,
                "into a new database of {}, {} of each{}{}",
                count(*q as u64, "range", "ranges"),
                count(*n as u64, "copy", "copies"),
                database.zones.as_ref().map_or_else(String::new, |zones| format!(" (placed in {zones})")),
                if *partitioned { ", partitioned" } else { "" }
            ),
            FoundDescription::Empty => writeln!(text, "into the existing empty database"),
            FoundDescription::Unfinished => writeln!(text, "only those that are still missing"),
            FoundDescription::Documents => {
                writeln!(text, "ADDED to the documents that are there; the revisions of both sides stay")
            }
        };
        for warning in &database.warnings {
            let _ = writeln!(text, "    warning: {warning}");
        }
    }
    if let Some(meaning) = &plan.meaning {
        let _ = writeln!(text, "{meaning}");
    }
    text
}

fn result_text(result: &DatabasesResult) -> String {
    result.databases.iter().map(|database| database_text(database, &result.url)).collect()
}

fn database_text(database: &DatabaseResult, url: &str) -> String {
    let how = match database.found {
        FoundDescription::Nothing | FoundDescription::Empty => "restored",
        FoundDescription::Unfinished => "completed",
        FoundDescription::Documents => "added",
    };
    let is_all = database.finished && database.refused_revisions == 0;
    let mut text = format!(
        "{} {how}: {}, {} sent ({}) in {:.1} s; {}\n",
        names(&database.from, &database.to),
        count(database.documents, "document", "documents"),
        count(database.revisions, "revision", "revisions"),
        bytes(database.bytes),
        database.seconds,
        if is_all { "nothing is missing" } else { "DOCUMENTS ARE MISSING" }
    );
    if database.left_out > 0 {
        let n = count(database.left_out, "revision", "revisions");
        let _ = writeln!(text, "  Not chosen, and not restored: {n}");
    }
    if !database.finished {
        text.push_str("  INTERRUPTED: run the same command again to resume.\n");
    }
    if database.local > 0 {
        let _ = writeln!(text, "  {}", count(database.local, "local document", "local documents"));
    }
    if database.refused_revisions > 0 {
        let n = count(database.refused_revisions, "revision", "revisions");
        let _ = writeln!(text, "  NOT RESTORED: {n}. Fix the cause, then run the same command again.");
        for refused in database.refused.iter().take(REFUSED_SHOWN) {
            let _ = writeln!(
                text,
                "    {} {}: {}",
                printable(&refused.id),
                printable(&refused.rev),
                printable(&refused.reason)
            );
        }
        let more = database.refused_revisions.saturating_sub(REFUSED_SHOWN as u64);
        if more > 0 && database.refused.len() > REFUSED_SHOWN {
            let _ = writeln!(text, "    … and {more} more");
        }
    }
    security_text(&mut text, database, url);
    text
}

fn security_text(text: &mut String, database: &DatabaseResult, url: &str) {
    let path = percent_encoding::utf8_percent_encode(&database.to, percent_encoding::NON_ALPHANUMERIC);
    let _ = match &database.security {
        SecurityResult::Closed { archive } => writeln!(
            text,
            "  CLOSED: only server admins may use this database. It holds users with the hashes of their passwords, which the \
             archive's security object {} would expose to others. To set a security object: curl -u ADMIN -X PUT '{url}/{path}/_security' \
             -d '{{\"admins\":{{\"names\":[]}},\"members\":{{\"names\":[\"NAME\"]}}}}'",
            printable(archive)
        ),
        SecurityResult::NotSet { archive, found, reason } => writeln!(
            text,
            "  NOT SET: the security object. CouchDB answered: {}. The archive has {}, the database has {}. To restore it, set \
             users_db_security_editable on every node (curl -u ADMIN -X PUT \
             '{url}/_node/_local/_config/couchdb/users_db_security_editable' -d '\"true\"') and run the same command again.",
            printable(reason).trim_end_matches('.'),
            printable(archive),
            printable(found)
        ),
        SecurityResult::Restored | SecurityResult::Kept | SecurityResult::Unfinished => Ok(()),
    };
}
