//! The checks before one node is brought back.

use std::collections::{BTreeSet, HashSet};

use cluster::agreement::unconnected;
use cluster::identity::Identity;
use cluster::on_each;
use node::{Membership, Node, NodeError, Presence, Version};
use outcome::{Advice, Code, Failure, Result};

use crate::outside::{self, Views};
use crate::preflight::holdings::{Holdings, some_of};
use crate::preflight::node_proofs::{describe, earlier_change, of_moved, permissions};
use crate::preflight::{Proofs, programs};

/// What the checks find out.
#[derive(Debug, Clone, Default)]
pub(super) struct Inspected {
    /// Whether CouchDB of the node answers.
    pub(super) answers: bool,
    /// What is known about every node: first the node, then the others.
    pub(super) identities: Vec<Identity>,
    /// Versions of the nodes that answer.
    pub(super) versions: Vec<Version>,
    /// Bytes that may still be written to the file system of the node's data directory.
    pub(super) free: u64,
    /// Whether CouchDB of the node keeps view indexes outside its data directory.
    pub(super) views_elsewhere: bool,
}

/// What one of the running nodes reports.
struct Running {
    name: String,
    version: Version,
    identity: Identity,
    membership: Membership,
}

/// Checks all nodes. Puts the node with this name in front, and sets the names of the others.
pub(super) fn inspect(nodes: &mut [Node], name: &str) -> Result<Inspected> {
    let answers: Vec<Option<Result<Running, NodeError>>> = on_each(nodes, |_, node| {
        Ok(matches!(node.http.presence(), Presence::Answers(_)).then(|| running(node)))
    })
    .into_iter()
    .collect::<Result<_>>()?;
    let known = |(node, answer): (&Node, &Option<Result<Running, NodeError>>)| match (&node.id.name, answer) {
        (_, Some(Ok(running))) => Some(running.name.clone()),
        (given, _) => given.clone(),
    };
    let names: Vec<Option<String>> = nodes.iter().zip(&answers).map(known).collect();
    let Some(at) = names.iter().position(|known| known.as_deref() == Some(name)) else {
        return Err(Failure::refused(
            Code::new("CC-R90"),
            format!("none of the given nodes is {name}"),
            format!("Give all nodes of the cluster, that node with its name: HOST,DATA_DIR,{name}."),
        ));
    };
    if nodes.len() < 2 {
        return Err(Failure::refused(
            Code::new("CC-R91"),
            format!(
                "{name} is the only given node; --node needs the other nodes of its cluster, which run on"
            ),
            "Give all nodes of the cluster. For a node without a cluster, restore without --node.",
        ));
    }
    let mut proofs = Proofs::default();
    for ((node, known), answer) in nodes.iter_mut().zip(&names).zip(&answers) {
        if let (Some(given), Some(Ok(running))) = (&node.id.name, answer)
            && *given != running.name
        {
            proofs.problem(
                node,
                "name",
                format!("the node at {} is {}, not {given}", node.http.url(), running.name),
                "Give the name that the node has, or omit the name.",
            );
        }
        node.id.name.clone_from(known);
    }
    let mut answers: Vec<_> = answers.into_iter().collect();
    nodes.swap(0, at);
    answers.swap(0, at);
    let mut inspected = Inspected::default();
    let all: BTreeSet<String> = nodes.iter().filter_map(|node| node.id.name.clone()).collect();
    // Reported on their own, or the node that is brought back.
    let silent: BTreeSet<String> = nodes
        .iter()
        .zip(&answers)
        .enumerate()
        .filter(|(i, (_, answer))| *i == 0 || answer.is_none())
        .filter_map(|(_, (node, _))| node.id.name.clone())
        .collect();
    for (i, (node, answer)) in nodes.iter().zip(answers).enumerate() {
        if !node.http.has_credentials() {
            proofs.problem(
                node,
                "http",
                "the name and password of a server admin are not known",
                "Give user:password@ before the host, or use --password-file or COUCHCOPY_PASSWORD.",
            );
            continue;
        }
        let running = match answer {
            Some(Ok(running)) => running,
            // The node that is brought back need not run.
            None if i == 0 => {
                inspected.identities.push(Identity::default());
                continue;
            }
            None => {
                proofs.problem(
                    node,
                    "http",
                    format!("CouchDB does not answer at {}", node.http.url()),
                    "With --node, all other nodes have to run: they know which shards the node holds.",
                );
                continue;
            }
            Some(Err(e)) => {
                proofs.problem(node, "http", describe(&e), e.remedy().unwrap_or_default());
                continue;
            }
        };
        if i == 0 {
            inspected.answers = true;
        } else {
            of_cluster(node, &running.membership, &all, &silent, &mut proofs);
        }
        inspected.identities.push(running.identity);
        inspected.versions.push(running.version);
    }
    if let (Some(target), Some(other)) = (nodes.first(), nodes.get(1)) {
        let found = of_target(target, other, &mut inspected, &mut proofs);
        if let Err(e) = found {
            proofs.problem(target, "files", describe(&e), e.remedy().unwrap_or_default());
        }
    }
    proofs.refuse_all(Code::new("CC-R93"), "the node cannot be brought back")?;
    Ok(inspected)
}

fn running(node: &Node) -> Result<Running, NodeError> {
    Ok(Running {
        name: node.http.node_name()?,
        version: node.http.version()?,
        identity: Identity::learn(&node.http)?,
        membership: node.http.membership()?,
    })
}

/// Checks that a running node has the given nodes as its cluster, and sees all of them but those that are `silent`.
fn of_cluster(
    node: &Node,
    membership: &Membership,
    all: &BTreeSet<String>,
    silent: &BTreeSet<String>,
    proofs: &mut Proofs,
) {
    let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    if membership.cluster != *all {
        proofs.problem(
            node,
            "membership",
            format!("its cluster is {}, but the given nodes are {}", list(&membership.cluster), list(all)),
            "Give all nodes of the cluster. A node that has a new name gets it with `couchcopy rename-node` first.",
        );
    }
    let unseen: BTreeSet<String> = unconnected(membership, all).difference(silent).cloned().collect();
    if !unseen.is_empty() {
        proofs.problem(
            node,
            "membership",
            format!("it does not see {}", list(&unseen)),
            "Check that nothing blocks the connections between the nodes (port 4369 and Erlang's ports).",
        );
    }
}

/// Checks the node that is brought back; `other` is a running node.
fn of_target(
    target: &Node,
    other: &Node,
    inspected: &mut Inspected,
    proofs: &mut Proofs,
) -> Result<(), NodeError> {
    if let Err(e) = target.service.status() {
        proofs.problem(target, "service", describe(&e), e.remedy().unwrap_or_default());
    }
    programs::prove(target, proofs);
    let Some(entries) = target.files.list(&target.data)? else {
        proofs.problem(
            target,
            "data directory",
            format!("there is no directory {}", target.data.display()),
            "Create the directory that `[couchdb] database_dir` names, with CouchDB's user as its owner.",
        );
        return Ok(());
    };
    of_moved(target, &entries, proofs)?;
    permissions(target, entries.iter().find(|entry| entry.name == "_dbs.couch"), proofs)?;
    inspected.free = target.files.free_bytes(&target.data)?;
    earlier_change(target, proofs);
    // A node that does not answer is configured like the others, most likely.
    let configured = outside::look(if inspected.answers { target } else { other })?;
    let folder = match configured.views {
        Views::Inside => return Ok(()),
        Views::Elsewhere(folder) => folder,
        Views::Unknown(folder) => {
            proofs.problem(
                target,
                "view indexes",
                format!("view_index_dir is ./{}, relative to where CouchDB starts", folder.display()),
                "Indexes there may be newer than the backup, and would stay wrong. Set `[couchdb] view_index_dir` to an absolute \
                 path.",
            );
            return Ok(());
        }
    };
    inspected.views_elsewhere = true;
    if target.files.list(&folder)?.is_some_and(|entries| !entries.is_empty()) {
        proofs.problem(
            target,
            "view indexes",
            format!("view_index_dir is {}, and it is not empty", folder.display()),
            "Indexes there may be newer than the backup, and would stay wrong. Stop CouchDB on that node, empty the directory, and \
             try again: CouchDB rebuilds the indexes.",
        );
    }
    Ok(())
}

/// What is below `shards` of the node, compared with the shard maps of a running node. Files that no map names may be the last
/// copies of databases: refuses if they may not be removed.
pub(super) fn holdings(target: &Node, running: &Node, remove_orphans: bool) -> Result<Holdings> {
    let mut known: HashSet<Box<str>> = HashSet::new();
    running.http.for_each_shard_map(|map| {
        let shard = |range: &String| format!("{range}/{}{}", map.name, map.suffix).into_boxed_str();
        known.extend(map.ranges.iter().map(shard));
    })?;
    let mut holdings = Holdings::default();
    holdings.sort(target.files.paths(&target.data.join("shards"))?, &known);
    if remove_orphans || holdings.orphans.is_empty() {
        return Ok(holdings);
    }
    Err(Failure::refused(
        Code::new("CC-R94"),
        format!(
            "{} files below shards of {} belong to no database of the cluster: {}",
            holdings.orphans.len(),
            target.shown(),
            some_of(&holdings.orphans)
        ),
        format!(
            "They may be the last copies of databases. Move them out of {} if they may be needed, or give --remove-orphans.",
            target.data.join("shards").display()
        ),
    ))
}
