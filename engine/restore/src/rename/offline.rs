//! Renames nodes that are stopped, and stay stopped.

use cluster::on_all;
use node::Node;
use outcome::report::{Reporter, Steps};
use outcome::{Failure, Result};

use super::planned::PlannedRename;
use crate::error::ChangeError;
use crate::live::removal::discard;
use crate::live::{refuse_removed, standstill, warn};
use crate::swap::{self, Change, Journal, Places, Situation};

/// Writes the new files and swaps them for the old ones, which are kept. If that fails, the old files are put back.
pub(super) fn carry_out(
    planned: &PlannedRename,
    nodes: &[Node],
    journals: &[Journal],
    steps: &Steps<'_>,
    reporter: &dyn Reporter,
) -> Result<()> {
    let staged = planned.stage(nodes, journals, steps, reporter);
    or_roll_back(
        staged.and_then(|(_, journals)| finish(nodes, &journals, steps, reporter)),
        nodes,
        steps,
        reporter,
    )
}

/// Swaps the files on every node, as far as not done yet, and accepts the new ones.
pub(super) fn finish(
    nodes: &[Node],
    journals: &[Journal],
    steps: &Steps<'_>,
    reporter: &dyn Reporter,
) -> Result<()> {
    reporter.phase("swapping the data", None);
    on_all(nodes, |i, node| {
        let places = Places::of(node);
        let mut journal = journals[i].clone();
        if swap::look(node)?.situation == Situation::Staged {
            places.decide(node, &mut journal)?;
            steps.done("decided", node);
        }
        Ok(())
    })?;
    standstill::check(nodes)?;
    on_all(nodes, |i, node| {
        let places = Places::of(node);
        match swap::look(node)?.situation {
            Situation::Staged => {
                let journal = places.journal(node)?;
                places.exchange(node, &mut journal.unwrap_or_else(|| journals[i].clone()))?;
            }
            Situation::Swapping => places.forward(node)?,
            _ => {}
        }
        steps.done("exchanged", node);
        Ok(())
    })?;
    on_all(nodes, |_, node| {
        Places::of(node).done(node)?;
        steps.done("accepted", node);
        Ok(())
    })?;
    Ok(())
}

/// Puts the old files back if something failed, and reports both.
pub(super) fn or_roll_back(
    done: Result<()>,
    nodes: &[Node],
    steps: &Steps<'_>,
    reporter: &dyn Reporter,
) -> Result<()> {
    let Err(error) = done else { return Ok(()) };
    warn(reporter, format!("{error}; rolling back to the old data"));
    let (change, source) = (Change::Rename, Box::new(error));
    Err(match roll_back(nodes, steps, reporter) {
        Ok(()) => ChangeError::Undone { change, source }.into(),
        Err(undoing) => Failure::from(ChangeError::HalfDone { change, source, undoing: Box::new(undoing) }),
    })
}

/// Puts the old files back on all nodes, which are stopped.
///
/// Fails, and changes nothing, if CouchDB of a node answers.
pub(crate) fn roll_back(nodes: &[Node], steps: &Steps<'_>, reporter: &dyn Reporter) -> Result<()> {
    reporter.phase("rolling back to the old data", None);
    standstill::check(nodes)?;
    let states = on_all(nodes, |_, node| {
        let state = swap::look(node)?;
        swap::check_journal(node, &state)?;
        Ok(state)
    })?;
    refuse_removed(&nodes.iter().zip(&states).collect::<Vec<_>>())?;
    on_all(nodes, |i, node| {
        let places = Places::of(node);
        if states[i].situation == Situation::Done {
            places.reopened(node)?;
        }
        if !states[i].old_in_place() {
            places.backward(node)?;
            steps.done("put back", node);
        }
        Ok(())
    })?;
    on_all(nodes, |_, node| {
        Places::of(node).undone(node)?;
        steps.done("undone", node);
        Ok(())
    })?;
    discard(nodes, None, steps, reporter);
    Ok(())
}
