//! Ranges that no given node holds.

use std::collections::BTreeMap;

use couchfile::data_dir::{Range, ShardName};
use outcome::{Code, Failure, Result};

use crate::folder::NodeFolder;

/// Ranges that no given node holds.
#[derive(Debug, Default)]
pub(super) struct Nowhere {
    count: usize,
    /// The first few ranges: database, range, nodes.
    examples: Vec<(String, Range, Vec<String>)>,
    /// How many of these ranges each absent node holds.
    nodes: BTreeMap<String, usize>,
}

impl Nowhere {
    pub(super) fn add(&mut self, shard: &ShardName, nodes: &[String]) {
        self.count += 1;
        if self.examples.len() < 3 {
            self.examples.push((shard.db.clone(), shard.range, nodes.to_vec()));
        }
        for node in nodes {
            *self.nodes.entry(node.clone()).or_default() += 1;
        }
    }

    pub(super) fn refuse(self, folders: &[NodeFolder]) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let examples: Vec<String> = self
            .examples
            .iter()
            .map(|(db, range, nodes)| format!("{db} {range} (on {})", nodes.join(", ")))
            .collect();
        let given: Vec<&str> =
            folders.iter().map(|folder| folder.name.as_deref().unwrap_or("of unknown name")).collect();
        let nodes: Vec<&str> = self.nodes.keys().map(String::as_str).collect();
        Err(Failure::incomplete(
            Code::new("CC-B08"),
            format!(
                "{} ranges are on none of the given nodes ({}): {}{}",
                self.count,
                given.join(", "),
                examples.join("; "),
                if self.count > 3 { "; …" } else { "" }
            ),
            format!(
                "Give the data directories of more nodes: these ranges are on {}. If a given directory belongs to one of these \
                 nodes under another name, give that name after it: HOST,DIR,NODENAME.",
                nodes.join(", ")
            ),
        ))
    }
}
