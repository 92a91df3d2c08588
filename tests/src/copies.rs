//! Every copy of every shard, on every node that the maps name.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Result;
use crate::compare::compare;
use crate::content;
use crate::fixtures::Node;

/// Reads every copy on every node and gives the cluster's content, as [`content::read_cluster`] does.
///
/// Fails where a map names a node that is not given, a node lacks a file that a map promises, a copy is damaged, or two
/// copies of a range differ in content (uuids, sequences and CouchDB's own local documents may differ).
pub fn read_every_copy(nodes: &[Node]) -> Result<Value> {
    let folders: Vec<_> = nodes.iter().map(|node| node.data.as_path()).collect();
    let by_name: BTreeMap<&str, &Node> = nodes.iter().map(|node| (node.name.as_str(), node)).collect();
    for (db, map) in &content::agreed_maps(&folders)? {
        for shard in map.shards() {
            let path = shard.path();
            let mut first: Option<(&str, Value)> = None;
            for name in &map.by_range[&shard.range] {
                let node = by_name.get(name.as_str()).ok_or_else(|| format!("{db}: no node {name}"))?;
                let copy = content::read_shard(&node.data.join(&path), map)?;
                let Some((other, content)) = &first else {
                    first = Some((name, copy));
                    continue;
                };
                let differences = compare(content, &copy);
                if !differences.is_empty() {
                    let differences = differences.join("; ");
                    return Err(format!("{path} on {other} and on {name}: {differences}").into());
                }
            }
            first.ok_or_else(|| format!("{path}: the map names no node"))?;
        }
    }
    content::read_cluster(&folders)
}
