//! Whether all is well with backups.

use serde::Serialize;

use crate::facts::{Facts, SourceFacts, second};
use crate::records::{RunRecord, StepOutcome};

/// How far a clock may be ahead, in seconds.
const CLOCK: i64 = 600;

/// The state of backups, with the exit codes that monitoring plugins have.
///
/// They are in the order of severity, as of monitoring systems: what is known to be lost counts more than what is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Nothing is wrong.
    Ok,
    /// Somebody should have a look.
    Warning,
    /// It could not be found out.
    Unknown,
    /// A restore would fail, or lose more than was agreed.
    Critical,
}

impl Status {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// What counts as wrong. All in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// The greatest age of the newest complete backup.
    pub max_age: u64,
    /// The greatest age of the last verification; 0: no verification is expected on this machine.
    pub max_unverified: u64,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How severe it is.
    pub status: Status,
    /// What it is.
    pub text: String,
}

/// The state of backups at a place.
#[derive(Debug, Clone, Serialize)]
pub struct Health {
    /// The worst that was found.
    pub status: Status,
    /// The exit code.
    pub exit_code: u8,
    /// Everything that is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// Age of the newest complete backup in seconds; of several sources, that of the oldest.
    pub age: Option<u64>,
    /// Age of the last verification in seconds; of several sources, that of the oldest.
    pub unverified: Option<u64>,
    /// What counts as wrong.
    pub limits: Limits,
    /// The backups.
    #[serde(flatten)]
    pub facts: Facts,
    /// How the last run of each cluster on this machine ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunRecord>,
}

/// Compares the backups at a place with limits. `now` is in seconds since 1970.
pub fn assess(facts: Facts, runs: Vec<RunRecord>, limits: Limits, now: i64) -> Health {
    let mut findings = Vec::new();
    if facts.sources.is_empty() {
        add(&mut findings, Status::Critical, "there is no backup".into());
    }
    let several = facts.sources.len() > 1;
    let (mut age, mut unverified) = (None, None);
    for source in &facts.sources {
        let of = if several { format!(" of {}", shown(source)) } else { String::new() };
        of_source(source, &of, limits, now, &mut findings);
        if let Some(fresh) = source.fresh() {
            age = age.max(Some(age_of(fresh, now)));
        }
        if let Some(ended) = source.verification.as_ref().and_then(|verification| second(&verification.ended))
        {
            unverified = unverified.max(Some(age_of(ended, now)));
        }
    }
    if let [first, rest @ ..] = facts.damaged.as_slice() {
        let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        add(
            &mut findings,
            Status::Warning,
            format!("backup {first}{more} cannot be read or lacks something"),
        );
    }
    for run in &runs {
        of_run(run, &facts, &mut findings);
    }
    let mut health = Health {
        status: Status::Ok,
        exit_code: Status::Ok.code(),
        findings,
        age,
        unverified,
        limits,
        facts,
        runs,
    };
    health.settle();
    health
}

impl Health {
    /// That of a place whose backups cannot be looked at.
    pub fn unknown(place: String, problem: String, runs: Vec<RunRecord>, limits: Limits) -> Self {
        let mut health = Self {
            status: Status::Unknown,
            exit_code: Status::Unknown.code(),
            findings: Vec::new(),
            age: None,
            unverified: None,
            limits,
            facts: Facts { place, ..Facts::default() },
            runs,
        };
        health.also(Status::Unknown, problem);
        health
    }

    /// Adds something that is wrong beside the backups themselves.
    pub fn also(&mut self, status: Status, text: String) {
        add(&mut self.findings, status, text);
        self.settle();
    }

    /// The worst finding comes first, and decides.
    fn settle(&mut self) {
        self.findings.sort_by_key(|finding| std::cmp::Reverse(finding.status));
        self.status = self.findings.first().map_or(Status::Ok, |finding| finding.status);
        self.exit_code = self.status.code();
    }
}

fn add(findings: &mut Vec<Finding>, status: Status, text: String) {
    findings.push(Finding { status, text });
}

fn of_source(source: &SourceFacts, of: &str, limits: Limits, now: i64, findings: &mut Vec<Finding>) {
    match &source.complete {
        None => add(findings, Status::Critical, format!("there is no complete backup{of}")),
        Some(complete) => {
            let age = age_of(source.fresh().unwrap_or(complete.begun), now);
            if age > limits.max_age {
                let text = format!(
                    "the newest complete backup{of} was begun {} ago (limit {})",
                    duration(age),
                    duration(limits.max_age)
                );
                add(findings, Status::Critical, text);
            }
            if complete.begun > now.saturating_add(CLOCK) {
                let text =
                    format!("the newest complete backup{of} was begun in the future: compare the clocks");
                add(findings, Status::Warning, text);
            }
            if let Some(newest) = source.newest.as_ref().filter(|newest| *newest != complete) {
                let text = format!("the newest backup{of} is not complete: {}", newest.id);
                add(findings, Status::Warning, text);
            }
        }
    }
    match &source.verification {
        Some(verification) if !verification.intact => {
            let text = format!("the last verification{of} found damage in {}", verification.backup);
            add(findings, Status::Critical, text);
        }
        _ if limits.max_unverified == 0 => {}
        None => {
            add(findings, Status::Warning, format!("no backup{of} was verified on this machine"));
        }
        Some(verification) => {
            let age = second(&verification.ended).map_or(u64::MAX, |ended| age_of(ended, now));
            if age > limits.max_unverified {
                let text = format!(
                    "the last verification{of} was {} ago (limit {})",
                    duration(age),
                    duration(limits.max_unverified)
                );
                add(findings, Status::Warning, text);
            }
        }
    }
}

/// A run that failed counts until a later backup is complete. What else it reported stays until the next run.
fn of_run(run: &RunRecord, facts: &Facts, findings: &mut Vec<Finding>) {
    let begun = second(&run.begun).unwrap_or(0);
    let is_newer =
        |source: &SourceFacts| source.complete.as_ref().is_some_and(|complete| complete.begun > begun);
    if facts.sources.iter().any(is_newer) && run.steps.iter().all(|step| step.step == "backup") {
        return;
    }
    for step in &run.steps {
        let what = match step.outcome {
            StepOutcome::Done | StepOutcome::Skipped => continue,
            StepOutcome::Problems => "found problems",
            StepOutcome::Failed => "failed",
        };
        let why = step
            .error
            .as_ref()
            .map_or_else(String::new, |error| format!(": {} [{}]", error.message, error.code));
        add(findings, Status::Warning, format!("the step {} of the last run {what}{why}", step.step));
    }
}

fn shown(source: &SourceFacts) -> String {
    let nodes = source.nodes.join(", ");
    if source.source.is_empty() { nodes } else { format!("{nodes} in {}", source.source.join(", ")) }
}

fn age_of(second: i64, now: i64) -> u64 {
    u64::try_from(now.saturating_sub(second)).unwrap_or(0)
}

/// A duration in its largest unit that is not too coarse.
fn duration(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

impl Health {
    /// The line that monitoring plugins print, with the figures after `|`.
    pub fn line(&self) -> String {
        let figures = self.figures();
        let figures = if figures.is_empty() { String::new() } else { format!(" | {}", figures.join(" ")) };
        format!("{} - {}{figures}", self.status.word(), self.said())
    }

    /// What is reported of the place, in one line.
    pub fn said(&self) -> String {
        let said = if self.findings.is_empty() {
            let age = self.age.map(duration).unwrap_or_default();
            let verified = match self.unverified {
                Some(unverified) => format!(", verified {} ago", duration(unverified)),
                None => String::new(),
            };
            format!("the newest complete backup was begun {age} ago{verified}")
        } else {
            let texts: Vec<&str> = self.findings.iter().map(|finding| finding.text.as_str()).collect();
            texts.join("; ")
        };
        let said = format!("{}: {said}", self.facts.place);
        // One line, and `|` only before the figures.
        said.chars().map(|c| if c.is_control() || c == '|' { ' ' } else { c }).collect()
    }

    fn figures(&self) -> Vec<String> {
        let mut figures = Vec::new();
        if let Some(age) = self.age {
            figures.push(format!("age={age}s;;{};0", self.limits.max_age));
        }
        if let Some(unverified) = self.unverified {
            let limit = if self.limits.max_unverified == 0 {
                String::new()
            } else {
                self.limits.max_unverified.to_string()
            };
            figures.push(format!("unverified={unverified}s;{limit};;0"));
        }
        if let Some(free) = self.facts.free_bytes {
            figures.push(format!("free={free}B;;;0"));
        }
        figures
    }
}

#[cfg(test)]
mod tests;
