//! Whether every copy of every range has sent its changes to the other copies.
//!
//! CouchDB's own number, `internal_replication_jobs`, does not tell: it counts changes of a shard only once a hundred of them are
//! sent and more are left, not while a job waits or fails (`mem3_sync.erl`, `get_backlog`). The copies themselves note how far
//! they have sent their changes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use couchfile::internal_replication::checkpoint_id;
use node::{CopyInfo, ListedMap, Node, NodeError};
use outcome::{Result, parallel};

use super::{Look, Wait, is_lasting};

/// Shards that are waited for together.
const TOGETHER: usize = 500;
/// Requests at the same time for each node.
const REQUESTS: usize = 4;

/// The copies of a shard.
struct Copies {
    /// E.g. `shards/00000000-7fffffff/shop.1700000000`.
    shard: String,
    /// The numbers of their nodes.
    nodes: Vec<usize>,
}

/// A copy that has to send its changes to another one.
struct Sending {
    shard: String,
    /// Number of the node that sends.
    from: usize,
    /// Number of the node that gets them.
    to: usize,
    /// The note in which the sending copy has how far it is.
    note: String,
    /// The sequence up to which it has to be.
    until: u64,
}

/// Waits until every copy has sent to those of the first `restarted` nodes what it had when it was first looked at. Nodes that ran
/// on need nothing of what was restored.
pub(super) fn wait(wait: &mut Wait<'_>, nodes: &[Node], restarted: usize) -> Result<bool> {
    let mut all = Vec::new();
    if !wait.until("the shard maps", || Ok(listed(nodes, &mut all)))? {
        return Ok(false);
    }
    let reporter = wait.reporter;
    reporter.phase("waiting for internal replication", Some(all.len() as u64));
    let mut done = 0;
    for together in all.chunks(TOGETHER) {
        let mut left = Vec::new();
        if !wait.until("internal replication", || Ok(sendings(nodes, restarted, together, &mut left)))?
            || !wait.until("internal replication", || Ok(unsent(nodes, &mut left)))?
        {
            return Ok(false);
        }
        done += together.len() as u64;
        reporter.advance(done, 0);
    }
    Ok(true)
}

/// Reads which shards have copies on several of these nodes.
fn listed(nodes: &[Node], all: &mut Vec<Copies>) -> Look {
    let numbers: HashMap<&str, usize> = nodes
        .iter()
        .enumerate()
        .filter_map(|(number, node)| Some((node.id.name.as_deref()?, number)))
        .collect();
    all.clear();
    let Some(first) = nodes.first() else { return Look::Agreed };
    let add = |ListedMap { name, suffix, ranges, holders, .. }: ListedMap| {
        for (range, holders) in ranges.iter().zip(holders) {
            let nodes: Vec<usize> =
                holders.iter().filter_map(|holder| numbers.get(holder.as_str()).copied()).collect();
            if nodes.len() > 1 {
                all.push(Copies { shard: format!("shards/{range}/{name}{suffix}"), nodes });
            }
        }
    };
    match first.http.for_each_shard_map(add) {
        Ok(()) => Look::Agreed,
        Err(error) => failed(&error),
    }
}

/// Finds out up to where each copy has to send its changes. CouchDB makes a copy that one of the first nodes lacks when another copy
/// sends to it.
fn sendings(nodes: &[Node], restarted: usize, shards: &[Copies], all: &mut Vec<Sending>) -> Look {
    let found = Mutex::new((Vec::new(), Vec::new()));
    let asked = parallel::for_each_large(REQUESTS * nodes.len(), shards, |_, copies| {
        let info = |&number: &usize| Ok((number, nodes[number].http.copy_info(&copies.shard)?));
        let infos: Vec<_> = copies.nodes.iter().map(info).collect::<Result<_, NodeError>>()?;
        let lacking = lacking(&infos, restarted);
        let lacking = lacking
            .iter()
            .map(|&number| format!("{} has no copy of {}", nodes[number].shown(), copies.shard));
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        found.0.extend(between(&copies.shard, &infos, restarted));
        found.1.extend(lacking);
        Ok(())
    });
    let (sendings, lacking) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    *all = sendings;
    asked.map_or_else(|error| failed(&error), |()| Look::of(lacking, false))
}

/// The numbers of those of the first nodes that lack a copy of a shard which another node has. Where none has any, the database
/// was deleted.
fn lacking(copies: &[(usize, Option<CopyInfo>)], restarted: usize) -> Vec<usize> {
    if copies.iter().all(|(_, info)| info.is_none()) {
        return Vec::new();
    }
    let lacks = |(number, info): &(usize, Option<CopyInfo>)| info.is_none() && *number < restarted;
    copies.iter().filter(|copy| lacks(copy)).map(|(number, _)| *number).collect()
}

/// Each copy with each other one of the first nodes.
fn between(shard: &str, copies: &[(usize, Option<CopyInfo>)], restarted: usize) -> Vec<Sending> {
    let there = || copies.iter().filter_map(|(number, info)| Some((*number, info.as_ref()?)));
    let mut all = Vec::new();
    for (from, source) in there() {
        for (to, target) in there().filter(|(to, _)| *to != from && *to < restarted) {
            all.push(Sending {
                shard: shard.to_owned(),
                from,
                to,
                note: checkpoint_id(&source.uuid, &target.uuid),
                until: source.update_seq,
            });
        }
    }
    all
}

/// Keeps those of the sendings that are not known to be done. None is looked at any more as soon as one is not: while that one is
/// waited for, the nodes have other work.
fn unsent(nodes: &[Node], left: &mut Vec<Sending>) -> Look {
    let done: Vec<AtomicBool> = left.iter().map(|_| AtomicBool::new(false)).collect();
    let asked = parallel::for_each_large(REQUESTS * nodes.len(), left, |i, sending| {
        let is_done = sending.is_done(nodes).map_err(Some)?;
        done[i].store(is_done, Ordering::Relaxed);
        if is_done { Ok(()) } else { Err(None) }
    });
    let mut done = done.into_iter().map(AtomicBool::into_inner);
    left.retain(|_| !done.next().unwrap_or(false));
    match asked {
        Err(Some(error)) => failed(&error),
        _ => Look::of(left.first().map(|sending| sending.shown(nodes)).into_iter().collect(), false),
    }
}

impl Sending {
    fn shown(&self, nodes: &[Node]) -> String {
        let [from, to] = [self.from, self.to].map(|number| nodes[number].shown());
        format!("{from} has changes of {} to send to {to}", self.shard)
    }

    fn is_done(&self, nodes: &[Node]) -> Result<bool, NodeError> {
        let http = &nodes[self.from].http;
        let note = http.local_document(&self.shard, &self.note)?;
        let sent = note.and_then(|note| note["seq"].as_u64()).unwrap_or(0);
        if sent >= self.until {
            return Ok(true);
        }
        // What else counts as an update, as a change of the security object, is not sent as one.
        Ok(http.change_after(&self.shard, sent)?.is_none_or(|next| next > self.until))
    }
}

fn failed(error: &NodeError) -> Look {
    Look::of(vec![error.to_string()], is_lasting(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_copy_sends_to_those_that_were_stopped() {
        let copy = |uuid: &str, update_seq| Some(CopyInfo { uuid: uuid.into(), update_seq });
        let copies = [(0, copy("a", 3)), (2, None), (4, copy("b", 5))];
        let found = between("shards/00000000-ffffffff/a.1", &copies, 5);
        let seen: Vec<_> = found.iter().map(|sending| (sending.from, sending.to, sending.until)).collect();
        assert_eq!(seen, [(0, 4, 3), (4, 0, 5)]);
        assert_ne!(found[0].note, found[1].note);
        // Node 2 has none yet.
        assert_eq!(lacking(&copies, 5), [2]);
        assert_eq!(lacking(&copies, 2), [0; 0]);
        assert_eq!(lacking(&[(0, None), (2, None)], 5), [0; 0]);
        let to_the_first = between("shards/00000000-ffffffff/a.1", &copies, 1);
        assert_eq!((to_the_first.len(), to_the_first[0].to), (1, 0));
    }
}
