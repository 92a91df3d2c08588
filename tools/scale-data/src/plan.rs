//! What is to be built.

use std::collections::BTreeSet;

use couchfile::shard_map::ShardMap;

use crate::error::{Result, ScaleDataError};
use crate::random::Random;

/// Largest number of nodes: their addresses end in their number.
const MAX_NODES: usize = 255;
/// Largest number of ranges, CouchDB's own limit for `q` being much lower in practice.
const MAX_Q: u32 = 4096;
/// Largest number of revisions: CouchDB forgets those beyond `_revs_limit`, 1000 if nothing else is set.
const MAX_REVISIONS: u64 = 1000;
/// First time of creation of a database, in unix seconds.
const CREATED: u64 = 1_700_000_000;
/// Databases are created within so many seconds.
const CREATED_WITHIN: u64 = 60_000_000;

/// Attachments of every document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attachments {
    /// How many.
    pub per_document: usize,
    /// Bytes of one, on average.
    pub size: u64,
}

/// What is to be built. Equal plans give equal bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Number of databases with documents.
    pub databases: u64,
    /// Number of databases without any, besides.
    pub empty: u64,
    /// Documents in each of the former.
    pub docs: u64,
    /// Bytes of JSON of a document, on average.
    pub doc_size: u64,
    /// Known revisions of each document, one after the other; only the last one has a body.
    pub revisions: u64,
    /// Ranges of each database.
    pub q: u32,
    /// Copies of each range.
    pub copies: usize,
    /// Names of the nodes.
    pub nodes: Vec<String>,
    /// What everything random is made from.
    pub seed: u64,
    /// Attachments of every document.
    pub attachments: Attachments,
}

impl Plan {
    /// Says what does not go together.
    pub fn validate(&self) -> Result<()> {
        let fail = |what: String| Err(ScaleDataError::Plan(what));
        if self.nodes.is_empty() || self.nodes.len() > MAX_NODES {
            return fail(format!("there must be 1 to {MAX_NODES} nodes"));
        }
        if self.q == 0 || self.q > MAX_Q {
            return fail(format!("a database has 1 to {MAX_Q} ranges"));
        }
        if self.revisions == 0 || self.revisions > MAX_REVISIONS {
            return fail(format!("a document has 1 to {MAX_REVISIONS} revisions"));
        }
        if self.copies == 0 || self.copies > self.nodes.len() {
            let nodes = self.nodes.len();
            return fail(format!(
                "{nodes} nodes can hold 1 to {nodes} copies of a range, not {}",
                self.copies
            ));
        }
        if let Some(name) = self.nodes.iter().find(|name| !is_node_name(name)) {
            return fail(format!("\"{name}\" is no node name; they look like couchdb@10.0.0.1"));
        }
        if self.nodes.iter().collect::<BTreeSet<_>>().len() < self.nodes.len() {
            return fail("two nodes have the same name".into());
        }
        Ok(())
    }

    /// Number of all databases.
    pub fn total(&self) -> u64 {
        self.databases + self.empty
    }

    /// Name of database number `i`, counted from 0; the empty ones come last.
    pub fn name(&self, i: u64) -> String {
        match i.checked_sub(self.databases) {
            None => format!("bulk-{:06}", i + 1),
            Some(i) => format!("empty-{:06}", i + 1),
        }
    }

    /// Number of documents of database number `i`.
    pub fn docs(&self, i: u64) -> u64 {
        if i < self.databases { self.docs } else { 0 }
    }

    /// The shard map of database number `i`. Databases begin at different nodes, so that all nodes get their share.
    pub fn map(&self, i: u64) -> ShardMap {
        let name = self.name(i);
        let mut random = Random::new(self.seed, &["map", &name]);
        let suffix = format!(".{}", CREATED + random.below(CREATED_WITHIN));
        let mut map = ShardMap::new(&name, &suffix, self.q, self.copies, &self.nodes);
        map.place(&self.nodes, self.copies, random.below(self.nodes.len() as u64) as usize);
        map
    }

    /// The uuid of a file of a node: no other file has it.
    pub(crate) fn uuid(&self, node: &str, path: &str) -> String {
        Random::new(self.seed, &["uuid", node, path]).uuid()
    }
}

/// Whether a text can be an Erlang node's name and a folder's.
fn is_node_name(name: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    name.split_once('@').is_some_and(|(name, host)| plain(name) && plain(host)) && name.len() <= 255
}
