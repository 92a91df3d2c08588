//! Makes documents of a running cluster what they were (`--db NAME --rewind`).

use std::fmt::Write as _;

use clap::Args;
use node::Http;
use outcome::{Result, printable};
use restore::databases::parse_database;
use restore::databases::rewind::{
    Choice, Listed, PlannedRewind, RewindDescription, RewindOptions, RewindResult, Was,
};
use store::Location;

use super::Restore;
use super::databases::first;
use crate::cluster::with_credentials;
use crate::exit::Outcome;
use crate::session::Session;
use crate::text::sizes::count;

/// Documents that are printed as text; `--json` lists more.
const SHOWN: usize = 20;

/// Which documents are rewound, and how far.
#[derive(Debug, Args)]
pub(crate) struct RewindFlags {
    /// With --rewind: only this document. Can be repeated.
    #[arg(long = "doc", value_name = "ID", requires = "rewind", hide_short_help = true)]
    docs: Vec<String>,

    /// With --rewind: only documents that have changed in the cluster since this sequence.
    ///
    /// SEQ is a sequence as CouchDB shows it in update_seq and last_seq. couchcopy then reads the list of changes instead of
    /// comparing all documents.
    #[arg(long, value_name = "SEQ", requires = "rewind", conflicts_with = "docs", hide_short_help = true)]
    changed_since: Option<String>,

    /// With --rewind: delete documents made since then.
    #[arg(long, requires = "rewind", hide_short_help = true)]
    exact: bool,

    /// With --rewind: delete conflicting revisions made since then.
    #[arg(long, requires = "rewind", hide_short_help = true)]
    resolve_conflicts: bool,
}

impl RewindFlags {
    fn choice(&self) -> Choice {
        match &self.changed_since {
            Some(since) => Choice::ChangedSince(since.clone()),
            None if self.docs.is_empty() => Choice::All,
            None => Choice::These(self.docs.iter().map(|id| (id.clone(), None)).collect()),
        }
    }
}

impl Restore {
    /// Rewinds the databases that `--db` names, one after the other.
    pub(super) fn rewind(&self, archive: &Location, names: &[String], session: &Session) -> Result<Outcome> {
        let place = session.place_of_cluster(archive, self.access.cluster.as_deref())?;
        let (backup, at) = self.databases.moment.of(place)?;
        let sites = with_credentials(names, &self.access, &self.http, session)?;
        // The plugins have to live as long as a tunnel through them.
        let plugins = self.access.grants.plugins(session)?;
        let http = plugins.http(first(&sites)?, self.http.tunnel())?;
        let mut is_complete = true;
        for name in &self.databases.db {
            let names = parse_database(name)?;
            let options = RewindOptions {
                backup: backup.clone(),
                at: at.clone(),
                from: names.from,
                database: names.to,
                choice: self.databases.rewound.choice(),
                changed: true,
                exact: self.databases.rewound.exact,
                resolve_conflicts: self.databases.rewound.resolve_conflicts,
                threads: session.threads(),
            };
            let done = carry_out(&options, &http, self.mode.dry_run, self.mode.yes, session)?;
            is_complete &= done;
        }
        Ok(Outcome::of(is_complete))
    }
}

/// Plans a rewind, shows the plan, and carries it out if the user agrees. Returns whether nothing is left to do.
pub(in crate::commands) fn carry_out(
    options: &RewindOptions,
    http: &Http,
    dry_run: bool,
    yes: bool,
    session: &Session,
) -> Result<bool> {
    let interrupted = session.interruptible()?;
    let planned = PlannedRewind::make(options, http, session.reporter())?;
    let is_readable = planned.describe().unreadable == 0;
    if dry_run {
        session.answer(planned.describe(), plan_text);
        return Ok(is_readable);
    }
    if !planned.is_empty() {
        session.confirm(yes, &plan_text(planned.describe()))?;
    }
    let plan = planned.describe().clone();
    let result = planned.carry_out(http, interrupted, session.reporter())?;
    let is_complete = is_readable && result.is_complete() && plan.changed_later_count == 0;
    session.summary(&Done { plan, result }, |done| result_text(&done.plan, &done.result));
    Ok(is_complete)
}

/// A plan and its result, as `--json` prints them.
#[derive(serde::Serialize)]
struct Done {
    plan: RewindDescription,
    #[serde(flatten)]
    result: RewindResult,
}

fn word(was: Was) -> &'static str {
    match was {
        Was::Changed => "changed",
        Was::Deleted => "deleted",
        Was::Gone => "purged",
        Was::New => "new",
        Was::Conflicted => "conflicts",
    }
}

fn plan_text(plan: &RewindDescription) -> String {
    let mut text = format!(
        "{} of {}{}, compared with {} in the cluster at {}:\n",
        plan.from,
        plan.backup,
        plan.made.as_ref().map_or_else(String::new, |made| format!(" of {made}")),
        plan.database,
        plan.url
    );
    let documents = |n: u64| count(n, "document", "documents");
    let mut line = |n: u64, what: &str| {
        if n > 0 {
            let _ = writeln!(text, "  {}: {what}", documents(n));
        }
    };
    line(plan.equal, "equal, left as they are");
    line(plan.changed, "changed since; the newer content is OVERRIDDEN");
    line(plan.deleted, "deleted since; written again");
    line(plan.gone, "not in the cluster; written again");
    line(plan.new, if plan.deletes_new { "made since; DELETED" } else { "made since; left as they are" });
    line(plan.changed_later_count, "changed again after the second moment; left as they are");
    line(plan.unreadable, "cannot be read in the backup; left as they are");
    if plan.conflicts > 0 {
        let _ = writeln!(
            text,
            "  {} made since; DELETED",
            count(plan.conflicts, "conflicting revision", "conflicting revisions")
        );
    }
    for Listed { id, was } in plan.listed.iter().take(SHOWN) {
        let _ = writeln!(text, "    {:<9}  {}", word(*was), printable(id));
    }
    if plan.listed.len() > SHOWN {
        text.push_str("    … (--json lists up to a thousand)\n");
    }
    for id in plan.not_then.iter().take(SHOWN) {
        let _ = writeln!(text, "  {} did not exist then; left as it is", printable(id));
    }
    for id in plan.changed_later.iter().take(SHOWN) {
        let _ = writeln!(text, "  {} was changed again later; left as it is", printable(id));
    }
    if plan.resumes {
        text.push_str(
            "  An interrupted rewind to this moment goes on. What it has written is not written again.\n",
        );
    }
    text
}

fn result_text(plan: &RewindDescription, result: &RewindResult) -> String {
    let mut text = format!(
        "{}: {} written, {} deleted, {} resolved in {:.1} s; {} left as they were\n",
        result.database,
        count(result.written, "document", "documents"),
        count(result.deleted, "document", "documents"),
        count(result.resolved, "conflict", "conflicts"),
        result.seconds,
        count(plan.equal, "equal document", "equal documents"),
    );
    if !result.finished {
        text.push_str("  INTERRUPTED: run the same command again to go on.\n");
    }
    if result.edited_meanwhile_count > 0 {
        let n = count(result.edited_meanwhile_count, "document", "documents");
        let _ = writeln!(text, "  NOT OVERRIDDEN: {n} that somebody has edited in the meantime.");
        for id in result.edited_meanwhile.iter().take(SHOWN) {
            let _ = writeln!(text, "    {}", printable(id));
        }
    }
    if result.refused_count > 0 {
        let n = count(result.refused_count, "document", "documents");
        let _ = writeln!(text, "  NOT WRITTEN: {n}. Fix the cause, then run the same command again.");
        for refused in result.refused.iter().take(SHOWN) {
            let _ = writeln!(text, "    {}: {}", printable(&refused.id), printable(&refused.reason));
        }
    }
    for id in plan.changed_later.iter().take(SHOWN) {
        let _ = writeln!(text, "  {} was changed again later; left as it is", printable(id));
    }
    for id in plan.not_then.iter().take(SHOWN) {
        let _ = writeln!(text, "  {} did not exist then; left as it is", printable(id));
    }
    if plan.unreadable > 0 {
        let _ = writeln!(
            text,
            "  UNREADABLE in the backup: {}.",
            count(plan.unreadable, "document", "documents")
        );
    }
    text
}
