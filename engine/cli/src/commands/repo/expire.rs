//! `couchcopy repo expire`.

use std::fmt::Write as _;

use clap::Args;
use outcome::{Code, Failure, Result};
use repository::Repository;
use repository::policy::Policy;
use serde::Serialize;
use store::Location;

use crate::exit::Outcome;
use crate::flags::repository::{open_or_configured, seconds};
use crate::flags::store::location;
use crate::session::Session;
use crate::text::sizes::count;

/// Delete old backups by rule.
#[derive(Debug, Args)]
#[command(
    after_long_help = "A backup is kept if at least one rule keeps it. Hours, days, weeks (from Monday), months and years are those \
    of this machine's time zone. Of each, the last complete backup is kept. The newest complete backup is always kept. Backups \
    that cannot be read are kept, too. The rules apply to the backups of each source separately: the same nodes, with their data \
    directories in the same places.\n\n\
    The backups are deleted at once. `couchcopy repo prune` frees the space of what no backup needs any more.\n\n\
    Examples:\n  \
    couchcopy repo expire --keep-daily 14 --dry-run s3://backups/couchdb\n  \
    couchcopy repo expire --keep-within 7d --keep-monthly 12 /backups/couchdb"
)]
pub(crate) struct Expire {
    /// The repository [default: that of the configuration file].
    #[arg(value_name = "REPO", value_parser = location())]
    pub(super) repository: Option<Location>,

    #[command(flatten)]
    keep: KeepFlags,

    /// Show what would be deleted, and why each backup is kept, without deleting anything.
    #[arg(long, help_heading = "Mode")]
    dry_run: bool,
}

/// Which backups are kept.
#[derive(Debug, Clone, Default, Args)]
#[allow(clippy::struct_field_names)] // The names of the options.
#[command(next_help_heading = "What to keep")]
pub(crate) struct KeepFlags {
    /// Keep the last N backups.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_last: u32,

    /// Keep the last backup of each of the last N hours that have one.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_hourly: u32,

    /// Keep the last backup of each of the last N days that have one.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_daily: u32,

    /// Keep the last backup of each of the last N weeks that have one.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_weekly: u32,

    /// Keep the last backup of each of the last N months that have one.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_monthly: u32,

    /// Keep the last backup of each of the last N years that have one.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_yearly: u32,

    /// Keep all backups that were begun at most DURATION before the newest one, for example 7d.
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    keep_within: Option<u64>,
}

impl KeepFlags {
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            last: self.keep_last,
            hourly: self.keep_hourly,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
            monthly: self.keep_monthly,
            yearly: self.keep_yearly,
            within: self.keep_within,
        }
    }
}

/// What a policy has done, as `--json` prints it.
#[derive(Serialize)]
#[allow(clippy::struct_field_names)] // The names of the JSON.
pub(in crate::commands) struct Removed {
    dry_run: bool,
    kept: Vec<Kept>,
    removed: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<Refused>,
}

#[derive(Serialize)]
struct Kept {
    id: String,
    reasons: Vec<String>,
}

/// An object that the store did not delete.
#[derive(Serialize)]
pub(super) struct Refused {
    pub(super) object: String,
    pub(super) problem: String,
}

impl Expire {
    /// Carries it out.
    pub(super) fn run(&self, session: &Session) -> Result<Outcome> {
        let mut policy = self.keep.policy();
        if policy.is_empty() && self.repository.is_none() {
            policy = session.configured_repository(None)?.table.keep.policy();
        }
        if policy.is_empty() {
            return Err(Failure::refused(
                Code::new("CC-X20"),
                "no rule says which backups are kept",
                "Name at least one: --keep-last, --keep-hourly, --keep-daily, --keep-weekly, --keep-monthly, --keep-yearly or \
                 --keep-within.",
            ));
        }
        let repository = open_or_configured(session, self.repository.as_ref())?;
        let result = Removed::of(&repository, &policy, self.dry_run)?;
        if self.dry_run {
            session.answer(&result, text);
        } else {
            session.summary(&result, text);
        }
        Ok(Outcome::of(result.is_done()))
    }
}

impl Removed {
    /// Deletes backups by rule.
    pub(in crate::commands) fn of(repository: &Repository, policy: &Policy, dry_run: bool) -> Result<Self> {
        let expired = repository.expire(policy, dry_run)?;
        Ok(Self {
            dry_run,
            kept: expired
                .kept
                .into_iter()
                .map(|(name, reasons)| Kept { id: name.to_string(), reasons })
                .collect(),
            removed: expired.removed.iter().map(ToString::to_string).collect(),
            refused: expired
                .refused
                .into_iter()
                .map(|(name, error)| Refused { object: name.to_string(), problem: error.to_string() })
                .collect(),
        })
    }

    /// Whether everything was deleted that should be.
    pub(in crate::commands) fn is_done(&self) -> bool {
        self.refused.is_empty()
    }
}

pub(in crate::commands) fn text(result: &Removed) -> String {
    let mut text = String::new();
    if result.dry_run {
        for kept in &result.kept {
            let _ = writeln!(text, "keep    {}  {}", kept.id, kept.reasons.join(", "));
        }
        for id in &result.removed {
            let _ = writeln!(text, "remove  {id}");
        }
    }
    let verb = if result.dry_run { "would be removed" } else { "removed" };
    let _ = writeln!(
        text,
        "{} kept, {} {verb}",
        count(result.kept.len() as u64, "backup", "backups"),
        result.removed.len()
    );
    for refused in &result.refused {
        let _ = writeln!(text, "NOT REMOVED: {}: {}", refused.object, refused.problem);
    }
    text
}
