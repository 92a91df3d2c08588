//! Whether CouchDB has stopped: data changes places only where nobody answers.
//!
//! What a service plugin reports is not enough. The command behind it may end before CouchDB does or may control something
//! else, and whatever watches over CouchDB may start it again.

use std::time::{Duration, Instant};

use cluster::identity::{Identity, Who, who_answers};
use cluster::on_all;
use node::{Node, Presence};
use outcome::{Failure, Result};
use plugin_host::State;

use crate::error::ChangeError;

/// How long CouchDB may go on answering after it was stopped.
const LIMIT: Duration = Duration::from_secs(30);
/// Between the first two looks; twice as long each time, up to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// How long connections have to be refused where the service plugin cannot report whether CouchDB runs: the port is closed
/// before the files are.
const UNKNOWN: Duration = Duration::from_secs(2);

/// What one look found.
enum Found {
    /// Nobody answers, and the service plugin agrees.
    Still,
    /// Nobody answers, and the service plugin cannot report more.
    Refused,
    /// It runs, or it cannot be known that it does not.
    Runs(String),
}

/// Whether another CouchDB may answer at the node's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// No: new data is not put where nobody can see whether it is accepted.
    Refused,
    /// Yes, if the service plugin reports that the node has stopped: old data comes back all the same.
    Tolerated,
}

/// Waits until CouchDB of a node that was stopped does not answer any more.
///
/// Fails where it still does after half a minute.
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

/// Looks once more at all nodes that had stopped, before the next thing is done that they must not see.
///
/// Fails where somebody answers at any of their addresses.
pub(super) fn check(nodes: &[Node]) -> Result<()> {
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
        (State::Running, _) => Found::Runs("its service runs again, as the plugin reports".into()),
        (State::Unknown, None) => Found::Refused,
        (State::Unknown, Some(why)) => Found::Runs(format!(
            "whether CouchDB runs cannot be seen: {why}, and the service plugin cannot report it"
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
