//! `couchcopy run`: everything that a machine does with its backups on its own.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use clap::{Args, ValueEnum};
use operations::{RunRecord, Step, StepOutcome};
use outcome::{Result, printable};
use repository::Repository;
use serde::Serialize;
use store::{Keys, Location};

use super::backup::Backup;
use super::repo::{expire, prune};
use super::verify::verified;
use crate::attended::{Configured, Job, skipped, step};
use crate::exit::{self, Outcome};
use crate::flags::access::AccessFlags;
use crate::flags::http::HttpFlags;
use crate::flags::impact::ImpactFlags;
use crate::flags::repository::open;
use crate::served::write_metrics;
use crate::session::Session;

/// The share of the files that is verified if nothing else is said.
const SHARE: f64 = 0.05;

/// Back up a cluster of the configuration file, delete old backups, free space and verify.
#[derive(Debug, Args)]
#[command(after_long_help = "The steps, in this order:\n  \
    backup  add a backup to the cluster's repository\n  \
    expire  delete old backups by the rules of `keep`, if there are any\n  \
    prune   free the space of what no backup needs, unless `prune = false`\n  \
    check   check that every object that the backups need is there\n  \
    verify  verify a share of the newest backup (`verify`, default 5%), if\n          \
    this machine has a key that opens it\n\n\
    A step that fails does not keep the next ones from being tried. The result has the outcome of each step; the exit code is that \
    of the first step that failed, else 3 if a step found problems. The hooks of the configuration file get the same result as \
    JSON, and `couchcopy health` reports it.\n\n\
    Without --cluster, all clusters of the configuration file are taken, one after the other.\n\n\
    Examples:\n  \
    couchcopy run\n  \
    couchcopy run --cluster prod --skip verify --json")]
pub(crate) struct Run {
    /// Skip this step. Can be repeated.
    #[arg(long, value_enum, value_name = "STEP", help_heading = "Mode")]
    skip: Vec<Skip>,

    #[command(flatten)]
    impact: ImpactFlags,

    #[command(flatten)]
    access: AccessFlags,

    #[command(flatten)]
    http: HttpFlags,
}

/// A step that can be skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Skip {
    /// Make no backup.
    Backup,
    /// Delete no backups.
    Expire,
    /// Free no space.
    Prune,
    /// Do not look for objects.
    Check,
    /// Verify nothing.
    Verify,
}

/// How all runs ended, as `--json` prints it.
#[derive(Serialize)]
struct Runs {
    exit_code: u8,
    runs: Vec<RunRecord>,
}

impl Run {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        self.impact.apply()?;
        let chosen = self.chosen(session)?;
        let runs: Vec<RunRecord> =
            chosen.iter().map(|configured| self.one(configured, session)).collect::<Result<_>>()?;
        write_metrics(session, session.configured()?);
        let exit_code = exit::worst(runs.iter().map(|run| run.exit_code));
        session.summary(&Runs { exit_code, runs }, |runs| runs.runs.iter().map(text).collect());
        Ok(Outcome::Ended(exit_code))
    }

    /// The clusters that are saved.
    fn chosen(&self, session: &Session) -> Result<Vec<Configured>> {
        if self.access.cluster.is_some() {
            return Ok(vec![Configured::of(session, self.access.cluster.as_deref())?]);
        }
        let configuration = session.configured()?;
        let names: Vec<&str> = configuration.cluster_names().collect();
        if names.is_empty() {
            // Says that there is none.
            configuration.cluster(None)?;
        }
        names.into_iter().map(|name| Configured::of(session, Some(Path::new(name)))).collect()
    }

    /// One cluster.
    fn one(&self, configured: &Configured, session: &Session) -> Result<RunRecord> {
        let mut job = Job::begin(session, configured)?;
        let mut steps = Vec::new();
        let mut add = |skip: Skip, name: &str, work: &mut dyn FnMut() -> Step| {
            steps.push(if self.skip.contains(&skip) { skipped(name, "--skip") } else { work() });
        };
        add(Skip::Backup, "backup", &mut || self.backup(configured, &mut job, session));
        let (location, table) = (&configured.repository.location, &configured.repository.table);
        let policy = table.keep.policy();
        add(Skip::Expire, "expire", &mut || {
            if policy.is_empty() {
                return skipped("expire", "the configuration has no rules (keep)");
            }
            in_repository("expire", location, session, |repository| {
                let done = expire::Removed::of(repository, &policy, false)?;
                let is_done = done.is_done();
                Ok((done, is_done))
            })
        });
        add(Skip::Prune, "prune", &mut || {
            if table.prune == Some(false) {
                return skipped("prune", "the configuration turns it off (prune = false)");
            }
            in_repository("prune", location, session, |repository| {
                let done = prune::Done::of(repository, table.grace.map(|seconds| seconds.0), false)?;
                let is_done = done.is_done();
                Ok((done, is_done))
            })
        });
        add(Skip::Check, "check", &mut || {
            in_repository("check", location, session, |repository| {
                let checked = super::repo::check::Checked::of(repository)?;
                let is_whole = checked.is_whole();
                Ok((checked, is_whole))
            })
        });
        add(Skip::Verify, "verify", &mut || verify(configured, session));
        Ok(job.end(steps))
    }

    fn backup(&self, configured: &Configured, job: &mut Job<'_>, session: &Session) -> Step {
        let begun = Instant::now();
        let access =
            AccessFlags { cluster: Some(configured.cluster.name.clone().into()), ..self.access.clone() };
        let backup = Backup::of_configuration(&access, &self.http);
        let made = backup.options(Some(configured), session).and_then(|(options, _plugins)| {
            let pausing = self.impact.pausing(session.reporter(), &options.folders);
            pausing.wait();
            let result = ::backup::backup(&options, &pausing)?;
            job.add(&result);
            let is_complete = result.is_complete();
            Ok((result, is_complete))
        });
        step("backup", begun, &made)
    }
}

/// A step that needs the repository, which is opened again: its keys and backups may have changed.
fn in_repository<T: Serialize>(
    name: &str,
    location: &Location,
    session: &Session,
    work: impl FnOnce(&Repository) -> Result<(T, bool)>,
) -> Step {
    let begun = Instant::now();
    step(name, begun, &open(session, location).and_then(|repository| work(&repository)))
}

/// Verifies a share of the newest backup of the cluster.
fn verify(configured: &Configured, session: &Session) -> Step {
    let begun = Instant::now();
    let share = configured.repository.table.verify.map_or(SHARE, |share| share.0);
    let location = &configured.repository.location;
    let result = (|| {
        let repository = open(session, location)?;
        let place = session.place(location)?;
        if repository.is_encrypted() && has_no_key(place.keys()) {
            return Ok(None);
        }
        let backup = place.same_stores(&format!("{location}::{}", selector(configured)))?;
        let share = Some(share).filter(|share| *share < 1.0);
        let result = verified(&backup, share, session)?;
        let is_whole = result.is_whole();
        Ok(Some((result, is_whole)))
    })();
    match result {
        Ok(None) => {
            skipped("verify", "this machine has no key that opens the backups: verify on another machine")
        }
        Ok(Some(result)) => step("verify", begun, &Ok(result)),
        Err(failure) => step::<()>("verify", begun, &Err(failure)),
    }
}

fn has_no_key(keys: &Keys) -> bool {
    keys.identities.is_empty()
}

/// The newest backup of the cluster, if it can be told from those of other clusters.
fn selector(configured: &Configured) -> String {
    let first = configured.cluster.nodes.nodes.first().and_then(|node| node.id.name.as_deref());
    first.map_or_else(|| "latest".to_owned(), |name| format!("latest@{name}"))
}

fn text(run: &RunRecord) -> String {
    let mut text = format!("{} -> {}\n", printable(&run.cluster), printable(&run.repository));
    for step in &run.steps {
        let word = match step.outcome {
            StepOutcome::Done => "done",
            StepOutcome::Problems => "PROBLEMS",
            StepOutcome::Failed => "FAILED",
            StepOutcome::Skipped => "skipped",
        };
        let _ = write!(text, "  {:<8}{word:<10}{:>8.1} s", step.step, step.seconds);
        if let Some(reason) = &step.reason {
            let _ = write!(text, "  {reason}");
        }
        text.push('\n');
        if let Some(error) = &step.error {
            let _ = writeln!(text, "    {} [{}]", printable(&error.message), error.code);
            if let Some(remedy) = &error.remedy {
                let _ = writeln!(text, "    {}", printable(remedy));
            }
        }
    }
    text
}
