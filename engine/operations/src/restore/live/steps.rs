//! What happens on all nodes once the new data lies beside the old one, and how it is undone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use node::Node;

use super::{MapsBy, PlannedRestore, kept, maps_http, warn};
use crate::agreement::{self, Agreement};
use crate::cluster::{on_all, on_each};
use crate::error::{OperationError, Result};
use crate::report::{Reporter, Steps};
use crate::swap::{self, Journal, NodeState, Phase, Places, Situation};

/// How long nodes may take to answer after the old data is back, before that is told.
const BACK: Duration = Duration::from_secs(120);

/// What came of an exchange.
pub(super) struct Exchanged {
    pub(super) agreement: Agreement,
    /// Seconds.
    pub(super) service_down: f64,
}

/// Stops all nodes, exchanges the data, starts them and waits until they agree.
pub(super) fn exchange(
    planned: &PlannedRestore,
    nodes: &[Node],
    journals: &mut [Journal],
    steps: &Steps<'_>,
    interrupted: &AtomicBool,
    reporter: &dyn Reporter,
) -> Result<Exchanged> {
    let half_moved = on_all(nodes, |i, node| {
        Ok(journals[i].phase == Phase::Swapping && swap::look(node)?.situation != Situation::Staged)
    })?;
    let decide = |i: usize, node: &Node| {
        let mut journal = journals[i].clone();
        if !half_moved[i] {
            Places::of(node).decide(node, &mut journal)?;
            steps.done("decided", node);
        }
        Ok(journal)
    };
    let decided = on_all(nodes, decide)?;
    reporter.phase("stopping CouchDB", None);
    let begun = Instant::now();
    stop(nodes, steps)?;
    reporter.timing("nodes stopped", begun.elapsed().as_secs_f64());
    reporter.phase("exchanging the data", None);
    let decided = on_all(nodes, |i, node| {
        let mut journal = decided[i].clone();
        if half_moved[i] {
            Places::of(node).forward(node)?;
        } else {
            Places::of(node).exchange(node, &mut journal)?;
        }
        steps.done("exchanged", node);
        Ok(journal)
    })?;
    journals.clone_from_slice(&decided);
    reporter.timing("data exchanged", begun.elapsed().as_secs_f64());
    start_and_wait(planned, nodes, begun, steps, interrupted, reporter)
}

/// Starts all nodes on the new data and waits until they agree.
pub(super) fn start_and_wait(
    planned: &PlannedRestore,
    nodes: &[Node],
    begun: Instant,
    steps: &Steps<'_>,
    interrupted: &AtomicBool,
    reporter: &dyn Reporter,
) -> Result<Exchanged> {
    reporter.phase("starting CouchDB", None);
    on_all(nodes, |_, node| {
        node.service.start()?;
        steps.done("started", node);
        Ok(())
    })?;
    let mut service_down = 0.0;
    let agreement = agreement::wait(
        nodes,
        &planned.plan.promised,
        planned.options.wait,
        planned.options.maps == MapsBy::Http,
        interrupted,
        reporter,
        &mut || {
            service_down = begun.elapsed().as_secs_f64();
            reporter.timing("service back", service_down);
            if planned.options.maps == MapsBy::Http
                && let Some(first) = nodes.first()
            {
                maps_http::write(&planned.survey, &planned.plan, &planned.restore, first, reporter)?;
                steps.done("shard maps made", first);
            }
            Ok(())
        },
    )?;
    if !agreement.agreed && !agreement.interrupted {
        return Err(OperationError::Disagreement { differences: agreement.differences });
    }
    Ok(Exchanged { agreement, service_down })
}

fn stop(nodes: &[Node], steps: &Steps<'_>) -> Result<()> {
    on_all(nodes, |_, node| {
        node.service.stop()?;
        steps.done("stopped", node);
        Ok(())
    })?;
    Ok(())
}

/// Removes what was copied, after a failure that has replaced nothing; only what belongs to the restore of this id, if one
/// is given.
pub(super) fn discard(nodes: &[Node], id: Option<&str>, steps: &Steps<'_>, reporter: &dyn Reporter) {
    reporter.phase("removing what was copied", None);
    for (node, removed) in nodes.iter().zip(on_each(nodes, |_, node| {
        // What another restore has there is its own business; it may be why this one failed.
        if let (Some(id), Some(journal)) = (id, Places::of(node).journal(node)?)
            && journal.id != id
        {
            return Ok(());
        }
        Places::of(node).remove(node)?;
        steps.done("discarded", node);
        Ok(())
    })) {
        if let Err(error) = removed {
            warn(
                reporter,
                format!(
                    "what was copied to {} is still there: {error}. `couchcopy restore --roll-back` removes it.",
                    node.shown()
                ),
            );
        }
    }
}

/// Brings the old data back where an exchange failed, and tells both.
pub(super) fn or_undo(
    exchanged: Result<Exchanged>,
    nodes: &[Node],
    steps: &Steps<'_>,
    interrupted: &AtomicBool,
    reporter: &dyn Reporter,
) -> Result<Exchanged> {
    let error = match exchanged {
        Ok(exchanged) => return Ok(exchanged),
        Err(error) => error,
    };
    warn(reporter, format!("{error}; bringing the old data back"));
    // Undoing is not to be interrupted.
    interrupted.store(false, Ordering::Relaxed);
    match undo(nodes, steps, reporter) {
        Ok(()) => Err(OperationError::Undone { source: Box::new(error) }),
        Err(undoing) => Err(OperationError::HalfDone { source: Box::new(error), undoing: Box::new(undoing) }),
    }
}

/// Brings the old data back on all nodes, starts them, and removes the rest.
///
/// A node that cannot be looked at, or stopped where it may run on new data, keeps the others from being started: old and new
/// data must not meet in one cluster. Their files are put back all the same.
pub(super) fn undo(nodes: &[Node], steps: &Steps<'_>, reporter: &dyn Reporter) -> Result<()> {
    reporter.phase("bringing the old data back", None);
    let states: Vec<Result<NodeState>> = on_each(nodes, |_, node| swap::look(node));
    let is_changed = |state: &Result<NodeState>| !matches!(state, Ok(state) if state.old_in_place());
    let anything_changed = states.iter().any(is_changed);
    for (node, state) in
        nodes.iter().zip(&states).filter_map(|(node, state)| Some((node, state.as_ref().ok()?)))
    {
        swap::check_journal(node, state)?;
        if state.situation == Situation::Removing {
            return Err(OperationError::refused(
                "the old data is being removed already: it cannot be brought back",
                "`couchcopy clean` removes the rest of it.",
            ));
        }
        // While old data is in place somewhere, journals are everywhere; they go last.
        if state.tells_nothing() && states.iter().flatten().any(|other| !other.old_in_place()) {
            return Err(OperationError::refused(
                format!(
                    "{} has no old data any more, so that the other nodes' cannot be brought back",
                    node.shown()
                ),
                "`couchcopy clean` removes the rest of it.",
            ));
        }
    }
    // It is to be seen from the folders how far this gets.
    on_all(nodes, |i, node| {
        if matches!(&states[i], Ok(state) if state.situation == Situation::Done) {
            Places::of(node).reopened(node)?;
            steps.done("reopened", node);
        }
        Ok(())
    })?;
    let put_back = on_each(nodes, |i, node| {
        let known = match &states[i] {
            Ok(state) => state,
            // The first look may have met a connection that broke this moment.
            Err(_) => &swap::look(node)?,
        };
        if anything_changed {
            node.service.stop()?;
            steps.done("stopped again", node);
        }
        if !known.old_in_place() {
            Places::of(node).backward(node)?;
            steps.done("put back", node);
        }
        Ok(())
    });
    let mut failed: Option<OperationError> = None;
    for (result, state) in put_back.into_iter().zip(&states) {
        if let Err(error) = result
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
    let started = on_all(nodes, |_, node| {
        node.service.start()?;
        steps.done("started again", node);
        Ok(())
    });
    on_all(nodes, |_, node| {
        Places::of(node).undone(node)?;
        steps.done("undone", node);
        Ok(())
    })?;
    started?;
    let begun = Instant::now();
    while on_each(nodes, |_, node| Ok(node.http.is_up_soon()?)).iter().any(|up| !matches!(up, Ok(true))) {
        if begun.elapsed() > BACK {
            warn(reporter, "the nodes were started on their old data, but not all of them answer yet".into());
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    discard(nodes, None, steps, reporter);
    Ok(())
}

/// What came of accepting the new data.
pub(super) struct Accepted {
    /// Whether every node has it written down; else resuming goes on.
    pub(super) written_down: bool,
    /// Whether the old data is still there.
    pub(super) old_kept: bool,
}

/// Writes down that the new data is good, and removes the old one unless it is to be kept.
///
/// Nothing is undone any more if that fails: the nodes agree on the new data, and the old one is only kept.
pub(super) fn accept(
    nodes: &[Node],
    agreement: &Agreement,
    keep_old: bool,
    steps: &Steps<'_>,
    reporter: &dyn Reporter,
) -> Accepted {
    if !agreement.agreed {
        return Accepted { written_down: false, old_kept: true };
    }
    let written_down = on_all(nodes, |_, node| {
        Places::of(node).done(node)?;
        steps.done("accepted", node);
        Ok(())
    });
    if let Err(error) = written_down {
        warn(
            reporter,
            format!(
                "all nodes agree on the new data, but that could not be written down: {error}. The old data is kept; \
                 `couchcopy restore --resume` goes on, `couchcopy restore --roll-back` brings it back."
            ),
        );
        return Accepted { written_down: false, old_kept: true };
    }
    if keep_old {
        return Accepted { written_down: true, old_kept: true };
    }
    reporter.phase("removing the old data", None);
    let begun = Instant::now();
    let removed = remove_all(nodes, steps, "old data removed");
    reporter.timing("old data removed", begun.elapsed().as_secs_f64());
    // The restore itself has succeeded.
    let old_kept = removed.is_err();
    if let Err(error) = removed {
        warn(reporter, format!("the old data could not be removed: {error}. `couchcopy clean` tries again."));
    }
    Accepted { written_down: true, old_kept }
}

/// Removes what is left of a restore on nodes. Before the first of them has lost its old data all have written down that it
/// goes, so that nobody brings it back on the others.
pub(crate) fn remove_all(nodes: &[Node], steps: &Steps<'_>, step: &str) -> Result<()> {
    on_all(nodes, |_, node| {
        if swap::look(node)?.situation == Situation::Done {
            Places::of(node).removing(node)?;
            steps.done("old data given up", node);
        }
        Ok(())
    })?;
    on_all(nodes, |_, node| {
        let (places, situation) = (Places::of(node), swap::look(node)?.situation);
        if situation == Situation::Removing {
            kept::keep(node, &places.old)?;
        }
        if situation != Situation::Untouched {
            places.remove(node)?;
        }
        steps.done(step, node);
        Ok(())
    })?;
    Ok(())
}
