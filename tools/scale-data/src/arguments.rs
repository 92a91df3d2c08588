//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::error::Result;
use crate::plan::{Attachments, Plan};

/// Documents of a database from which on it counts as a big one, with big documents.
const BIG: u64 = 10_000;
/// Bytes of a document in a small and in a big database.
const DOC_SIZES: (u64, u64) = (200, 8192);
/// CouchDB's default number of copies.
const COPIES: usize = 3;

/// Build CouchDB data folders of any size, for benchmarks and tests.
///
/// The folders hold what a CouchDB node's `database_dir` holds: `shards/`, an empty `.shards/` and `_dbs.couch`. A node
/// with the right name can be started on them as they are. The same arguments give the same bytes every time.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Arguments {
    /// How many databases; they are called bulk-000001, bulk-000002, …
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub databases: u64,

    /// How many databases without documents, besides; they are called empty-000001, empty-000002, …
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub empty: u64,

    /// How many documents in each database
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub docs: u64,

    /// Bytes of JSON of a document, on average: sizes vary from half to one and a half of it
    ///
    /// By default 200, or 8192 where a database has 10000 documents or more. Below about 120 bytes the fixed members
    /// of a document weigh more than asked for.
    #[arg(long, value_name = "BYTES")]
    pub doc_size: Option<u64>,

    /// How many revisions of each document are known; of all but the last only the ids are
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub revisions: u64,

    /// How many ranges (shards) each database is cut into
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub q: u32,

    /// How many copies of each range, on as many different nodes; by default 3, or one per node where there are fewer
    #[arg(long, value_name = "N")]
    pub copies: Option<usize>,

    /// How many nodes; they are called couchdb1@127.0.0.1, couchdb2@127.0.0.2, …
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "node")]
    pub nodes: usize,

    /// The nodes' own names, one --node for each, in place of --nodes
    #[arg(long, value_name = "NAME")]
    pub node: Vec<String>,

    /// What the random text, ids and uuids are made from; another number gives other data
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// How many attachments each document gets, text (stored gzipped) and binary in turn
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub attachments: usize,

    /// Bytes of an attachment, on average: sizes vary from half to one and a half of it
    #[arg(long, value_name = "BYTES", default_value_t = 16_384)]
    pub attachment_size: u64,

    /// Where to write: new or empty. With one node it becomes the data folder, with several it gets one per node
    /// inside, called as the node
    pub dir: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  A hundred thousand small databases on one node:
    scale-data --databases 100000 --docs 10 --doc-size 100 data

  One database of some 4 GiB in a single file:
    scale-data --databases 1 --docs 500000 --q 1 data

  A cluster of three nodes with two copies of each range, in data/a@10.0.0.1 and so on:
    scale-data --databases 50 --copies 2 --node a@10.0.0.1 --node b@10.0.0.2 --node c@10.0.0.3 data";

impl Arguments {
    /// What is to be built.
    ///
    /// Fails where the arguments do not go together.
    pub fn plan(&self) -> Result<Plan> {
        let nodes = if self.node.is_empty() {
            (1..=self.nodes).map(|i| format!("couchdb{i}@127.0.0.{i}")).collect()
        } else {
            self.node.clone()
        };
        let doc_size = self.doc_size.unwrap_or(if self.docs < BIG { DOC_SIZES.0 } else { DOC_SIZES.1 });
        let plan = Plan {
            databases: self.databases,
            empty: self.empty,
            docs: self.docs,
            doc_size,
            revisions: self.revisions,
            q: self.q,
            copies: self.copies.unwrap_or(COPIES.min(nodes.len())),
            nodes,
            seed: self.seed,
            attachments: Attachments { per_document: self.attachments, size: self.attachment_size },
        };
        plan.validate()?;
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn plan(arguments: &[&str]) -> Result<Plan> {
        Arguments::parse_from(["scale-data"].iter().chain(arguments).chain(&["dir"])).plan()
    }

    #[test]
    fn clap_finds_no_fault() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn defaults_follow_the_other_arguments() {
        let small = plan(&["--nodes", "2"]).unwrap();
        assert_eq!(small.nodes, ["couchdb1@127.0.0.1", "couchdb2@127.0.0.2"]);
        assert_eq!((small.copies, small.doc_size), (2, 200));
        let big = plan(&["--nodes", "5", "--docs", "10000"]).unwrap();
        assert_eq!((big.copies, big.doc_size), (3, 8192));
        assert_eq!(plan(&["--node", "x@y", "--node", "z@y"]).unwrap().nodes, ["x@y", "z@y"]);
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for arguments in [
            &["--copies", "2"][..],
            &["--copies", "0"],
            &["--q", "0"],
            &["--revisions", "0"],
            &["--revisions", "1001"],
            &["--nodes", "0"],
            &["--nodes", "256"],
            &["--node", "a@b", "--node", "a@b"],
            &["--node", "a/b@c"],
            &["--node", "nobody"],
        ] {
            assert!(plan(arguments).is_err(), "{arguments:?}");
        }
    }
}
