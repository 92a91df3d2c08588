//! Rolls back to the old data after a failed switch-over, and on request.

use std::time::{Duration, Instant};

use cluster::identity::{Identity, Who, was_running, who_answers};
use cluster::{on_all, on_each};
use node::Node;
use outcome::report::{Reporter, Steps};
use outcome::{Code, Failure, Result};
use plugin_host::State;

use super::removal::discard;
use super::standstill::Others;
use super::{standstill, warn};
use crate::error::ChangeError;
use crate::swap::{self, NodeState, Places, Situation};

/// How long nodes may take to answer after the roll back before that is reported.
const BACK: Duration = Duration::from_secs(120);
/// How long to wait if another CouchDB answers, the name and password are refused, or the service has stopped, which waiting does
/// not change; and the pause between queries then, because each refusal counts.
const NEVER: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(2));
/// When service plugins are queried about nodes that do not answer.
const ASK_SERVICE: Duration = Duration::from_secs(20);
/// How long a node is watched that still answered after its stop, and so was not started: it may stop late.
const LATE: Duration = Duration::from_secs(2);

/// What was rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undone {
    /// Nothing: all nodes run on the data that they had.
    Nothing,
    /// Data was moved back, or nodes had been stopped.
    Something,
}

/// Rolls back to the old data on all nodes, starts nodes that do not run, and removes the rest.
///
/// If a node cannot be inspected, or cannot be stopped while it may run on new data, the other nodes are not started: old and new
/// data must not meet in one cluster. Their files are still put back. The same holds if CouchDB of the node `ran`, which ran while
/// its data was swapped, turns out not to have been stopped for the roll back either.
pub(super) fn undo(
    nodes: &[Node],
    identities: &[Identity],
    ran: Option<&str>,
    steps: &Steps<'_>,
    reporter: &dyn Reporter,
) -> Result<Undone> {
    reporter.phase("rolling back to the old data", None);
    let states: Vec<Result<NodeState>> = on_each(nodes, |_, node| swap::look(node));
    let is_changed = |state: &Result<NodeState>| !matches!(state, Ok(state) if state.old_in_place());
    let anything_changed = states.iter().any(is_changed);
    for (node, state) in
        nodes.iter().zip(&states).filter_map(|(node, state)| Some((node, state.as_ref().ok()?)))
    {
        swap::check_journal(node, state)?;
    }
    let known: Vec<(&Node, &NodeState)> =
        nodes.iter().zip(&states).filter_map(|(node, state)| Some((node, state.as_ref().ok()?))).collect();
    refuse_removed(&known)?;
    // It is to be seen from the folders how far this gets.
    on_all(nodes, |i, node| {
        if matches!(&states[i], Ok(state) if state.situation == Situation::Done) {
            Places::of(node).reopened(node)?;
            steps.done("reopened", node);
        }
        Ok(())
    })?;
    // All before any: what still runs on new data writes into the old data of a node that was never stopped, and the comparison
    // that follows has to see that.
    let stopped: Vec<Result<bool>> = on_each(nodes, |i, node| {
        let in_place = match &states[i] {
            Ok(state) => state.old_in_place(),
            // The first look may have met a connection that broke this moment.
            Err(_) => swap::look(node)?.old_in_place(),
        };
        if anything_changed {
            node.service.stop()?;
            standstill::wait(node, &identities[i], Others::Tolerated)?;
            steps.done("stopped again", node);
        }
        Ok(in_place)
    });
    let put_back = on_each(nodes, |i, node| {
        if let Ok(false) = stopped[i] {
            Places::of(node).backward(node)?;
            steps.done("put back", node);
        }
        Ok(())
    });
    let in_place = Instant::now();
    let mut failed: Option<Failure> = None;
    for ((stopped, put_back), state) in stopped.into_iter().zip(put_back).zip(&states) {
        if let Err(error) = stopped.and(put_back)
            && (is_changed(state) || failed.is_none())
        {
            failed = Some(error);
        }
    }
    if let Some(error) = failed
        && anything_changed
    {
        return Err(error);
    }
    let alone = ran.and_then(|ran| nodes.iter().position(|node| node.shown() == ran));
    if let Some(i) = alone {
        nodes[i].service.start()?;
        steps.done("started again", &nodes[i]);
        was_stopped(&nodes[i], &identities[i], in_place)?;
    }
    // CouchDB would make databases without documents on it, and with other security objects.
    let empty: Vec<bool> = on_each(nodes, |i, node| {
        let is_one_node = matches!(&states[i], Ok(state) if state.is_of_one_node());
        Ok(is_one_node && swap::look(node)?.is_empty())
    })
    .into_iter()
    .map(|empty| empty.unwrap_or(false))
    .collect();
    for (node, _) in nodes.iter().zip(&empty).filter(|(_, empty)| **empty) {
        warn(reporter, format!("{} had no data before, and was not started", node.shown()));
    }
    let started = on_all(nodes, |i, node| {
        if alone == Some(i) || empty[i] {
            return Ok(true);
        }
        // What runs on the data that it had needs no start, and its plugin may be what does not work.
        let start = anything_changed || who_answers(node, &identities[i]) != Who::Itself;
        if start {
            node.service.start()?;
            steps.done("started again", node);
        }
        Ok(start)
    });
    on_all(nodes, |_, node| {
        Places::of(node).undone(node)?;
        steps.done("undone", node);
        Ok(())
    })?;
    let mut started = started?;
    wait_until_back(nodes, identities, &empty, &mut started, reporter)?;
    discard(nodes, None, steps, reporter);
    let nothing = !anything_changed && started.iter().all(|started| !started);
    Ok(if nothing { Undone::Nothing } else { Undone::Something })
}

/// Fails if the old data of a node has been removed, or is being removed.
pub(crate) fn refuse_removed(states: &[(&Node, &NodeState)]) -> Result<()> {
    for (node, state) in states {
        if state.situation == Situation::Removing {
            return Err(Failure::refused(
                Code::new("CC-R36"),
                "the old data is being removed already and cannot be restored",
                "Run `couchcopy clean` to remove the rest of the old data.",
            ));
        }
        // While old data is in place somewhere, journals are everywhere; they go last.
        if state.tells_nothing() && states.iter().any(|(_, other)| !other.old_in_place()) {
            return Err(Failure::refused(
                Code::new("CC-R37"),
                format!(
                    "{} has no old data any more, so the old data of the other nodes cannot be restored",
                    node.shown()
                ),
                "Run `couchcopy clean` to remove the rest of the old data.",
            ));
        }
    }
    Ok(())
}

/// Fails unless CouchDB of a node, which was told to start, began after its old data was `in_place`.
fn was_stopped(node: &Node, identity: &Identity, in_place: Instant) -> Result<()> {
    let begun = Instant::now();
    let found = loop {
        let answer = match who_answers(node, identity) {
            Who::Itself => was_running(node, in_place).map_err(|error| error.to_string()),
            Who::Nobody(why) | Who::Rejects(why) => Err(why),
            Who::Another(found) => Err(format!("at {} {found} answers in its place", node.http.url())),
        };
        match answer {
            Ok(None) => return Ok(()),
            Ok(Some((uptime, _))) => break format!("has been running for {} s", uptime.as_secs()),
            Err(why) if begun.elapsed() > BACK => break format!("does not answer ({why})"),
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    };
    Err(ChangeError::NeverStopped { node: node.shown(), found }.into())
}

/// Waits until all nodes answer, and reports it if that takes too long. A node that was not started because it answered is
/// started if it stops answering. A node that is `empty` is not waited for.
fn wait_until_back(
    nodes: &[Node],
    identities: &[Identity],
    empty: &[bool],
    started: &mut [bool],
    reporter: &dyn Reporter,
) -> Result<()> {
    let begun = Instant::now();
    loop {
        let looked = on_each(nodes, |i, node| {
            if empty[i] {
                return Ok((false, false, None));
            }
            let who = who_answers(node, &identities[i]);
            let late = !started[i] && matches!(who, Who::Nobody(_));
            if late {
                node.service.start()?;
            }
            let never = match &who {
                Who::Another(_) | Who::Rejects(_) => true,
                Who::Nobody(_) => {
                    begun.elapsed() > ASK_SERVICE && matches!(node.service.status(), Ok(State::Stopped))
                }
                Who::Itself => false,
            };
            let missing = match who {
                Who::Itself => None,
                Who::Nobody(why) | Who::Rejects(why) => Some(why),
                Who::Another(found) => Some(format!("at {} {found} answers in its place", node.http.url())),
            };
            Ok((late, never, missing))
        });
        let (mut missing, mut never) = (Vec::new(), false);
        for (i, found) in looked.into_iter().enumerate() {
            let (late, of_other, of_node) = found?;
            started[i] |= late;
            never |= of_other;
            missing.extend(of_node.map(|why| format!("{}: {why}", nodes[i].shown())));
        }
        let may_stop_late = started.iter().any(|started| !started) && begun.elapsed() < LATE;
        if missing.is_empty() && !may_stop_late {
            return Ok(());
        }
        if begun.elapsed() > if never { NEVER.0 } else { BACK } {
            warn(
                reporter,
                format!(
                    "the nodes were started on their old data, but not all of them answer: {}. `couchcopy service status` shows \
                     whether they run.",
                    missing.join("; ")
                ),
            );
            return Ok(());
        }
        std::thread::sleep(match begun.elapsed() {
            _ if never => NEVER.1,
            elapsed if elapsed > ASK_SERVICE => NEVER.1,
            _ => Duration::from_millis(100),
        });
    }
}
