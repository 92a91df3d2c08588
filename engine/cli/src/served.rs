//! The state of backups: found for a command, and answered over HTTP by a process that stays.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use configuration::{Configuration, Health as Table};
use jiff::Timestamp;
use operations::{Facts, Health, Limits, Listener, Records, RunRecord, assess, metrics};
use outcome::report::{Notice, Reporter as _, Severity};
use outcome::{Failure, Lock as _, Result};
use store::Location;

use crate::attended::{Configured, records};
use crate::flags::repository::open;
use crate::session::Session;

/// The greatest age of the newest complete backup, if nothing else is said: a day, and two hours for the backup.
const MAX_AGE: u64 = 26 * 3600;
/// The greatest age of the last verification, if nothing else is said: a week, and a day.
const MAX_UNVERIFIED: u64 = 8 * 86_400;

/// How long figures of places that are served are not found out again.
const RENEWED: Duration = Duration::from_secs(60);

/// The limits of the configuration file, or the usual ones.
pub(crate) fn limits(table: &Table) -> Limits {
    Limits {
        max_age: table.max_age.map_or(MAX_AGE, |seconds| seconds.0),
        max_unverified: table.max_unverified.map_or(MAX_UNVERIFIED, |seconds| seconds.0),
    }
}

/// The backups in a repository or in a directory of archives. With `of`, only those of this node, machine or data directory.
pub(crate) fn facts(session: &Session, location: &Location, of: Option<&str>) -> Result<Facts> {
    let records = records(session.configuration()?);
    let place = session.place(location)?;
    let is_repository = !matches!(location, Location::Path(_)) || contents::is_repository(&place)?;
    let facts = if is_repository {
        Facts::of_repository(&open(session, location)?, of, records.as_ref())?
    } else {
        Facts::of_folder(&place, records.as_ref())?
    };
    Ok(facts.with_free_space(&place))
}

/// How the last run of each cluster ended that is saved into this repository.
pub(crate) fn runs(session: &Session, location: &Location) -> Result<Vec<RunRecord>> {
    let Some(configuration) = session.configuration()? else { return Ok(Vec::new()) };
    let Some(records) = records(Some(configuration)) else { return Ok(Vec::new()) };
    let Some(repository) = configuration.repository_at(location) else { return Ok(Vec::new()) };
    let of = |name: &str| {
        let run = records.last_run(name)?;
        (run.repository == repository.location.to_string()).then_some(run)
    };
    Ok(configuration.cluster_names().filter_map(of).collect())
}

/// The state of the backups in repositories and in directories of archives, each once. What cannot be found out of one is its state.
pub(crate) fn states(
    session: &Session,
    locations: &[Location],
    of: Option<&str>,
    limits: Limits,
) -> Vec<Health> {
    let mut seen = HashSet::new();
    let once = locations.iter().filter(|location| seen.insert(location.to_string()));
    once.map(|location| state(session, location, of, limits)).collect()
}

fn state(session: &Session, location: &Location, of: Option<&str>, limits: Limits) -> Health {
    let runs = runs(session, location).unwrap_or_default();
    match facts(session, location, of) {
        Ok(facts) => assess(facts.with_runs(&runs), runs, limits, seconds()),
        Err(failure) => Health::unknown(location.to_string(), in_a_line(&failure), runs, limits),
    }
}

/// Where the repositories of the configuration file are.
pub(crate) fn locations(configuration: &Configuration) -> Result<Vec<Location>> {
    Ok(configuration.repositories()?.into_iter().map(|repository| repository.location).collect())
}

/// A failure, and what to do, in one line.
pub(crate) fn in_a_line(failure: &Failure) -> String {
    let remedy = failure.remedy().map(|remedy| format!(" {remedy}")).unwrap_or_default();
    format!("{} [{}].{remedy}", outcome::with_causes(failure), failure.code())
}

/// Writes the metrics of all repositories of the configuration file, if it names a file for them. What fails is reported.
pub(crate) fn write_metrics(session: &Session, configuration: &Configuration) {
    let table = configuration.health();
    let Some(file) = &table.metrics_file else { return };
    let written = locations(configuration)
        .and_then(|locations| write(file, &states(session, &locations, None, limits(&table))));
    if let Err(failure) = written {
        let text = not_written(&failure);
        session.reporter().notice(&Notice { severity: Severity::Warning, text });
    }
}

/// That metrics could not be written, in words.
pub(crate) fn not_written(failure: &Failure) -> String {
    format!("the metrics are not written: {}", outcome::with_causes(failure))
}

/// Writes metrics into a file.
pub(crate) fn write(file: &Path, states: &[Health]) -> Result<()> {
    metrics::write(file, &metrics::text(states, seconds()))
}

/// The current time in seconds since 1970.
pub(crate) fn seconds() -> i64 {
    Timestamp::now().as_second()
}

/// The metrics of a process that stays.
pub(crate) struct Served {
    listener: Option<Listener>,
    location: Location,
    cluster: String,
    records: Option<Records>,
    limits: Limits,
    /// What is known of the repository; nothing while that cannot be found out.
    facts: Mutex<Option<Facts>>,
}

impl Served {
    /// Begins to listen at an address, if one is given.
    pub(crate) fn begin(
        address: Option<SocketAddr>,
        configured: &Configured,
        session: &Session,
    ) -> Result<Self> {
        let configuration = session.configured()?;
        let served = Self {
            listener: address.map(Listener::bind).transpose()?,
            location: configured.repository.location.clone(),
            cluster: configured.cluster.name.clone(),
            records: records(Some(configuration)),
            limits: limits(&configuration.health()),
            facts: Mutex::new(None),
        };
        if let Some(listener) = &served.listener {
            let text = format!("metrics are at http://{}/metrics", listener.address()?);
            session.reporter().notice(&Notice { severity: Severity::Info, text });
            served.renew(session);
        }
        Ok(served)
    }

    /// Finds out again what is in the repository.
    pub(crate) fn renew(&self, session: &Session) {
        if self.listener.is_some() {
            *self.facts.locked() = facts(session, &self.location, None).ok();
        }
    }

    /// Answers until the flag is set.
    pub(crate) fn answer(&self, ended: &AtomicBool) {
        let text = || {
            let facts = self.facts.locked().clone();
            let run = self.records.as_ref().and_then(|records| records.last_run(&self.cluster));
            let runs: Vec<RunRecord> = run.into_iter().collect();
            let health = match facts {
                Some(facts) => assess(facts.with_runs(&runs), runs, self.limits, seconds()),
                None => Health::unknown(self.location.to_string(), "not reached".into(), runs, self.limits),
            };
            metrics::text(&[health], seconds())
        };
        if let Some(listener) = &self.listener {
            listener.answer(ended, &text);
        }
    }
}

/// Answers with the state of the backups at these places, until the flag is set. What is there is looked up at most once a minute.
pub(crate) fn answer_of_places(
    listener: &Listener,
    session: &Session,
    places: &[Location],
    ended: &AtomicBool,
) -> Result<()> {
    let limits = limits(&session.configuration()?.map(Configuration::health).unwrap_or_default());
    let known: Mutex<Option<(Instant, String)>> = Mutex::default();
    listener.answer(ended, &|| {
        let mut known = known.locked();
        if let Some((_, text)) = known.as_ref().filter(|(found, _)| found.elapsed() < RENEWED) {
            return text.clone();
        }
        let text = metrics::text(&states(session, places, None, limits), seconds());
        *known = Some((Instant::now(), text.clone()));
        text
    });
    Ok(())
}
