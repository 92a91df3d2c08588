//! Finishes an interrupted restore, or rolls it back.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use cluster::identity::Identity;
use cluster::{on_all, on_each};
use node::Node;
use outcome::report::{Reporter, Steps};
use outcome::{Code, Failure, Result};
use store::{Location, Place};

use super::{LiveOptions, LiveResult, MapsBy, PlannedRestore, undoing};
use crate::folders::RestoreResult;
use crate::folders::proof::Damage;
use crate::one_node::{self, OneNodeOptions, OneNodeResult};
use crate::rename::{NewNames, offline};
use crate::swap::{self, Change, Journal, NodeState, Situation};
use crate::transform::unfinished;

/// A finished restore, whichever kind it was.
pub enum Resumed {
    /// All nodes were restored.
    All(Box<LiveResult>),
    /// One node was restored, while the others ran on.
    OneNode(Box<OneNodeResult>),
}

/// Finishes an interrupted restore on these nodes with the choices in the journals. `options` give the path of the archive if it
/// has changed, how long to wait, and whether to keep the old data.
pub fn resume(
    options: &LiveOptions,
    archive: Option<Place>,
    nodes: &mut Vec<Node>,
    interrupted: &AtomicBool,
    reporter: &dyn Reporter,
) -> Result<Resumed> {
    let begun = Instant::now();
    let states = look(nodes)?;
    let journal = one_restore(nodes, &states)?;
    if journal.change() != Change::Restore {
        return Err(Failure::refused(
            Code::new("CC-R85"),
            "the unfinished change of these nodes is not a restore: they are being renamed",
            "Run `couchcopy rename-node --resume NODE…`.",
        ));
    }
    let states = in_order(nodes, states, &journal);
    let archive = match archive {
        Some(archive) => archive,
        None => options.archive.same_stores(&journal.archive)?,
    };
    if *archive.location() == Location::Standard {
        return Err(Failure::refused(
            Code::new("CC-R59"),
            "the archive of the interrupted restore came from standard input, which cannot be read again",
            "Give the archive as a file or in a store: couchcopy restore --resume ARCHIVE NODE…",
        ));
    }
    if archive.length()?.unwrap_or_default() != journal.archive_bytes {
        return Err(Failure::refused(
            Code::new("CC-R38"),
            format!("{archive} does not exist or is not the archive that is being restored"),
            "Give the archive of the interrupted restore: couchcopy restore --resume ARCHIVE NODE…",
        ));
    }
    let identities = identities(nodes, &states);
    if let (Some(state), false) = (states.first(), journal.options.others.is_empty()) {
        let options = OneNodeOptions {
            name: journal.node.clone(),
            archive,
            remove_orphans: journal.options.remove_orphans,
            keep_old: options.keep_old,
            wait: options.wait,
            threads: options.threads,
        };
        let result = one_node::resume(&options, &journal, state, &identities, nodes, interrupted, reporter)?;
        return Ok(Resumed::OneNode(Box::new(result)));
    }
    let options = LiveOptions {
        archive,
        choices: journal.options.choices(),
        remove_orphans: journal.options.remove_orphans,
        maps: if journal.options.maps_by_http { MapsBy::Http } else { MapsBy::File },
        ..options.clone()
    };
    let is = |wanted: &[Situation]| states.iter().any(|state| wanted.contains(&state.situation));
    let beyond = [Situation::Swapping, Situation::Swapped, Situation::Done, Situation::Removing];
    let good = is(&[Situation::Done, Situation::Removing]);
    // Where it was found good, nodes without a journal have lost it with their old data.
    let is_behind = |state: &NodeState| {
        matches!(state.situation, Situation::Undone | Situation::Staging) || (state.tells_nothing() && !good)
    };
    if states.iter().any(is_behind) {
        if is(&beyond) {
            return Err(half_rolled_back(Change::Restore));
        }
        if let Some(name) = &journal.options.transformed_by {
            return Err(unfinished(name));
        }
        // What was being copied is not whole on every node, and nothing has been replaced: from the beginning.
        let steps = Steps::new(reporter);
        undoing::undo(nodes, &identities, None, &steps, reporter)?;
        let result =
            PlannedRestore::make(&options, nodes, reporter)?.carry_out(nodes, interrupted, reporter)?;
        return Ok(Resumed::All(Box::new(result)));
    }
    let damage =
        Damage { shards: journal.options.damaged.clone(), views: journal.options.damaged_views.clone() };
    let planned = PlannedRestore::of_archive(&options, damage, nodes, reporter)?;
    let steps = Steps::new(reporter);
    let run = planned.run(nodes, &identities, &steps, interrupted, reporter);
    let agreed = if is(&[Situation::Staged, Situation::Swapping]) {
        // One for each: a node without has been dealt with above.
        run.finish_staged(states.iter().filter_map(|state| state.journal.clone()).collect())
    } else {
        run.finish_exchanged()
    };
    // What was found good before is not taken back any more.
    let agreed = if good { agreed? } else { run.or_roll_back(agreed)? };
    let seconds = begun.elapsed().as_secs_f64();
    let accepted = agreed.accept(options.keep_old);
    let result = LiveResult {
        restored: RestoreResult {
            nodes: journal.nodes,
            databases: planned.plan.databases,
            bytes: planned.plan.bytes.iter().sum(),
            left_out: planned.plan.left_out.clone(),
            not_chosen: planned.plan.chosen.not_chosen,
            renamed: planned.options.choices.selection.rename.clone(),
            reshaped: planned.plan.with_other_ranges(),
            transformed_by: journal.options.transformed_by,
            new_suffix: planned.plan.new_suffix.clone(),
            placed: planned.shares(),
            ..RestoreResult::default()
        },
        left_behind: planned.left_behind_on(nodes),
        serving: agreed.agreement.serving(seconds),
        service_down: agreed.service_down,
        agreement: agreed.agreement,
        fresh_uuids: planned.restore.choices.fresh_uuids,
        seconds,
        written_down: accepted.written_down,
        old_kept: accepted.old_kept,
    };
    Ok(Resumed::All(Box::new(result)))
}

/// The failure if a part of the nodes has been rolled back.
pub(crate) fn half_rolled_back(change: Change) -> Failure {
    let command = change.command();
    Failure::refused(
        Code::new("CC-R39"),
        "some nodes have the new data and others have been rolled back to the old data",
        format!(
            "Roll back all nodes with `couchcopy {command} --roll-back NODE…`, then run `couchcopy {command}` again."
        ),
    )
}

/// Rolls back to the old data on these nodes, whatever change replaced it.
pub fn roll_back(nodes: &mut Vec<Node>, reporter: &dyn Reporter) -> Result<Vec<String>> {
    let states = look(nodes)?;
    let journal = one_restore(nodes, &states)?;
    let states = in_order(nodes, states, &journal);
    if journal.renaming.as_ref().is_some_and(|renaming| renaming.offline) {
        offline::roll_back(nodes, &Steps::new(reporter), reporter)?;
        return Ok(journal.nodes);
    }
    let identities = identities(nodes, &states);
    // Of a restore of one node, the others run on.
    let changed = &nodes[..nodes.len().min(journal.nodes.len())];
    undoing::undo(changed, &identities, None, &Steps::new(reporter), reporter)?;
    Ok(journal.nodes)
}

/// What is known about every node, from its journal or, if it runs, from the node itself.
///
/// A node that is being renamed has its old name or its new one.
pub(crate) fn identities(nodes: &[Node], states: &[NodeState]) -> Vec<Identity> {
    let known = |i: usize| states.get(i).and_then(|state| state.journal.as_ref()?.identity.clone());
    let names =
        states.iter().find_map(|state| NewNames::of(state.journal.as_ref()?.renaming.as_ref()?).into());
    on_each(nodes, |i, node| {
        let mut identity = known(i).unwrap_or_else(|| Identity::learn_if_running(&node.http));
        let name = node.id.name.as_deref().unwrap_or_default();
        identity.other_name = names.as_ref().map(|names: &NewNames| names.before(name).to_owned());
        Ok(identity)
    })
    .into_iter()
    .map(Result::unwrap_or_default)
    .collect()
}

/// Inspects all nodes; nodes without a given name get the name in their journal.
pub(crate) fn look(nodes: &mut [Node]) -> Result<Vec<NodeState>> {
    let states = on_all(nodes, |_, node| {
        let state = swap::look(node)?;
        swap::check_journal(node, &state)?;
        Ok(state)
    })?;
    for (node, state) in nodes.iter_mut().zip(&states) {
        if node.id.name.is_none() {
            node.id.name = match &state.journal {
                Some(journal) => Some(journal.node.clone()),
                None => node.http.node_name().ok(),
            };
        }
    }
    // Nodes that are being renamed may be given by either name.
    if let Some(renaming) = states.iter().find_map(|state| state.journal.as_ref()?.renaming.as_ref()) {
        let names = NewNames::of(renaming);
        for name in nodes.iter_mut().filter_map(|node| node.id.name.as_mut()) {
            *name = names.after(name).to_owned();
        }
    }
    Ok(states)
}

/// The change that all nodes were part of.
pub(crate) fn one_restore(nodes: &[Node], states: &[NodeState]) -> Result<Journal> {
    let mut journals = states.iter().filter_map(|state| state.journal.as_ref());
    let Some(journal) = journals.next().cloned() else {
        return Err(Failure::refused(
            Code::new("CC-R40"),
            "there is no unfinished restore on these nodes",
            "`couchcopy status NODE…` shows the state of each node.",
        ));
    };
    if journals.any(|other| other.id != journal.id) {
        return Err(Failure::refused(
            Code::new("CC-R41"),
            "these nodes were part of different restores",
            "Give the nodes of one cluster. `couchcopy status NODE…` shows the state of each node.",
        ));
    }
    let mut given: Vec<&str> = nodes.iter().filter_map(|node| node.id.name.as_deref()).collect();
    let mut wanted: Vec<&str> =
        journal.nodes.iter().chain(&journal.options.others).map(String::as_str).collect();
    given.sort_unstable();
    wanted.sort_unstable();
    if given != wanted {
        return Err(Failure::refused(
            Code::new("CC-R42"),
            format!(
                "the restore includes the nodes {}, but the given nodes are {}",
                wanted.join(", "),
                given.join(", ")
            ),
            "Give all nodes of the restore.",
        ));
    }
    Ok(journal)
}

/// Sorts the nodes and their states into the order of the restore.
pub(crate) fn in_order(nodes: &mut Vec<Node>, states: Vec<NodeState>, journal: &Journal) -> Vec<NodeState> {
    let position = |node: &Node| {
        let name = node.id.name.as_deref().unwrap_or_default();
        journal.nodes.iter().position(|known| known == name).unwrap_or(usize::MAX)
    };
    let mut pairs: Vec<(Node, NodeState)> = std::mem::take(nodes).into_iter().zip(states).collect();
    pairs.sort_by_key(|(node, _)| position(node));
    let (sorted, states) = pairs.into_iter().unzip();
    *nodes = sorted;
    states
}
