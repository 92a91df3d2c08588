//! Finishes an interrupted restore of one node.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use cluster::agreement::Promised;
use cluster::identity::Identity;
use node::Node;
use outcome::report::{Reporter, Steps};
use outcome::{Failure, Result};

use super::current;
use super::options::{OneNodeOptions, OneNodeResult};
use super::planned::PlannedNode;
use crate::live::phases::Run;
use crate::live::removal::discard;
use crate::swap::{Change, Journal, NodeState, Places, Situation};

/// Finishes an interrupted restore of the first of these nodes, whose journal this is; the others run.
pub(crate) fn resume(
    options: &OneNodeOptions,
    journal: &Journal,
    state: &NodeState,
    identities: &[Identity],
    nodes: &mut [Node],
    interrupted: &AtomicBool,
    reporter: &dyn Reporter,
) -> Result<OneNodeResult> {
    let begun = Instant::now();
    let steps = Steps::new(reporter);
    let (Some(target), Some(running)) = (nodes.first(), nodes.get(1)) else {
        return Err(Failure::bug("a node without others is being restored"));
    };
    let good = matches!(state.situation, Situation::Done | Situation::Removing);
    let moved = matches!(state.situation, Situation::Swapping | Situation::Swapped);
    if !good && !moved && state.situation != Situation::Staged {
        // What was being copied is not complete, and nothing has been replaced: from the beginning.
        Places::of(target).undone(target)?;
        discard(&nodes[..1], Some(&journal.id), &steps, reporter);
        return PlannedNode::make(options, nodes, reporter)?.carry_out(nodes, interrupted, reporter);
    }
    let mut promised = Promised::default();
    let held = current::held(&options.name, running)?;
    for db in held.keys() {
        promised.add(db, 0);
    }
    let run = Run {
        change: Change::Restore,
        promised: &promised,
        wait: options.wait,
        maps_first: true,
        creates_maps: None,
        nodes: &nodes[..1],
        cluster: nodes,
        identities,
        started_as: identities,
        steps: &steps,
        interrupted,
        reporter,
    };
    let agreed = if matches!(state.situation, Situation::Staged | Situation::Swapping) {
        run.finish_staged(vec![journal.clone()])
    } else {
        run.finish_exchanged()
    };
    // What was found good before is not taken back any more.
    let agreed = if good { agreed? } else { run.or_roll_back(agreed)? };
    let seconds = begun.elapsed().as_secs_f64();
    let accepted = agreed.accept(options.keep_old);
    Ok(OneNodeResult {
        node: options.name.clone(),
        others: journal.options.others.clone(),
        databases: held.values().filter(|held| !held.ranges.is_empty()).count() as u64,
        shard_files: 0,
        view_files: 0,
        bytes: 0,
        from_others: 0,
        damaged: Vec::new(),
        service_down: agreed.service_down,
        agreement: agreed.agreement,
        seconds,
        written_down: accepted.written_down,
        old_kept: accepted.old_kept,
    })
}
