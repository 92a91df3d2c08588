//! Checks that CouchDB has stopped: data is swapped only if nothing answers.
//!
//! The report of a service plugin is not enough. Its command may end before CouchDB does or may control something else, and a
//! supervisor of CouchDB may start it again.

use std::time::{Duration, Instant};

use cluster::identity::{Identity, Who, who_answers};
use cluster::on_all;
use node::{Node, Presence};
use outcome::{Failure, Result};
use plugin_host::State;

use crate::error::ChangeError;

/// How long CouchDB may continue to answer after it was stopped.
const LIMIT: Duration = Duration::from_secs(30);
/// The pause between the first two checks, which doubles each time, and the longest pause.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// How long connections have to be refused if the service plugin cannot report whether CouchDB runs: the port is closed before
/// the files are.
const UNKNOWN: Duration = Duration::from_secs(2);

/// The result of one check.
enum Found {
    /// Nothing answers, and the service plugin reports that CouchDB has stopped.
    Still,
    /// Nothing answers, and the service plugin cannot report the state.
    Refused,
    /// CouchDB runs, or it is not certain that it has stopped.
    Runs(String),
}

/// Whether another CouchDB may answer at the node's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// No: new data is not put in place if its acceptance cannot be observed.
    Refused,
    /// Yes, if the service plugin reports that the node has stopped: old data is restored even then.
    Tolerated,
}

/// Waits until CouchDB of a stopped node does not answer any more.
///
/// Fails if it still answers after half a minute.
pub(super) fn wait(node: &Node, identity: &Identity, others: Others) -> Result<()> {
    let begun = Instant::now();
    let mut refused_since: Option<Instant> = None;
    let mut pause = PAUSES.0;
    // Asked once: a CouchDB that does not know the password counts how often it gets it.
    let mut who: Option<Who> = None;
    loop {
        let found = match look(node, others, &mut || {
            who.take_if(|who| matches!(who, Who::Nobody(_)));
            who.get_or_insert_with(|| who_answers(node, identity)).clone()
        }) {
            Found::Still => return Ok(()),
            Found::Refused => {
                if refused_since.get_or_insert_with(Instant::now).elapsed() >= UNKNOWN {
                    return Ok(());
                }
                None
            }
            Found::Runs(found) => {
                refused_since = None;
                Some(found)
            }
        };
        if let Some(found) = found
            && begun.elapsed() > LIMIT
        {
            return Err(still_answers(node, found));
        }
        std::thread::sleep(pause);
        pause = PAUSES.1.min(pause * 2);
    }
}

/// Checks all stopped nodes again before the next action that requires them to be stopped.
///
/// Fails if something answers at any of their addresses.
pub(crate) fn check(nodes: &[Node]) -> Result<()> {
    on_all(nodes, |_, node| match node.http.presence() {
        Presence::Answers(found) => Err(still_answers(node, format!("{found} again"))),
        Presence::Refused | Presence::Silent(_) => Ok(()),
    })?;
    Ok(())
}

fn look(node: &Node, others: Others, who: &mut dyn FnMut() -> Who) -> Found {
    let nobody_sure = match node.http.presence() {
        Presence::Refused => None,
        Presence::Silent(why) => Some(why),
        Presence::Answers(found) => match who() {
            Who::Another(other) if others == Others::Tolerated => Some(format!("{other} answers")),
            Who::Another(other) => return Found::Runs(format!("{other} answers in its place")),
            Who::Itself | Who::Nobody(_) | Who::Rejects(_) => return Found::Runs(found),
        },
    };
    let state = node.service.status().unwrap_or(State::Unknown);
    match (state, nobody_sure) {
        (State::Stopped, _) => Found::Still,
        (State::Running, _) => Found::Runs("its service runs again, according to the plugin".into()),
        (State::Unknown, None) => Found::Refused,
        (State::Unknown, Some(why)) => Found::Runs(format!(
            "it is not known whether CouchDB runs: {why}, and the service plugin cannot report the state"
        )),
    }
}

fn still_answers(node: &Node, found: String) -> Failure {
    ChangeError::StillAnswers {
        node: node.shown(),
        url: node.http.url().to_owned(),
        service: node.service.shown().to_owned(),
        found,
    }
    .into()
}
