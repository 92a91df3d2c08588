//! Carries out `couchcopy restore --db`.

use std::fmt::Write as _;
use std::sync::Arc;

use outcome::{Code, Failure, Result};
use plugin_host::printable;
use restore::databases::{
    DatabaseDescription, DatabaseResult, DatabasesDescription, DatabasesOptions, DatabasesResult,
    FoundDescription, PlannedDatabases, SecurityResult, parse_database,
};

use crate::cluster::{nodes_with_credentials, sandbox, tunnel};
use crate::exit::Outcome;
use crate::interrupt;
use crate::output::{Output, bytes, count};
use crate::progress::Terminal;
use crate::restore_arguments::Restore;
use crate::restore_commands::agreed;

/// Refused revisions printed as text; `--json` has more.
const REFUSED_SHOWN: usize = 20;

/// Brings single databases back into a running cluster.
pub(crate) fn restore_databases(
    command: &Restore,
    threads: usize,
    output: &Output,
    reporter: &Arc<Terminal>,
) -> Result<Outcome> {
    let Some((archive, names)) = command.arguments.split_first() else {
        return Err(Failure::refused(
            Code::new("CC-X05"),
            "no archive is named",
            "Give the archive, then one node.",
        ));
    };
    if names.len() > 1 || names.is_empty() && command.plugins.cluster.is_none() {
        return Err(Failure::refused(
            Code::new("CC-X11"),
            format!("--db takes one node, and {} are named", names.len()),
            "Give the archive, then any one node of the cluster; it tells the others. For example: couchcopy restore --db \
             shop backup.tar.gz admin:password@localhost:5984",
        ));
    }
    let options = DatabasesOptions {
        archive: archive.into(),
        databases: command.databases.db.iter().map(|text| parse_database(text)).collect::<Result<_>>()?,
        copies: command.n.map(usize::from),
        merge: command.databases.merge,
        local: command.databases.local,
        threads,
    };
    let sites = nodes_with_credentials(names, &command.plugins, &command.http, output)?;
    let Some(site) = sites.first() else {
        return Err(Failure::refused(
            Code::new("CC-X04"),
            "no node is named",
            "The --cluster file has to name one.",
        ));
    };
    // The plugins have to live as long as a tunnel through them.
    let plugins = sandbox(Some(&command.plugins.grants), output, reporter)?;
    let http = plugins.http(site, tunnel(&command.http))?;
    let interrupted = interrupt::flag()?;
    let told = reporter.as_ref();
    let planned = PlannedDatabases::make(&options, &http, told)?;
    let description = planned.describe(&http);
    if command.dry_run {
        reporter.end();
        output.print(&description, description_text);
        return Ok(Outcome::Done);
    }
    if planned.merges() {
        agreed(command.yes, output, reporter, &description_text(&description))?;
    }
    let result = planned.carry_out(&http, interrupted, told)?;
    reporter.end();
    if !reporter.is_quiet() {
        output.print(&result, result_text);
    }
    Ok(Outcome::of(result.is_complete()))
}

fn names(from: &str, to: &str) -> String {
    if from == to { to.to_owned() } else { format!("{from} as {to}") }
}

fn description_text(plan: &DatabasesDescription) -> String {
    let mut text = format!(
        "{}{}, into the cluster at {}:\n",
        plan.archive.display(),
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
            count(*deleted, "deleted one", "deleted ones")
        );
        let _ = match database.found {
            FoundDescription::Nothing => writeln!(
                text,
                "into a new database of {}, {} of each{}",
                count(*q as u64, "range", "ranges"),
                count(*n as u64, "copy", "copies"),
                if *partitioned { ", partitioned" } else { "" }
            ),
            FoundDescription::Empty => writeln!(text, "into the empty database that is there"),
            FoundDescription::Unfinished => writeln!(text, "as far as they are not there yet"),
            FoundDescription::Documents => {
                writeln!(text, "ADDED to the documents that are there; both sides' revisions stay")
            }
        };
        for warning in &database.warnings {
            let _ = writeln!(text, "    warning: {warning}");
        }
    }
    text
}

fn result_text(result: &DatabasesResult) -> String {
    result.databases.iter().map(|database| database_text(database, &result.url)).collect()
}

fn database_text(database: &DatabaseResult, url: &str) -> String {
    let how = match database.found {
        FoundDescription::Nothing | FoundDescription::Empty => "restored",
        FoundDescription::Unfinished => "restored to its end",
        FoundDescription::Documents => "added",
    };
    let is_all = database.finished && database.refused_revisions == 0;
    let mut text = format!(
        "{} {how}: {}, {} sent ({}) in {:.1} s; {} there\n",
        names(&database.from, &database.to),
        count(database.documents, "document", "documents"),
        count(database.revisions, "revision", "revisions"),
        bytes(database.bytes),
        database.seconds,
        if is_all { "all of them are" } else { "NOT ALL are" }
    );
    if !database.finished {
        text.push_str("  INTERRUPTED: give the same command again, and it goes on.\n");
    }
    if database.local > 0 {
        let _ = writeln!(text, "  {}", count(database.local, "local document", "local documents"));
    }
    if database.refused_revisions > 0 {
        let n = count(database.refused_revisions, "revision", "revisions");
        let _ = writeln!(text, "  NOT RESTORED: {n}. When the reason is gone, give the same command again.");
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
            "  CLOSED: only server admins may use it. It holds users with the hashes of their passwords, which the archive's \
             security object {} would show to others. To give it a security object: curl -u ADMIN -X PUT '{url}/{path}/_security' \
             -d '{{\"admins\":{{\"names\":[]}},\"members\":{{\"names\":[\"NAME\"]}}}}'",
            printable(archive)
        ),
        SecurityResult::NotSet { archive, found, reason } => writeln!(
            text,
            "  NOT SET: the security object. CouchDB answered: {}. The archive has {}, the database has {}. To restore it, set \
             users_db_security_editable on every node (curl -u ADMIN -X PUT \
             '{url}/_node/_local/_config/couchdb/users_db_security_editable' -d '\"true\"') and give the same command again.",
            printable(reason).trim_end_matches('.'),
            printable(archive),
            printable(found)
        ),
        SecurityResult::Restored | SecurityResult::Kept | SecurityResult::Unfinished => Ok(()),
    };
}
