//! Finishes an interrupted renaming.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use cluster::agreement::Promised;
use cluster::identity::Identity;
use cluster::on_all;
use node::Node;
use outcome::report::{Reporter, Steps};
use outcome::{Code, Failure, Result, parallel};

use super::checks::Merged;
use super::files::NodeMaps;
use super::names::NewNames;
use super::offline;
use super::options::{RenameOptions, RenameResult};
use super::planned::{PlannedRename, explained};
use crate::live::phases::{Accepted, Run};
use crate::live::removal::discard;
use crate::live::resume::{half_rolled_back, identities, in_order, look, one_restore};
use crate::swap::{Change, Journal, NodeState, Places, Situation};

/// Finishes an interrupted renaming of these nodes with the names in the journals. `options` give how long to wait, and whether to
/// keep the old files.
pub fn resume(
    options: &RenameOptions,
    nodes: &mut Vec<Node>,
    interrupted: &AtomicBool,
    reporter: &dyn Reporter,
) -> Result<RenameResult> {
    let begun = Instant::now();
    let states = look(nodes)?;
    let journal = one_restore(nodes, &states)?;
    let Some(renaming) = &journal.renaming else {
        return Err(Failure::refused(
            Code::new("CC-R86"),
            "the unfinished change of these nodes is a restore, and no renaming",
            "Run `couchcopy restore --resume NODE…`.",
        ));
    };
    let states = in_order(nodes, states, &journal);
    let names = NewNames::of(renaming);
    let options = RenameOptions { names, offline: renaming.offline, ..options.clone() };
    let is = |wanted: &[Situation]| states.iter().any(|state| wanted.contains(&state.situation));
    let good = is(&[Situation::Done, Situation::Removing]);
    let is_behind = |state: &NodeState| {
        matches!(state.situation, Situation::Undone | Situation::Staging) || (state.tells_nothing() && !good)
    };
    let moved = good || is(&[Situation::Swapping, Situation::Swapped]);
    if moved && states.iter().any(is_behind) {
        return Err(half_rolled_back(Change::Rename));
    }
    let steps = Steps::new(reporter);
    if !moved {
        // Nothing has been replaced. The shard maps may have changed since they were written with the new names: from the beginning.
        on_all(nodes, |_, node| Places::of(node).undone(node))?;
        discard(nodes, Some(&journal.id), &steps, reporter);
        return PlannedRename::make(&options, nodes, reporter)?.carry_out(nodes, interrupted, reporter);
    }
    let promised = promised(nodes, &options)?;
    let mut result = RenameResult {
        names: options.names.names.clone(),
        nodes: journal.nodes.clone(),
        databases: promised.databases(),
        agreement: None,
        service_down: None,
        seconds: 0.0,
        written_down: true,
        old_kept: true,
    };
    // A node without a journal has lost it with its old files, after all nodes were found good.
    let journals: Vec<Journal> = states.iter().filter_map(|state| state.journal.clone()).collect();
    if options.offline {
        if !is(&[Situation::Removing]) {
            let finished = offline::finish(nodes, &journals, &steps, reporter);
            offline::or_roll_back(finished, nodes, &steps, reporter)?;
        }
        result.seconds = begun.elapsed().as_secs_f64();
        return Ok(result);
    }
    let identities = identities(nodes, &states);
    let started_as: Vec<Identity> =
        identities.iter().map(|identity| Identity { other_name: None, ..identity.clone() }).collect();
    let run = Run {
        change: Change::Rename,
        promised: &promised,
        wait: options.wait,
        maps_first: false,
        creates_maps: None,
        cluster: nodes,
        nodes,
        identities: &identities,
        started_as: &started_as,
        steps: &steps,
        interrupted,
        reporter,
    };
    let agreed = if is(&[Situation::Staged, Situation::Swapping]) {
        run.finish_staged(journals)
    } else {
        run.finish_exchanged()
    };
    let agreed = agreed.map_err(|e| explained(e, nodes, &options.names));
    // What was found good before is not taken back any more.
    let agreed = if good { agreed? } else { run.or_roll_back(agreed)? };
    result.seconds = begun.elapsed().as_secs_f64();
    let Accepted { written_down, old_kept } = agreed.accept(options.keep_old);
    result.service_down = Some(agreed.service_down);
    result.agreement = Some(agreed.agreement);
    Ok(RenameResult { written_down, old_kept, ..result })
}

/// The databases in the new shard maps, which are the same on every node, in place or next to the old ones.
fn promised(nodes: &[Node], options: &RenameOptions) -> Result<Promised> {
    let first = nodes.first().ok_or_else(|| Failure::bug("no node is being renamed"))?;
    let new = Places::of(first).new;
    let is_next = node_has(first, &new)?;
    let maps = [NodeMaps::open(first, if is_next { &new } else { &first.data })?];
    Ok(Merged::of(&maps)?.learn(&options.names, parallel::threads(options.threads))?.promised)
}

fn node_has(node: &Node, folder: &std::path::Path) -> Result<bool> {
    let entries = node.files.list(folder)?.unwrap_or_default();
    Ok(entries.iter().any(|entry| entry.name == couchfile::data_dir::SHARD_MAPS))
}
