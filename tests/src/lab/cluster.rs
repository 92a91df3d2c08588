//! A cluster of nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::addresses::AddressBlock;
use super::http::{Http, encode};
use super::install::Installation;
use super::node::{Node, Place};
use super::wait::wait_for;
use crate::{Result, fixtures};

/// How large a cluster is, and its defaults for new databases.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Number of nodes.
    pub nodes: u8,
    /// Ranges of a new database.
    pub q: u32,
    /// Copies of each range.
    pub n: u32,
}

/// A cluster; nodes and files go away with it.
#[derive(Debug)]
pub struct Cluster {
    /// Its nodes.
    pub nodes: Vec<Node>,
    dir: TempDir,
    _block: AddressBlock,
}

impl Cluster {
    /// Configures nodes and leaves them stopped, without data folders.
    pub fn prepare(couchdb: &Installation, size: Size) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let block = AddressBlock::claim()?;
        let nodes = (1..=size.nodes)
            .map(|i| {
                let folder = dir.path().join(format!("node{i}"));
                Node::configure(couchdb, Place::new(block.node_name(i), block.address(i), folder), size)
            })
            .collect::<Result<_>>()?;
        Ok(Self { nodes, dir, _block: block })
    }

    /// An empty cluster, running.
    pub fn fresh(couchdb: &Installation, size: Size) -> Result<Self> {
        let mut cluster = Self::prepare(couchdb, size)?;
        cluster.start()?;
        for db in ["_users", "_replicator"] {
            cluster.http().put(&format!("/{db}"), &Value::Null)?;
        }
        Ok(cluster)
    }

    /// The first node's HTTP interface.
    pub fn http(&self) -> &Http {
        &self.nodes[0].http
    }

    /// A folder that goes away with the cluster.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The nodes as a reader of their folders wants them.
    pub fn folders(&self) -> Vec<fixtures::Node> {
        let node = |node: &Node| fixtures::Node { name: node.name.clone(), data: node.data.clone() };
        self.nodes.iter().map(node).collect()
    }

    /// Starts all nodes with whatever is in their folders, joins them and waits until every one sees all, knows the same
    /// databases and has nothing to synchronise any more.
    pub fn start(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            node.start()?;
        }
        for node in &mut self.nodes {
            node.wait_until_up()?;
        }
        join(&self.nodes)?;
        wait_for("the nodes to know the same databases", || {
            let told: Vec<Value> =
                self.nodes.iter().map(|node| node.http.get("/_dbs/_all_docs")).collect::<Result<_>>()?;
            Ok(told.windows(2).all(|pair| pair[0]["rows"] == pair[1]["rows"]).then_some(()))
        })?;
        self.wait_until_synchronised()
    }

    /// Waits until no node counts changes that it has to send to another one. Up to a hundred changes of a shard are not counted, and
    /// what was written less than the five seconds ago for which CouchDB collects changes may still be on its way.
    pub fn wait_until_synchronised(&self) -> Result<()> {
        wait_until_synchronised(&self.nodes)
    }

    /// See [`wait_until_settled`].
    pub fn wait_until_settled(&self, query: impl Fn(&Http) -> Result<()>) -> Result<()> {
        wait_until_settled(&self.nodes, query)
    }

    /// Stops all nodes and waits until they have ended.
    pub fn stop(&mut self) -> Result<()> {
        self.nodes.iter_mut().try_for_each(Node::stop)
    }
}

/// Has running nodes know each other, and waits until every one sees all.
pub fn join(nodes: &[Node]) -> Result<()> {
    // It would do to tell the first, if it then always told the others: a node that has just started may miss it. The
    // document has the same revision wherever it is written, so it may be there already.
    for node in nodes {
        for other in nodes.iter().filter(|other| other.name != node.name) {
            let path = format!("/_node/_local/_nodes/{}", encode(&other.name));
            let answer = node.http.ask("PUT", &path, Some(&json!({})))?;
            if !answer.is_success() && answer.status != 409 {
                return Err(format!("PUT {path}: {} {}", answer.status, answer.body).into());
            }
        }
    }
    let names: BTreeSet<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    for node in nodes {
        wait_for(&format!("{} to see its cluster", node.name), || {
            let answer = node.http.get("/_membership")?;
            let agrees = ["all_nodes", "cluster_nodes"].iter().all(|list| {
                let listed = answer[list].as_array().into_iter().flatten();
                listed.filter_map(Value::as_str).collect::<BTreeSet<_>>() == names
            });
            if agrees { Ok(Some(())) } else { Err(answer.to_string().into()) }
        })?;
    }
    Ok(())
}

/// See [`Cluster::wait_until_synchronised`].
pub fn wait_until_synchronised(nodes: &[Node]) -> Result<()> {
    let mut idle = 0;
    wait_for("the nodes to synchronise", || {
        for node in nodes {
            let jobs = node.http.get("/_node/_local/_system")?["internal_replication_jobs"].clone();
            if jobs != json!(0) {
                idle = 0;
                return Err(format!("{}: {jobs} jobs", node.name).into());
            }
        }
        // Between one job and the next the queue looks empty for a moment.
        idle += 1;
        Ok((idle >= 3).then_some(()))
    })
}

/// Waits until nothing goes on any more in a cluster to which nobody writes: all copies of every range hold the same
/// documents, CouchDB has made the design document that it wants, and all indexes of all copies are built; `query` is to
/// ask for them on a node.
pub fn wait_until_settled(nodes: &[Node], query: impl Fn(&Http) -> Result<()>) -> Result<()> {
    wait_for("the design document of _users", || {
        let first = nodes.first().ok_or("no nodes")?;
        Ok(first.http.ask("GET", "/_users/_design/_auth", None)?.is_success().then_some(()))
    })?;
    wait_for("the copies and indexes to agree", || {
        let mut seen: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        nodes.iter().try_for_each(|node| query(&node.http))?;
        for node in nodes {
            let shards = super::shards(&node.data)?;
            for (path, shard) in &shards {
                let first = *seen.entry(path.clone()).or_insert(shard.counts);
                if first != shard.counts {
                    return Err(format!("{path}: {first:?} and {:?}", shard.counts).into());
                }
            }
            for (path, view) in super::views(&node.data)? {
                if shards.get(&view.shard).is_none_or(|shard| shard.seq != view.seq) {
                    return Err(format!("{}: {path} is behind its database", node.name).into());
                }
            }
        }
        Ok(Some(()))
    })?;
    wait_until_synchronised(nodes)
}
