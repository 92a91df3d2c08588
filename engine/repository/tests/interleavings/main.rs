//! Prune beside backups: every order in which their requests to the store can come, in a model of the protocol.
//!
//! A step of an actor is one request. Every actor can be killed after every step: what holds at the end of a run has to hold in every
//! state. The model also has to find what goes wrong if one rule of the protocol is left out: else it would show nothing.

mod model;

use std::collections::HashSet;

use model::{Rules, State};

/// What can be wrong with a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    /// A backup that was reported as made lacks an object.
    Lost,
    /// After everything stopped here, no backup can be made, or it lacks an object.
    Stuck,
    /// After everything stopped here, prunes leave what nobody needs.
    Left,
}

/// Goes through all states that can be reached. The number of states, or the first one that is broken.
fn explore(rules: &Rules, backups: usize, prunes: usize) -> Result<usize, (Broken, State)> {
    let first = State::new(backups, prunes);
    let mut seen = HashSet::from([first.clone()]);
    let mut todo = vec![first];
    while let Some(state) = todo.pop() {
        if let Some(broken) = broken(rules, &state) {
            return Err((broken, state));
        }
        for next in state.successors(rules) {
            if !seen.contains(&next) {
                seen.insert(next.clone());
                todo.push(next);
            }
        }
    }
    Ok(seen.len())
}

fn broken(rules: &Rules, state: &State) -> Option<Broken> {
    if state.has_lost() {
        return Some(Broken::Lost);
    }
    // Everything is killed. A backup and two prunes run, one after the other.
    let Some(after) = state.backup_alone(rules) else { return Some(Broken::Stuck) };
    if after.newest_lacks() {
        return Some(Broken::Stuck);
    }
    let after = after.prune_alone(rules).prune_alone(rules);
    if after.has_lost() || after.newest_lacks() {
        return Some(Broken::Lost);
    }
    after.has_unneeded().then_some(Broken::Left)
}

#[test]
fn no_order_of_requests_loses_anything() {
    let rules = Rules::default();
    for (backups, prunes, at_least) in [(1, 1, 200), (2, 1, 5_000), (1, 2, 5_000)] {
        match explore(&rules, backups, prunes) {
            Ok(states) => {
                assert!(states > at_least, "{backups} backups, {prunes} prunes: only {states} states");
            }
            Err((broken, state)) => panic!("{backups} backups, {prunes} prunes: {broken:?} in {state:#?}"),
        }
    }
}

#[test]
fn every_rule_is_needed() {
    let all = Rules::default;
    let cases = [
        ("marks after the snapshot", Rules { lists_marks: false, ..all() }, Broken::Lost),
        ("objects after the snapshot", Rules { lists_objects: false, ..all() }, Broken::Lost),
        ("marks before objects", Rules { marks_before_objects: false, ..all() }, Broken::Lost),
        ("also manifests", Rules { confirms_manifests: false, ..all() }, Broken::Lost),
        ("also what is its own", Rules { confirms_own: false, ..all() }, Broken::Lost),
        ("snapshots after the mark", Rules { lists_snapshots_again: false, ..all() }, Broken::Lost),
        ("marks of others stay", Rules { keeps_marks_of_others: false, ..all() }, Broken::Lost),
        ("marks before objects, in a prune", Rules { lists_marks_first: false, ..all() }, Broken::Lost),
        ("not build on what is missing", Rules { avoids_missing: false, ..all() }, Broken::Stuck),
        ("not build on what is marked", Rules { avoids_marked: false, ..all() }, Broken::Stuck),
    ];
    for (rule, without, expected) in cases {
        let found = [(1, 1), (2, 1), (1, 2)]
            .into_iter()
            .find_map(|(backups, prunes)| explore(&without, backups, prunes).err());
        match found {
            Some((broken, _)) => assert_eq!(broken, expected, "without {rule:?}"),
            None => panic!("without {rule:?} nothing breaks"),
        }
    }
}
