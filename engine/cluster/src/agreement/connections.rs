//! Which nodes of a cluster see each other.

use std::collections::BTreeSet;

use node::{Membership, Node, NodeError};

use super::{Look, together};

/// Whether every node reports these nodes as its cluster and is connected to all of them.
pub(super) fn all_see(nodes: &[Node], names: &BTreeSet<String>) -> Look {
    together(nodes, |node| look(node, names))
}

/// Lists the nodes that do not see each other at the moment; empty if all do.
pub(super) fn differences(nodes: &[Node], names: &BTreeSet<String>) -> Vec<String> {
    match all_see(nodes, names) {
        Look::Agreed => Vec::new(),
        Look::NotYet(differences) | Look::Lasting(differences) => differences,
    }
}

fn look(node: &Node, names: &BTreeSet<String>) -> Result<Vec<String>, NodeError> {
    let membership = node.http.membership()?;
    let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    let mut found = Vec::new();
    if membership.cluster != *names {
        found.push(format!(
            "{} reports these nodes as its cluster: {}",
            node.shown(),
            list(&membership.cluster)
        ));
    }
    let unseen = unconnected(&membership, names);
    if !unseen.is_empty() {
        found.push(format!("{} does not see {}", node.shown(), list(&unseen)));
    }
    Ok(found)
}

/// The nodes in this list that a node is not connected to.
pub fn unconnected(membership: &Membership, names: &BTreeSet<String>) -> BTreeSet<String> {
    names.difference(&membership.connected).cloned().collect()
}
