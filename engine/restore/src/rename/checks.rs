//! The checks before nodes are renamed.

use std::collections::{BTreeMap, BTreeSet};

use cluster::agreement::Promised;
use cluster::identity::Identity;
use contents::MapDocument;
use couchfile::data_dir::SHARD_MAPS;
use node::{FileKind, Node, NodeError, Presence};
use outcome::{Advice, Code, Failure, Result};
use plugin_host::State;

use super::documents::Documents;
use super::files::{NODES, NodeMaps};
use super::names::NewNames;
use super::write::names_old;
use crate::preflight::node_proofs::{describe, earlier_change, of_database_dir, permissions};
use crate::preflight::{Proof, Proofs, programs, stopped_way};
use crate::swap::Change;

/// Space for the new files in addition to the size of the old ones, in bytes.
const SLACK: u64 = 1 << 20;

/// What the checks find out about a node, besides their verdicts.
#[derive(Debug, Clone, Default)]
pub(super) struct Inspected {
    /// What distinguishes its CouchDB from another one, besides its name.
    pub(super) identity: Identity,
    /// The name of the CouchDB that answers.
    pub(super) answers_as: Option<String>,
}

/// Checks one node.
pub(super) fn inspect(node: &Node, names: &NewNames, offline: bool) -> (Vec<Proof>, Inspected) {
    let mut proofs = Proofs::default();
    let mut inspected = Inspected::default();
    let problem = |proofs: &mut Proofs, subject, e: &NodeError| {
        proofs.problem(node, subject, describe(e), e.remedy().unwrap_or_default());
    };
    if offline {
        stopped(node, &mut proofs);
    } else {
        if let Err(e) = of_http(node, names, &mut proofs, &mut inspected) {
            problem(&mut proofs, "http", &e);
        }
        match node.service.status() {
            Ok(_) => {}
            Err(e) => problem(&mut proofs, "service", &e),
        }
        programs::prove(node, &mut proofs);
    }
    if let Err(e) = of_files(node, &mut proofs) {
        problem(&mut proofs, "files", &e);
    }
    stopped_way::prove(node, &mut proofs);
    (proofs.proofs, inspected)
}

/// Checks that CouchDB of a node does not run.
fn stopped(node: &Node, proofs: &mut Proofs) {
    let answers = match node.http.presence() {
        Presence::Answers(found) => Some(format!("{found} at {}", node.http.url())),
        Presence::Refused | Presence::Silent(_) => None,
    };
    let runs = matches!(node.service.status(), Ok(State::Running));
    let found = answers.or_else(|| runs.then(|| format!("{} reports that it runs", node.service.shown())));
    if let Some(found) = found {
        proofs.problem(node, "service", found, "Stop CouchDB on all nodes, or omit --offline.");
    }
}

fn of_http(
    node: &Node,
    names: &NewNames,
    proofs: &mut Proofs,
    inspected: &mut Inspected,
) -> Result<(), NodeError> {
    if !node.http.has_credentials() {
        proofs.problem(
            node,
            "http",
            "the name and password of a server admin are not known",
            "Give user:password@ before the host, or use --password-file or COUCHCOPY_PASSWORD.",
        );
        return Ok(());
    }
    if !matches!(node.http.presence(), Presence::Answers(_)) {
        // The usual case: its host name has changed.
        return Ok(());
    }
    let name = node.http.node_name()?;
    if let Some(given) = node.id.name.as_deref()
        && names.after(given) != names.after(&name)
    {
        proofs.problem(
            node,
            "name",
            format!("the node at {} is {name}, not {given}", node.http.url()),
            "Give the name that the node has, or omit the name.",
        );
    }
    inspected.identity = Identity::learn(&node.http)?;
    of_database_dir(node, inspected.identity.database_dir.as_deref(), proofs);
    if let Some(old) = in_seedlist(node, names)? {
        proofs.problem(
            node,
            "seedlist",
            format!("its `[cluster] seedlist` names {old}, which CouchDB adds to the cluster at every start"),
            "Correct `[cluster] seedlist` in the configuration of every node.",
        );
    }
    inspected.answers_as = Some(name);
    Ok(())
}

/// An old name in the `[cluster] seedlist` of a node that answers.
///
/// Source: `mem3_nodes.erl` (`initialize_nodelist/0`).
pub(super) fn in_seedlist(node: &Node, names: &NewNames) -> Result<Option<String>, NodeError> {
    let seeds = node.http.config("cluster", "seedlist")?.unwrap_or_default();
    Ok(seeds.split(',').map(str::trim).find(|seed| names.renames(seed)).map(str::to_owned))
}

fn of_files(node: &Node, proofs: &mut Proofs) -> Result<(), NodeError> {
    let entries = node.files.list(&node.data)?.unwrap_or_default();
    let Some(maps) = entries.iter().find(|entry| entry.name == SHARD_MAPS) else {
        proofs.problem(
            node,
            "data directory",
            format!(
                "{} has no {SHARD_MAPS}: it is not the data directory of a node that has run",
                node.data.display()
            ),
            "Give the directory that `[couchdb] database_dir` names.",
        );
        return Ok(());
    };
    let replaced = || entries.iter().filter(|entry| Change::Rename.replaces(&entry.name));
    if let Some(odd) = replaced().find(|entry| entry.kind != FileKind::File) {
        proofs.problem(
            node,
            "data directory",
            format!("{} is not a regular file", node.data.join(&odd.name).display()),
            "Stop CouchDB, replace a link by the file behind it, and try again.",
        );
    }
    permissions(node, Some(maps), proofs)?;
    let needed = replaced().map(|entry| entry.size).sum::<u64>() + SLACK;
    let free = node.files.free_bytes(&node.data)?;
    if free < needed {
        proofs.problem(
            node,
            "room",
            format!("{} KiB are free, but the new files need about {} KiB", free >> 10, needed >> 10),
            "Free some space. The old files are kept until the nodes agree.",
        );
    }
    earlier_change(node, proofs);
    Ok(())
}

/// The shard maps and the lists of nodes of all nodes together.
pub(super) struct Merged<'m> {
    pub(super) maps: Documents<'m>,
    pub(super) nodes: Documents<'m>,
}

/// What they hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// All databases. How many documents they have is not known.
    pub(super) promised: Promised,
    /// Nodes in the shard maps, and in how many.
    pub(super) named: BTreeMap<String, u64>,
    /// Shard maps that change.
    pub(super) changed: u64,
    /// The nodes of the cluster, according to any of them.
    pub(super) members: BTreeSet<String>,
    /// Documents that are not the same on all nodes.
    pub(super) differing: u64,
}

impl<'m> Merged<'m> {
    pub(super) fn of(of_nodes: &'m [NodeMaps]) -> Result<Self> {
        Ok(Self {
            maps: Documents::of(of_nodes.iter().map(|maps| &maps.shard_maps).collect(), SHARD_MAPS)?,
            nodes: Documents::of(of_nodes.iter().filter_map(|maps| maps.nodes.as_ref()).collect(), NODES)?,
        })
    }

    pub(super) fn learn(&self, names: &NewNames, threads: usize) -> Result<Facts> {
        let mut facts =
            Facts { differing: self.maps.differing() + self.nodes.differing(), ..Facts::default() };
        let convert = |MapDocument { id, map, .. }: MapDocument| {
            if id.starts_with("_design/") {
                return Ok(None);
            }
            let map = map.map_err(|problem| unreadable(&id, &problem))?;
            let changes = names_old(&map, names);
            Ok(Some((id, map.by_node().into_keys().map(str::to_owned).collect::<Vec<_>>(), changes)))
        };
        self.maps.convert(threads, convert, |of_map: Result<_>| {
            let Some((id, nodes, changes)) = of_map? else { return Ok(()) };
            facts.promised.add(&id, 0);
            facts.changed += u64::from(changes);
            for node in nodes {
                *facts.named.entry(node).or_default() += 1;
            }
            Ok(())
        })?;
        self.nodes.convert(
            1,
            |document| document,
            |document| {
                if !document.is_design() {
                    facts.members.insert(document.id);
                }
                Ok(())
            },
        )?;
        Ok(facts)
    }
}

fn unreadable(id: &str, problem: &str) -> Failure {
    Failure::incomplete(
        Code::new("CC-R77"),
        format!("the shard map of {id} cannot be read: {problem}; the nodes cannot be renamed"),
        "A document of `_dbs` that holds no shard map is of no use to CouchDB. Inspect it with `couchcopy backup` and `couchcopy \
         verify` before you remove it.",
    )
}

impl Facts {
    /// Refuses names that do not fit the shard maps and the given nodes; `given` are the names of the nodes from now on.
    pub(super) fn refuse(&self, names: &NewNames, given: &[String]) -> Result<()> {
        let shown: Vec<&str> = self.named.keys().map(String::as_str).collect();
        for name in &names.names {
            if !self.named.contains_key(&name.old) && !self.members.contains(&name.old) {
                return Err(Failure::refused(
                    Code::new("CC-R75"),
                    format!(
                        "no shard map names {}, and it is not in the list of the cluster's nodes",
                        name.old
                    ),
                    format!("The shard maps name these nodes: {}.", shown.join(", ")),
                ));
            }
            if self.named.contains_key(&name.new) {
                return Err(Failure::refused(
                    Code::new("CC-R76"),
                    format!("shard maps name {} already", name.new),
                    format!("The shard maps name these nodes: {}. Choose another name.", shown.join(", ")),
                ));
            }
        }
        if let Some(twice) =
            given.iter().enumerate().find(|(i, name)| given[..*i].contains(name)).map(|(_, name)| name)
        {
            return Err(Failure::refused(
                Code::new("CC-R74"),
                format!("two of the given nodes are {twice}"),
                "Give every node once. For a node that does not run, add its name: HOST,DATA_DIR,NODENAME.",
            ));
        }
        if let Some((missing, maps)) = self.named.iter().find(|(name, _)| !is_given(name, names, given)) {
            return Err(Failure::refused(
                Code::new("CC-R80"),
                format!(
                    "{maps} shard maps name {missing}, and none of the given nodes is {}",
                    match names.after(missing) {
                        after if after == missing => "that node".to_owned(),
                        after => format!("{after}, its new name"),
                    }
                ),
                "All nodes get the same shard maps, so give all nodes of the cluster. For a node that does not run, add its name: \
                 HOST,DATA_DIR,NODENAME. If that node has a new name too, give it as OLD=NEW. If it is gone for good, restore a \
                 backup to the other nodes instead.",
            ));
        }
        for name in &names.forget {
            let why = match self.named.get(name) {
                Some(maps) => format!("{maps} shard maps name it"),
                None if given.contains(name) => "it is one of the given nodes".to_owned(),
                None => continue,
            };
            return Err(Failure::refused(
                Code::new("CC-R83"),
                format!("{name} cannot be removed from the list of the cluster's nodes: {why}"),
                "Give only nodes to --forget that do not exist any more and hold no shards.",
            ));
        }
        let is_unknown = |name: &&String| !is_given(name, names, given) && !names.forget.contains(name);
        if let Some(unknown) = self.members.iter().find(is_unknown) {
            return Err(Failure::refused(
                Code::new("CC-R82"),
                format!("{unknown} is in the list of the cluster's nodes, and is not among the given nodes"),
                format!(
                    "Give that node too. If it does not exist any more (CouchDB adds every name under which it ever started), add \
                     `--forget {unknown}`."
                ),
            ));
        }
        Ok(())
    }
}

fn is_given(name: &str, names: &NewNames, given: &[String]) -> bool {
    given.iter().any(|given| given == names.after(name))
}
