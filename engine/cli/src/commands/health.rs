//! `couchcopy health`.

use std::path::PathBuf;

use clap::Args;
use operations::{Health as State, Limits, Status};
use outcome::Result;
use serde::Serialize;
use store::Location;

use crate::exit::Outcome;
use crate::flags::repository::seconds;
use crate::flags::store::location;
use crate::served::{in_a_line, limits, locations, not_written, states, write};
use crate::session::Session;

/// Show whether the backups are recent, complete and verified, for monitoring.
#[derive(Debug, Args)]
#[command(
    after_long_help = "The command prints one line and exits as a monitoring plugin does: with 0 (OK), 1 (WARNING), 2 (CRITICAL) \
    or 3 (UNKNOWN). After `|` come figures for graphs.\n\n\
    CRITICAL: there is no complete backup, the newest one is older than --max-age, or the last verification found damage.\n\
    WARNING: the newest backup is not complete, a backup cannot be read, no verification is newer than --max-unverified, or the \
    last `couchcopy run` on this machine failed.\n\
    UNKNOWN: the repository was not reached. Of several repositories the worst state counts: CRITICAL, UNKNOWN, WARNING.\n\n\
    Verifications count if `couchcopy verify` or `couchcopy run` made them on this machine, as the same user. On a machine that \
    does not verify, use --max-unverified 0s. If the repository holds backups of several sources, each source counts.\n\n\
    Examples:\n  \
    couchcopy health\n  \
    couchcopy health --max-age 2h --max-unverified 0s s3://backups/couchdb\n  \
    couchcopy health --max-age 26h /backups\n  \
    couchcopy health --metrics /var/lib/prometheus/node-exporter/cc.prom"
)]
pub(crate) struct Health {
    /// The repository, or a directory that holds archives [default: all repositories of the configuration file].
    #[arg(value_name = "REPO|DIR", value_parser = location())]
    place: Option<Location>,

    /// Greatest age of the newest complete backup [default: 26h].
    #[arg(long, value_name = "DURATION", value_parser = seconds, help_heading = "Limits")]
    max_age: Option<u64>,

    /// Greatest age of the last verification [default: 8d]; 0s expects none.
    #[arg(long, value_name = "DURATION", value_parser = seconds, help_heading = "Limits")]
    max_unverified: Option<u64>,

    /// Only the backups of this node, machine or data directory in a repository.
    #[arg(long, value_name = "NODE", help_heading = "Limits")]
    source: Option<String>,

    /// Write the figures into FILE, for the textfile collector of Prometheus' node_exporter.
    #[arg(long, value_name = "FILE", help_heading = "Metrics")]
    metrics: Option<PathBuf>,
}

/// The state of all places, as `--json` prints it.
#[derive(Serialize)]
struct States {
    status: Status,
    exit_code: u8,
    line: String,
    places: Vec<State>,
}

impl Health {
    /// Carries it out. Every failure is the state UNKNOWN.
    #[allow(clippy::unnecessary_wraps)] // As all commands are run.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let states = self.examine(session).unwrap_or_else(|failure| unknown(&in_a_line(&failure)));
        session.answer(&states, |states| states.line.clone());
        Ok(Outcome::Ended(states.exit_code))
    }

    fn examine(&self, session: &Session) -> Result<States> {
        let table = session.configuration()?.map(configuration::Configuration::health).unwrap_or_default();
        let usual = limits(&table);
        let limits = Limits {
            max_age: self.max_age.unwrap_or(usual.max_age),
            max_unverified: self.max_unverified.unwrap_or(usual.max_unverified),
        };
        let places = match &self.place {
            Some(place) => vec![place.clone()],
            None => locations(session.configured()?)?,
        };
        let of = self.source.as_deref();
        let mut places = states(session, &places, of, limits);
        // A look at one place must not take the others out of the file that the configuration names.
        let is_complete = self.place.is_none() && self.source.is_none();
        let configured = table.metrics_file.as_deref().filter(|_| is_complete);
        if let Some(file) = self.metrics.as_deref().or(configured) {
            // It says nothing about the backups: their state is told all the same.
            if let (Err(failure), Some(first)) = (write(file, &places), places.first_mut()) {
                first.also(Status::Warning, not_written(&failure));
            }
        }
        Ok(together(places))
    }
}

/// The worst of all states, in one line.
fn together(places: Vec<State>) -> States {
    let status = places.iter().map(|place| place.status).max().unwrap_or(Status::Unknown);
    let line = match &places[..] {
        [place] => place.line(),
        places => {
            let all: Vec<String> = places.iter().map(State::said).collect();
            format!("{} - {}", status.word(), all.join("; "))
        }
    };
    States { status, exit_code: status.code(), line, places }
}

fn unknown(said: &str) -> States {
    let status = Status::Unknown;
    let said: String = said.chars().map(|c| if c.is_control() || c == '|' { ' ' } else { c }).collect();
    let line = format!("{} - {said}", status.word());
    States { status, exit_code: status.code(), line, places: Vec::new() }
}
