//! The phases of a restore once the new data lies next to the old one: staged, stopped, exchanged, agreed.
//!
//! Each phase is a type, and the only way to the next one is its method. A restore that goes on after an interruption begins
//! with the phase that its journals name; whatever phase it fails in, [`Run::or_roll_back`] brings the old data back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use cluster::agreement::{self, Agreement, Expected, Promised, WaitOptions};
use cluster::identity::Identity;
use cluster::{ClusterError, on_all};
use node::Node;
use outcome::report::{Reporter, Steps};
use outcome::{Code, Failure, Result};

use super::removal::remove_all;
use super::standstill::Others;
use super::undoing::{self, Undone};
use super::{PlannedRestore, maps_http, standstill, warn};
use crate::error::ChangeError;
use crate::swap::{self, Change, Journal, Phase, Places, Situation};

/// Refuses if the user has interrupted before anything was replaced.
pub(crate) fn refuse_interrupted(interrupted: &AtomicBool) -> Result<()> {
    if !interrupted.load(Ordering::Relaxed) {
        return Ok(());
    }
    Err(Failure::refused(
        Code::new("CC-R34"),
        "interrupted before anything was replaced",
        "Run the same command again.",
    ))
}

/// What all phases need.
#[derive(Clone, Copy)]
pub(crate) struct Run<'r> {
    /// What is being changed.
    pub(crate) change: Change,
    /// The databases that have to open in the end.
    pub(crate) promised: &'r Promised,
    pub(crate) wait: WaitOptions,
    /// Whether shard maps are sent from node to node after the start.
    pub(crate) maps_first: bool,
    /// A restore that creates the shard maps through HTTP after the start.
    pub(crate) creates_maps: Option<&'r PlannedRestore>,
    /// The nodes whose data is replaced.
    pub(crate) nodes: &'r [Node],
    /// All nodes of the cluster, beginning with those whose data is replaced.
    pub(crate) cluster: &'r [Node],
    /// What is known of each node.
    pub(crate) identities: &'r [Identity],
    /// What is known of each node that has been started on the new data.
    pub(crate) started_as: &'r [Identity],
    pub(crate) steps: &'r Steps<'r>,
    pub(crate) interrupted: &'r AtomicBool,
    pub(crate) reporter: &'r dyn Reporter,
}

/// The new data is complete on every node, next to the old one. CouchDB runs.
pub(super) struct Staged<'r> {
    run: Run<'r>,
    journals: Vec<Journal>,
}

/// All nodes are stopped.
pub(super) struct Stopped<'r> {
    run: Run<'r>,
    journals: Vec<Journal>,
    /// Whether an earlier run was interrupted while this node's data was being moved.
    half_moved: Vec<bool>,
    since: Instant,
}

/// The new data is in place on every node.
pub(super) struct Exchanged<'r> {
    run: Run<'r>,
    /// Since when it is in place, if that is known.
    in_place: Option<Instant>,
    /// When the first node was stopped.
    stopped: Instant,
}

/// All nodes run on the new data and agree, or the wait was interrupted.
pub(crate) struct Agreed<'r> {
    run: Run<'r>,
    pub(crate) agreement: Agreement,
    /// For how long CouchDB did not answer, in seconds.
    pub(crate) service_down: f64,
}

impl<'r> Run<'r> {
    /// Goes through all phases that are left after staging.
    pub(crate) fn finish_staged(self, journals: Vec<Journal>) -> Result<Agreed<'r>> {
        Staged { run: self, journals }.stop()?.exchange()?.start()
    }

    /// Goes through all phases that are left after staging while all nodes were stopped, since this moment.
    pub(crate) fn finish_stopped(self, journals: Vec<Journal>, since: Instant) -> Result<Agreed<'r>> {
        Staged { run: self, journals }.stopped(since)?.exchange()?.start()
    }

    /// Stops CouchDB everywhere, and waits until it does not answer any more.
    pub(crate) fn stop(self) -> Result<()> {
        let Self { nodes, identities, steps, .. } = self;
        on_all(nodes, |i, node| {
            node.service.stop()?;
            standstill::wait(node, &identities[i], Others::Refused)?;
            steps.done("stopped", node);
            Ok(())
        })?;
        Ok(())
    }

    /// Goes through the phases that are left after an exchange that an earlier run has finished.
    pub(crate) fn finish_exchanged(self) -> Result<Agreed<'r>> {
        Exchanged { run: self, in_place: None, stopped: Instant::now() }.start()
    }

    /// Brings the old data back if a phase failed, and reports both.
    pub(crate) fn or_roll_back(self, agreed: Result<Agreed<'r>>) -> Result<Agreed<'r>> {
        let error = match agreed {
            Ok(agreed) => return Ok(agreed),
            Err(error) => error,
        };
        warn(self.reporter, format!("{error}; rolling back to the old data"));
        // This must not be interrupted.
        self.interrupted.store(false, Ordering::Relaxed);
        let source = Box::new(error);
        let ran = match source.get::<ClusterError>() {
            Some(ClusterError::RanMeanwhile { node, .. }) => Some(node.clone()),
            _ => None,
        };
        match undoing::undo(self.nodes, self.identities, ran.as_deref(), self.steps, self.reporter) {
            Ok(Undone::Something) => Err(ChangeError::Undone { change: self.change, source }.into()),
            Ok(Undone::Nothing) => Err(ChangeError::Unchanged { change: self.change, source }.into()),
            Err(undoing) => {
                let (change, undoing) = (self.change, Box::new(undoing));
                Err(ChangeError::HalfDone { change, source, undoing }.into())
            }
        }
    }
}

impl<'r> Staged<'r> {
    /// Decides on every node that the data is exchanged, and stops CouchDB everywhere.
    fn stop(self) -> Result<Stopped<'r>> {
        let (run, decided) = (self.run, self.decide()?);
        run.reporter.phase("stopping CouchDB", None);
        let since = Instant::now();
        run.stop()?;
        run.reporter.timing("nodes stopped", since.elapsed().as_secs_f64());
        Ok(Stopped { since, ..decided })
    }

    /// Decides on every node that the data is exchanged. CouchDB has been stopped everywhere since this moment.
    fn stopped(self, since: Instant) -> Result<Stopped<'r>> {
        Ok(Stopped { since, ..self.decide()? })
    }

    fn decide(self) -> Result<Stopped<'r>> {
        let Self { run, journals } = self;
        let Run { nodes, steps, .. } = run;
        let half_moved = on_all(nodes, |i, node| {
            Ok(journals[i].phase == Phase::Swapping && swap::look(node)?.situation != Situation::Staged)
        })?;
        let decided = on_all(nodes, |i, node| {
            let mut journal = journals[i].clone();
            if !half_moved[i] {
                Places::of(node).decide(node, &mut journal)?;
                steps.done("decided", node);
            }
            Ok(journal)
        })?;
        Ok(Stopped { run, journals: decided, half_moved, since: Instant::now() })
    }
}

impl<'r> Stopped<'r> {
    /// Moves the old data away and the new data to its place.
    fn exchange(self) -> Result<Exchanged<'r>> {
        let Self { run, journals, half_moved, since } = self;
        let Run { nodes, steps, reporter, .. } = run;
        reporter.phase("swapping the data", None);
        standstill::check(nodes)?;
        on_all(nodes, |i, node| {
            if half_moved[i] {
                Places::of(node).forward(node)?;
            } else {
                Places::of(node).exchange(node, &mut journals[i].clone())?;
            }
            steps.done("exchanged", node);
            Ok(())
        })?;
        let in_place = Some(Instant::now());
        reporter.timing("data swapped", since.elapsed().as_secs_f64());
        standstill::check(nodes)?;
        Ok(Exchanged { run, in_place, stopped: since })
    }
}

impl<'r> Exchanged<'r> {
    /// Starts all nodes on the new data and waits until they agree.
    fn start(self) -> Result<Agreed<'r>> {
        let Self { run, in_place, stopped } = self;
        let Run { promised, wait, creates_maps, nodes, started_as, steps, interrupted, reporter, .. } = run;
        let expected = Expected { identities: started_as, exchanged: in_place, restarted: nodes.len() };
        reporter.phase("starting CouchDB", None);
        on_all(nodes, |_, node| {
            node.service.start()?;
            steps.done("started", node);
            Ok(())
        })?;
        let mut service_down = 0.0;
        let agreement = agreement::wait(
            run.cluster,
            &expected,
            promised,
            wait,
            run.maps_first,
            interrupted,
            reporter,
            &mut || {
                service_down = stopped.elapsed().as_secs_f64();
                reporter.timing("service back", service_down);
                if let (Some(planned), Some(first)) = (creates_maps, nodes.first()) {
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
        Ok(Agreed { run, agreement, service_down })
    }
}

/// The result of accepting the new data.
pub(crate) struct Accepted {
    /// Whether every node has recorded it; if not, `--resume` continues.
    pub(crate) written_down: bool,
    /// Whether the old data is still there.
    pub(crate) old_kept: bool,
}

impl Agreed<'_> {
    /// Records that the new data is good, and removes the old data unless it is to be kept.
    ///
    /// A failure does not roll back any more: the nodes agree on the new data, and the old data is only kept.
    pub(crate) fn accept(&self, keep_old: bool) -> Accepted {
        let Run { change, nodes, steps, reporter, .. } = self.run;
        let command = change.command();
        let agreement = &self.agreement;
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
                     {command} --resume` continues, `couchcopy {command} --roll-back` restores the old data."
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
        // The change itself has succeeded.
        let old_kept = removed.is_err();
        if let Err(error) = removed {
            warn(reporter, format!("cannot remove the old data: {error}. `couchcopy clean` tries again."));
        }
        Accepted { written_down: true, old_kept }
    }
}
