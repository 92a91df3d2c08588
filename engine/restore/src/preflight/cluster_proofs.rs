//! Checks that the nodes of a cluster see each other, and that their shard maps are the same.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use cluster::agreement::{Look, maps, unconnected};
use node::{Membership, Node, encode};

use super::{Learned, Proofs};

/// How many differences between shard maps are reported.
const NAMED: usize = 4;
/// Shard maps that differ are checked again after this time: a database may just have been created.
const AGAIN: Duration = Duration::from_secs(1);

fn list(names: &BTreeSet<String>) -> String {
    names.iter().cloned().collect::<Vec<_>>().join(", ")
}

/// Checks that the given nodes are those of the cluster and see each other.
pub(super) fn membership(nodes: &[Node], learned: &[Learned], proofs: &mut Proofs) {
    let names: BTreeSet<String> = nodes.iter().filter_map(|node| node.id.name.clone()).collect();
    for (node, of_node) in nodes.iter().zip(learned) {
        let Some(membership) = &of_node.membership else { continue };
        let strangers: BTreeSet<String> = of_node.seeds.difference(&names).cloned().collect();
        if !strangers.is_empty() {
            proofs.problem(
                node,
                "membership",
                format!("its seedlist names {}, which is not among the given nodes", list(&strangers)),
                "CouchDB adds the nodes of `[cluster] seedlist` to the cluster at every start. Give these nodes too, or remove \
                 them from the seedlist of every node and then from the cluster.",
            );
        }
        if membership.cluster != names {
            proofs.problem(
                node,
                "membership",
                format!(
                    "its cluster is {}, but the given nodes are {}",
                    list(&membership.cluster),
                    list(&names)
                ),
                remedy(node, membership, &names),
            );
            continue;
        }
        let unseen = unconnected(membership, &names);
        if unseen.is_empty() {
            proofs.fine(node, "membership", format!("{} nodes, all connected", names.len()));
            continue;
        }
        let answers = |name: &&String| {
            nodes.iter().zip(learned).any(|(other, of_other)| {
                other.id.name.as_ref() == Some(*name) && of_other.membership.is_some()
            })
        };
        let answering: BTreeSet<String> = unseen.iter().filter(answers).cloned().collect();
        let mut found = format!("it does not see {}", list(&unseen));
        if !answering.is_empty() {
            let _ = write!(found, ", though CouchDB of {} answers", list(&answering));
        }
        proofs.problem(
            node,
            "membership",
            found,
            if answering.is_empty() {
                "Start the other nodes, and check that nothing blocks the connections between them (port 4369 and Erlang's \
                 ports)."
            } else {
                "Compare the cookies (-setcookie in vm.args), which must be the same on all nodes, and check that nothing \
                 blocks port 4369 and Erlang's ports between them. CouchDB merges the writes of both sides when the nodes see \
                 each other again."
            },
        );
    }
}

/// The remedy if the given nodes are not those of the cluster.
fn remedy(node: &Node, membership: &Membership, names: &BTreeSet<String>) -> String {
    let mut remedy = String::from(
        "Give all nodes of the cluster: a node that keeps old data would mix it with the new data.",
    );
    for absent in membership.cluster.difference(names).filter(|name| !membership.connected.contains(*name)) {
        let Ok(Some(revision)) = node.http.revision_of_member(absent) else { continue };
        let _ = write!(
            remedy,
            " {absent} is not connected. If it is gone for good, remove it from the cluster: curl -u {} -X DELETE \
             '{}/_node/_local/_nodes/{}?rev={revision}'",
            node.http.user().unwrap_or("admin"),
            node.http.url(),
            encode(absent),
        );
    }
    let strangers: BTreeSet<String> = names.difference(&membership.cluster).cloned().collect();
    if !strangers.is_empty() {
        let _ = write!(remedy, " {} do not belong to its cluster: add them, or omit them.", list(&strangers));
    }
    remedy
}

/// Checks that the nodes that answer have the same shard maps.
pub(super) fn shard_maps(nodes: &[Node], learned: &[Learned], proofs: &mut Proofs) {
    let asked: Vec<maps::Asked<'_>> = nodes
        .iter()
        .zip(learned)
        .filter(|(_, of_node)| of_node.membership.is_some())
        .map(|(node, _)| (node.shown(), &node.http))
        .collect();
    let Some(node) = nodes.first().filter(|_| asked.len() > 1) else { return };
    let look = || match maps::compare(&asked, 0) {
        Look::NotYet(differences) => differences,
        // What cannot be asked is found elsewhere.
        Look::Agreed | Look::Lasting(_) => Vec::new(),
    };
    if look().is_empty() {
        return;
    }
    std::thread::sleep(AGAIN);
    let differences = look();
    if differences.is_empty() {
        return;
    }
    let more = differences.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let shown: Vec<&str> = differences.iter().take(NAMED).map(String::as_str).collect();
    proofs.warning(
        node,
        "shard maps",
        format!("the nodes do not have the same shard maps: {}{more}", shown.join("; ")),
        "A restore replaces all shard maps. Before a backup, connect the nodes and let them settle: databases that only one \
         node knows may be missing in the backup.",
    );
}
