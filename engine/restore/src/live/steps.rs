//! The switch-over on all nodes after staging.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use cluster::agreement::{self, Agreement, Expected};
use cluster::identity::Identity;
use cluster::{on_all, on_each};
use node::Node;
use outcome::Result;
use outcome::report::{Reporter, Steps};

use super::standstill::Others;
use super::{MapsBy, PlannedRestore, kept, maps_http, standstill, warn};
use crate::error::ChangeError;
use crate::swap::{self, Journal, Phase, Places, Situation};

/// The result of a switch-over.
pub(super) struct Exchanged {
    pub(super) agreement: Agreement,
    /// Seconds.
    pub(super) service_down: f64,
}

/// Stops all nodes, swaps the data, starts the nodes and waits until they agree. `identities` is what is known about each node.
pub(super) fn exchange(
    planned: &PlannedRestore,
    nodes: &[Node],
    identities: &[Identity],
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
    stop(nodes, identities, steps)?;
    reporter.timing("nodes stopped", begun.elapsed().as_secs_f64());
    reporter.phase("swapping the data", None);
    standstill::check(nodes)?;
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
    let exchanged = Instant::now();
    reporter.timing("data swapped", begun.elapsed().as_secs_f64());
    standstill::check(nodes)?;
    let expected = Expected { identities, exchanged: Some(exchanged) };
    start_and_wait(planned, nodes, &expected, begun, steps, interrupted, reporter)
}

/// Starts all nodes on the new data and waits until they agree.
pub(super) fn start_and_wait(
    planned: &PlannedRestore,
    nodes: &[Node],
    expected: &Expected<'_>,
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
        expected,
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
                maps_http::write(&planned.contents, &planned.plan, &planned.restore, first, reporter)?;
                steps.done("shard maps created", first);
            }
            Ok(())
        },
    )?;
    if !agreement.agreed && !agreement.interrupted {
        let (differences, lasting) = (agreement.differences, agreement.lasting);
        return Err(ChangeError::Disagreement { differences, lasting }.into());
    }
    Ok(Exchanged { agreement, service_down })
}

fn stop(nodes: &[Node], identities: &[Identity], steps: &Steps<'_>) -> Result<()> {
    on_all(nodes, |i, node| {
        node.service.stop()?;
        standstill::wait(node, &identities[i], Others::Refused)?;
        steps.done("stopped", node);
        Ok(())
    })?;
    Ok(())
}

/// Removes the copied data after a failure that has replaced nothing; if an id is given, only the data of that restore.
pub(super) fn discard(nodes: &[Node], id: Option<&str>, steps: &Steps<'_>, reporter: &dyn Reporter) {
    reporter.phase("removing the copied data", None);
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
                    "the data copied to {} is still there: {error}. `couchcopy restore --roll-back` removes it.",
                    node.shown()
                ),
            );
        }
    }
}

/// The result of accepting the new data.
pub(super) struct Accepted {
    /// Whether every node has recorded it; if not, `--resume` continues.
    pub(super) written_down: bool,
    /// Whether the old data is still there.
    pub(super) old_kept: bool,
}

/// Records that the new data is good, and removes the old data unless it is to be kept.
///
/// A failure does not roll back any more: the nodes agree on the new data, and the old data is only kept.
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
                "all nodes agree on the new data, but that could not be recorded: {error}. The old data is kept; `couchcopy \
                 restore --resume` continues, `couchcopy restore --roll-back` restores the old data."
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
        warn(reporter, format!("cannot remove the old data: {error}. `couchcopy clean` tries again."));
    }
    Accepted { written_down: true, old_kept }
}

/// Removes the leftovers of a restore on nodes. All nodes record the removal before the first node loses its old data, so that a
/// roll back on the other nodes is not possible.
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
