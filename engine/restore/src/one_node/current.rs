//! Which shards a node holds, according to the running nodes.

use std::collections::BTreeMap;

use couchfile::data_dir::Range;
use node::{ListedMap, Node};
use outcome::Result;

use crate::folders::plan::Held;

/// The databases of the cluster, with what a node holds of them.
pub(super) fn held(name: &str, running: &Node) -> Result<BTreeMap<String, Held>> {
    let mut held = BTreeMap::new();
    running.http.for_each_shard_map(|map| {
        let of_node = of_map(&map, name);
        held.insert(map.name, of_node);
    })?;
    Ok(held)
}

fn of_map(map: &ListedMap, name: &str) -> Held {
    let mut held = Held {
        suffix: map.suffix.clone(),
        ranges: Vec::new(),
        partitioned: map.partitioned,
        only_here: Vec::new(),
    };
    for (range, holders) in map.ranges.iter().zip(&map.holders) {
        if holders.iter().any(|holder| holder == name)
            && let Ok(range) = range.parse::<Range>()
        {
            held.ranges.push(range);
            if holders.len() == 1 {
                held.only_here.push(range);
            }
        }
    }
    held
}
