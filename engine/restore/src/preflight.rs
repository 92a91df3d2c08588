//! The checks of nodes before their data is replaced; `couchcopy check` runs them on their own.

mod cluster_proofs;
pub(crate) mod holdings;
pub(crate) mod node_proofs;
pub(crate) mod placement;
pub(crate) mod programs;
pub(crate) mod stopped_way;

use std::collections::BTreeSet;

use cluster::identity::Identity;
use cluster::on_each;
use holdings::Holdings;
use node::{Node, Version};
use outcome::{Code, Failure, Result};
use placement::{Followed, ToldPlacement};
use serde::Serialize;

use crate::outside::Outside;

/// The result of one check.
#[derive(Debug, Clone, Serialize)]
pub struct Proof {
    /// The node.
    pub node: String,
    /// What was checked.
    pub subject: &'static str,
    /// The verdict.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// How to fix a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// The verdict of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// Not as it should be, but not a reason to refuse a restore.
    Warning,
    /// A restore would be refused.
    Problem,
}

/// The results of the checks of all nodes.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Proofs {
    /// The results, in the order of the nodes.
    pub proofs: Vec<Proof>,
}

/// What the checks find out about a node, besides their verdicts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Learned {
    pub(crate) name: Option<String>,
    pub(crate) version: Option<Version>,
    pub(crate) membership: Option<node::Membership>,
    /// The nodes of its `[cluster] seedlist`.
    pub(crate) seeds: BTreeSet<String>,
    /// Where it would have CouchDB place copies.
    pub(crate) placement: Option<ToldPlacement>,
    /// What distinguishes it from another CouchDB.
    pub(crate) identity: Option<Identity>,
    /// Databases that it has now.
    pub(crate) databases: Option<u64>,
    /// Bytes that may still be written to its file system.
    pub(crate) free: Option<u64>,
    /// The difference between its clock and the clock of this machine in milliseconds.
    pub(crate) clock: Option<i64>,
    /// Indexes outside its data directory.
    pub(crate) outside: Outside,
    /// The files below its `shards`.
    pub(crate) holdings: Holdings,
}

/// Options that allow what would otherwise prevent a restore.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Allowed {
    /// Files that belong to no database may be removed.
    pub(crate) remove_orphans: bool,
    /// Databases keep their suffixes, so that indexes outside the data directory treat them as the databases they knew.
    pub(crate) keep_suffix: bool,
    /// What is taken from the nodes' own placement of copies.
    pub(crate) followed: Followed,
}

/// The largest difference between the clocks of two nodes in seconds.
const CLOCKS: i64 = 5;

/// Checks everything that can be checked without lasting changes. Sets the names of nodes that were not given.
pub fn prove(nodes: &mut [Node]) -> Result<Proofs> {
    prove_all(nodes, Allowed::default()).map(|(proofs, _)| proofs)
}

pub(crate) fn prove_all(nodes: &mut [Node], allowed: Allowed) -> Result<(Proofs, Vec<Learned>)> {
    let mut proofs = Proofs::default();
    let mut learned = Vec::new();
    for result in on_each(nodes, |_, node| Ok(node_proofs::prove(node, allowed))) {
        let (found, of_node) = result?;
        proofs.proofs.extend(found);
        learned.push(of_node);
    }
    for (node, learned) in nodes.iter_mut().zip(&learned) {
        if node.id.name.is_none() {
            node.id.name.clone_from(&learned.name);
        }
    }
    of_cluster(nodes, &learned, allowed, &mut proofs);
    holdings::prove(nodes, &mut learned, allowed.remove_orphans, &mut proofs);
    Ok((proofs, learned))
}

/// Checks that compare nodes.
fn of_cluster(nodes: &[Node], learned: &[Learned], allowed: Allowed, proofs: &mut Proofs) {
    for (i, node) in nodes.iter().enumerate() {
        if nodes[..i].iter().any(|other| other.id.name.is_some() && other.id.name == node.id.name) {
            proofs.problem(node, "name", "another node given has the same name", "Give every node once.");
        }
    }
    cluster_proofs::membership(nodes, learned, proofs);
    cluster_proofs::shard_maps(nodes, learned, proofs);
    placement::prove(nodes, learned, allowed.followed, proofs);
    let clocks = || learned.iter().filter_map(|learned| learned.clock);
    if let (Some(first), Some(last)) = (clocks().min(), clocks().max())
        && last - first > CLOCKS * 1000
        && let Some(node) = nodes.first()
    {
        proofs.add(
            node,
            "clocks",
            Verdict::Warning,
            format!("the clocks of the nodes differ by {} s", (last - first) / 1000),
            Some("Run a time service (NTP) on every node.".into()),
        );
    }
    let versions: BTreeSet<&Version> =
        learned.iter().filter_map(|learned| learned.version.as_ref()).collect();
    if versions.len() > 1
        && let Some(node) = nodes.first()
    {
        let listed: Vec<String> = versions.iter().map(ToString::to_string).collect();
        proofs.add(
            node,
            "versions",
            Verdict::Warning,
            format!("the nodes run different versions of CouchDB: {}", listed.join(", ")),
            Some("Upgrade all nodes to the same version.".into()),
        );
    }
}

impl Proofs {
    fn add(
        &mut self,
        node: &Node,
        subject: &'static str,
        verdict: Verdict,
        found: impl Into<String>,
        remedy: Option<String>,
    ) {
        self.proofs.push(Proof { node: node.shown(), subject, verdict, found: found.into(), remedy });
    }

    pub(crate) fn fine(&mut self, node: &Node, subject: &'static str, found: impl Into<String>) {
        self.add(node, subject, Verdict::Fine, found, None);
    }

    pub(crate) fn problem(
        &mut self,
        node: &Node,
        subject: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(node, subject, Verdict::Problem, found, Some(remedy.into()));
    }

    pub(crate) fn warning(
        &mut self,
        node: &Node,
        subject: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(node, subject, Verdict::Warning, found, Some(remedy.into()));
    }

    /// Whether a restore would succeed.
    pub fn is_fine(&self) -> bool {
        self.problems().next().is_none()
    }

    pub(crate) fn problems(&self) -> impl Iterator<Item = &Proof> {
        self.proofs.iter().filter(|proof| proof.verdict == Verdict::Problem)
    }

    /// Refuses, with all problems, if there are any. `what` says what cannot be done.
    pub(crate) fn refuse_all(&self, code: Code, what: &str) -> Result<()> {
        let Some(first) = self.problems().next() else { return Ok(()) };
        let found: Vec<String> = self
            .problems()
            .map(|proof| format!("{}: {}: {}", proof.node, proof.subject, proof.found))
            .collect();
        let remedy = first.remedy.clone().unwrap_or_default();
        Err(Failure::refused(code, format!("{what}: {}", found.join("; ")), remedy))
    }

    /// Refuses if a restore would not succeed.
    pub(crate) fn refuse(&self) -> Result<()> {
        let Some(first) = self.problems().next() else { return Ok(()) };
        let more = self.problems().count() - 1;
        let refusals: Vec<String> = self
            .problems()
            .take(5)
            .map(|proof| format!("{}: {}: {}", proof.node, proof.subject, proof.found))
            .collect();
        let remedy = first.remedy.clone().unwrap_or_default();
        Err(Failure::refused(
            Code::new("CC-R01"),
            refusals.join("; "),
            if more > 0 {
                format!("{remedy} `couchcopy check` shows all problems, and how to fix them.")
            } else {
                remedy
            },
        ))
    }
}
