//! `couchcopy repo check`.

use std::fmt::Write as _;

use clap::Args;
use outcome::Result;
use repository::Repository;
use serde::Serialize;
use store::Location;

use crate::exit::Outcome;
use crate::flags::repository::open_or_configured;
use crate::flags::store::location;
use crate::session::Session;
use crate::text::sizes::{bytes, count};

/// Check that every object that the backups need is there.
#[derive(Debug, Args)]
#[command(
    after_long_help = "The command checks signatures, reads all lists of files, and compares names and lengths of all objects. \
    It does not read data: `couchcopy verify REPO::ID` verifies a backup down to every document. Exits with 3 if something is \
    damaged."
)]
pub(crate) struct Check {
    /// The repository [default: that of the configuration file].
    #[arg(value_name = "REPO", value_parser = location())]
    pub(super) repository: Option<Location>,
}

/// What a check has found, as `--json` prints it.
#[derive(Serialize)]
pub(in crate::commands) struct Checked {
    backups: u64,
    objects: u64,
    bytes: u64,
    unneeded: u64,
    unneeded_bytes: u64,
    findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Finding {
    object: String,
    problem: String,
    backups: Vec<String>,
}

impl Check {
    /// Carries it out.
    pub(super) fn run(&self, session: &Session) -> Result<Outcome> {
        let checked = Checked::of(&open_or_configured(session, self.repository.as_ref())?)?;
        session.summary(&checked, text);
        Ok(Outcome::of(checked.is_whole()))
    }
}

impl Checked {
    /// Checks a repository.
    pub(in crate::commands) fn of(repository: &Repository) -> Result<Self> {
        let checked = repository.check()?;
        let findings = checked.findings.into_iter().map(|finding| Finding {
            object: finding.object,
            problem: finding.problem,
            backups: finding.backups.iter().map(ToString::to_string).collect(),
        });
        Ok(Self {
            backups: checked.backups,
            objects: checked.objects,
            bytes: checked.bytes,
            unneeded: checked.unneeded,
            unneeded_bytes: checked.unneeded_bytes,
            findings: findings.collect(),
        })
    }

    /// Whether nothing is wrong.
    pub(in crate::commands) fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }
}

fn text(checked: &Checked) -> String {
    let mut text = format!(
        "{}, {} ({}); not needed: {} ({})\n",
        count(checked.backups, "backup", "backups"),
        count(checked.objects, "object", "objects"),
        bytes(checked.bytes),
        count(checked.unneeded, "object", "objects"),
        bytes(checked.unneeded_bytes)
    );
    for finding in &checked.findings {
        let _ = writeln!(text, "PROBLEM: {}", finding.problem);
        let _ = writeln!(text, "  object: {}", finding.object);
        if !finding.backups.is_empty() {
            let _ = writeln!(text, "  backups: {}", finding.backups.join(", "));
        }
    }
    text
}
