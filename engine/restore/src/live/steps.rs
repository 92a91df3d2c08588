//! What happens on all nodes once the new data lies beside the old one, and how it is undone.

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

/// What came of an exchange.
pub(super) struct Exchanged {
    pub(super) agreement: Agreement,
    /// Seconds.
    pub(super) service_down: f64,
}

/// Stops all nodes, exchanges the data, starts them and waits until they agree. `identities` is what is known of each node.
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
    reporter.phase("exchanging the data", None);
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
    reporter.timing("data exchanged", begun.elapsed().as_secs_f64());
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
                steps.done("shard maps made", first);
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
