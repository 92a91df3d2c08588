//! `couchcopy repo prune`.

use std::fmt::Write as _;

use clap::Args;
use outcome::Result;
use repository::{PruneOptions, Repository};
use serde::Serialize;
use store::Location;

use super::expire::Refused;
use crate::exit::Outcome;
use crate::flags::repository::{open_or_configured, seconds};
use crate::flags::store::location;
use crate::session::Session;
use crate::text::sizes::{bytes, count};

/// Seconds between marking and deleting, if nothing else is said.
const GRACE: u64 = 24 * 60 * 60;

/// Free the space of what no backup needs any more.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Backups can run at the same time, and the command can be interrupted at any moment. It works in two steps: \
    it marks what no backup needs, and a later run deletes what was marked at least a day (--grace) before. Run it daily. With \
    --grace 0s it deletes everything at once: a backup that runs at that moment fails and has to be repeated.\n\n\
    What is younger than a backup that may be under way is not marked. A backup that was killed counts for seven days.\n\n\
    While a backup cannot be read, the command deletes nothing and exits with 3. `couchcopy repo delete REPO::ID` deletes such a \
    backup."
)]
pub(crate) struct Prune {
    /// The repository [default: that of the configuration file].
    #[arg(value_name = "REPO", value_parser = location())]
    pub(super) repository: Option<Location>,

    /// Time between marking and deleting [default: 24h]. It should be longer than the longest backup takes.
    #[arg(long, help_heading = "Mode", value_name = "DURATION", value_parser = seconds)]
    grace: Option<u64>,

    /// Show what would be marked and deleted, without doing it.
    #[arg(long, help_heading = "Mode")]
    dry_run: bool,
}

/// What a prune has done, as `--json` prints it.
#[derive(Serialize)]
pub(in crate::commands) struct Done {
    dry_run: bool,
    needed: u64,
    needed_bytes: u64,
    marked: u64,
    marked_bytes: u64,
    waiting: u64,
    deleted: u64,
    deleted_bytes: u64,
    under_way: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<Refused>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lacking: Vec<String>,
}

impl Prune {
    /// Carries it out.
    pub(super) fn run(&self, session: &Session) -> Result<Outcome> {
        let configured = match (&self.repository, self.grace) {
            (None, None) => session.configured_repository(None)?.table.grace.map(|seconds| seconds.0),
            _ => None,
        };
        let grace = self.grace.or(configured);
        let repository = open_or_configured(session, self.repository.as_ref())?;
        let done = Done::of(&repository, grace, self.dry_run)?;
        if self.dry_run {
            session.answer(&done, text);
        } else {
            session.summary(&done, text);
        }
        Ok(Outcome::of(done.is_done()))
    }
}

impl Done {
    /// Prunes a repository. Without `grace`, a day lies between marking and deleting.
    pub(in crate::commands) fn of(
        repository: &Repository,
        grace: Option<u64>,
        dry_run: bool,
    ) -> Result<Self> {
        let options = PruneOptions { grace: grace.unwrap_or(GRACE), dry_run };
        let pruned = repository.prune(&options)?;
        Ok(Self {
            dry_run,
            needed: pruned.needed,
            needed_bytes: pruned.needed_bytes,
            marked: pruned.marked,
            marked_bytes: pruned.marked_bytes,
            waiting: pruned.waiting,
            deleted: pruned.deleted,
            deleted_bytes: pruned.deleted_bytes,
            under_way: pruned.under_way,
            refused: pruned
                .refused
                .into_iter()
                .map(|(object, error)| Refused { object, problem: error.to_string() })
                .collect(),
            unreadable: pruned.unreadable,
            lacking: pruned.lacking.iter().map(ToString::to_string).collect(),
        })
    }

    /// Whether everything was deleted that should be.
    pub(in crate::commands) fn is_done(&self) -> bool {
        self.refused.is_empty() && self.unreadable.is_empty() && self.lacking.is_empty()
    }
}

pub(in crate::commands) fn text(done: &Done) -> String {
    let mut text = String::new();
    if !done.unreadable.is_empty() {
        text.push_str("NOTHING DELETED: what unreadable backups need is not known. Delete those that are of no use: couchcopy repo delete REPO::ID\n");
        for unreadable in &done.unreadable {
            let _ = writeln!(text, "  {unreadable}");
        }
        return text;
    }
    let would = if done.dry_run { "would be " } else { "" };
    let _ = writeln!(
        text,
        "{} objects needed ({}); {} {would}deleted ({}), {} {would}marked ({}), {} wait",
        done.needed,
        bytes(done.needed_bytes),
        done.deleted,
        bytes(done.deleted_bytes),
        done.marked,
        bytes(done.marked_bytes),
        done.waiting
    );
    if done.under_way > 0 {
        let backups = count(done.under_way, "backup", "backups");
        let _ = writeln!(text, "{backups} may be under way: younger objects are not marked");
    }
    if !done.lacking.is_empty() {
        let _ = writeln!(
            text,
            "DAMAGED, killed while a prune ran: {}. Delete with: couchcopy repo delete REPO::ID",
            done.lacking.join(", ")
        );
    }
    if !done.refused.is_empty() {
        let _ = writeln!(text, "NOT DELETED, the store refused it: {} objects", done.refused.len());
        for refused in done.refused.iter().take(3) {
            let _ = writeln!(text, "  {}: {}", refused.object, refused.problem);
        }
    }
    text
}
