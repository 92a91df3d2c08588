//! What surrounds a backup of the configuration file: hooks, records of how it ended, metrics.

use std::path::Path;
use std::time::{Duration, Instant};

use backup::BackupResult;
use configuration::{Cluster, Configuration, Hooks, Repository};
use jiff::Timestamp;
use operations::{Figures, Records, RunRecord, Step, StepError, StepOutcome, run_hook};
use outcome::report::{Notice, Reporter as _, Severity};
use outcome::{Failure, Result};
use serde::Serialize;

use crate::exit::{ExitCode, Outcome, worst};
use crate::flags::repository::host_name;
use crate::session::Session;

/// How long a hook may take if nothing else is said, in seconds.
const HOOK: u64 = 60;

/// A cluster that is saved, and the repository that it is saved into, from the configuration file.
#[derive(Debug, Clone)]
pub(crate) struct Configured {
    pub(crate) cluster: Cluster,
    pub(crate) repository: Repository,
}

impl Configured {
    /// The cluster that `--cluster` chooses, else the only one.
    ///
    /// Fails if `--cluster` names a file: it names no repository.
    pub(crate) fn of(session: &Session, choice: Option<&Path>) -> Result<Self> {
        let cluster = match session.configured_cluster(choice)? {
            Some(cluster) => cluster,
            None => session.configured()?.cluster(choice.and_then(Path::to_str))?,
        };
        let repository = session.configured()?.repository(Some(&cluster))?;
        Ok(Self { cluster, repository })
    }
}

/// A job that has begun.
pub(crate) struct Job<'s> {
    session: &'s Session,
    hooks: Hooks,
    records: Option<Records>,
    run: RunRecord,
    begun: Instant,
}

/// What a hook reads from its standard input.
#[derive(Serialize)]
struct HookInput<'e> {
    event: &'static str,
    host: String,
    #[serde(flatten)]
    run: &'e RunRecord,
}

impl<'s> Job<'s> {
    /// Begins: runs the hook `on_start`.
    pub(crate) fn begin(session: &'s Session, configured: &Configured) -> Result<Self> {
        let job = Self::again(session, configured)?;
        job.hook("start", job.hooks.on_start.as_deref());
        Ok(job)
    }

    /// Begins again, in a process that stays: no hook runs.
    pub(crate) fn again(session: &'s Session, configured: &Configured) -> Result<Self> {
        let configuration = session.configured()?;
        let run = RunRecord {
            cluster: configured.cluster.name.clone(),
            repository: configured.repository.location.to_string(),
            begun: now(),
            ..RunRecord::default()
        };
        let records = records(Some(configuration));
        Ok(Self { session, hooks: configuration.hooks(), records, run, begun: Instant::now() })
    }

    /// Adds what is known of a backup.
    pub(crate) fn add(&mut self, result: &BackupResult) {
        self.run.nodes.clone_from(&result.summary.nodes);
        self.run.is_unchanged = result.is_unchanged;
        self.run.figures = result.in_repository.as_ref().map(|backup| Figures {
            backup: backup.id.clone(),
            content_bytes: result.content_bytes,
            new_bytes: backup.new_bytes,
            stored_bytes: result.archive_bytes,
            shards_not_saved: result.summary.problems.len() as u64,
        });
    }

    /// Ends: records how, and runs the hook `on_success` or `on_failure`.
    pub(crate) fn end(mut self, steps: Vec<Step>) -> RunRecord {
        self.run.ended = now();
        self.run.seconds = self.begun.elapsed().as_secs_f64();
        self.run.exit_code = worst(steps.iter().map(|step| step.exit_code));
        self.run.steps = steps;
        if let Some(records) = &self.records
            && let Err(error) = records.add_run(&self.run)
        {
            self.warn(format!("cannot record how the run ended, which `couchcopy health` reports: {error}"));
        }
        // Something new every minute is no news.
        if !self.run.is_unchanged || self.run.exit_code != 0 {
            match self.run.exit_code {
                0 => self.hook("success", self.hooks.on_success.as_deref()),
                _ => self.hook("failure", self.hooks.on_failure.as_deref()),
            }
        }
        self.run
    }

    /// Runs a hook, if there is one. How it ends changes nothing.
    fn hook(&self, event: &'static str, command: Option<&[String]>) {
        let Some(command) = command else { return };
        let input = HookInput { event, host: host_name(), run: &self.run };
        let input = serde_json::to_string(&input).unwrap_or_default() + "\n";
        let seconds = self.hooks.timeout.map_or(HOOK, |timeout| timeout.0);
        if let Err(problem) = run_hook(command, &input, Duration::from_secs(seconds)) {
            self.warn(format!("the hook on_{event} failed: {problem}"));
        }
    }

    fn warn(&self, text: String) {
        self.session.reporter().notice(&Notice { severity: Severity::Warning, text });
    }
}

/// The records on this machine, where the configuration file has them.
pub(crate) fn records(configuration: Option<&Configuration>) -> Option<Records> {
    Records::at(configuration.and_then(Configuration::state_dir))
}

/// The current time (RFC 3339, UTC).
pub(crate) fn now() -> String {
    Timestamp::now().to_string()
}

/// A step that has ended: its result and whether all was well, or why it failed.
pub(crate) fn step<T: Serialize>(name: &str, begun: Instant, ended: &Result<(T, bool)>) -> Step {
    let seconds = begun.elapsed().as_secs_f64();
    let (outcome, exit_code, result, error) = match ended {
        Ok((result, is_fine)) => {
            let outcome = if *is_fine { StepOutcome::Done } else { StepOutcome::Problems };
            (outcome, Outcome::of(*is_fine).code(), serde_json::to_value(result).ok(), None)
        }
        Err(failure) => {
            (StepOutcome::Failed, ExitCode::from(failure.kind()).code(), None, Some(step_error(failure)))
        }
    };
    Step { step: name.to_owned(), outcome, exit_code, seconds, result, error, reason: None }
}

/// A step that is not tried.
pub(crate) fn skipped(name: &str, reason: &str) -> Step {
    Step {
        step: name.to_owned(),
        outcome: StepOutcome::Skipped,
        exit_code: ExitCode::Done.code(),
        seconds: 0.0,
        result: None,
        error: None,
        reason: Some(reason.to_owned()),
    }
}

fn step_error(failure: &Failure) -> StepError {
    StepError {
        code: failure.code().to_string(),
        message: outcome::with_causes(failure),
        remedy: failure.remedy(),
    }
}

#[cfg(test)]
mod tests {
    use outcome::Code;

    use super::*;

    #[test]
    fn the_worst_step_decides() {
        let done = || step("backup", Instant::now(), &Ok((1, true)));
        let problems = || step("prune", Instant::now(), &Ok((1, false)));
        let failed = || {
            let failure = Failure::incomplete(Code::new("CC-B01"), "no", "x");
            step::<u8>("verify", Instant::now(), &Err(failure))
        };
        for (steps, expected) in [
            (vec![], 0),
            (vec![done(), skipped("check", "x")], 0),
            (vec![done(), problems()], 3),
            (vec![problems(), failed(), done()], 6),
        ] {
            assert_eq!(worst(steps.iter().map(|step| step.exit_code)), expected, "{steps:?}");
        }
        let error = failed().error.unwrap();
        assert_eq!((error.code.as_str(), error.remedy.as_deref()), ("CC-B01", Some("x")));
    }
}
