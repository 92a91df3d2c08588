//! What a node reports of its own copy of a shard.
//!
//! Source: `chttpd_node.erl`, which hands `/_node/_local/SHARD` to the API of a single file (`couch_httpd_db.erl`); CouchDB 3.0.

use serde_json::Value;

use super::{Http, encode};
use crate::error::Result;

/// A node's own copy of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyInfo {
    /// Its uuid, by which other copies know it.
    pub uuid: String,
    /// How many changes it has seen.
    pub update_seq: u64,
}

impl Http {
    /// The copy of a shard, e.g. `shards/00000000-7fffffff/shop.1700000000`; `None` if the node has none.
    pub fn copy_info(&self, shard: &str) -> Result<Option<CopyInfo>> {
        let path = of_copy(shard, "");
        let Some(body) = self.get_if_there(&path)? else { return Ok(None) };
        let info = body["uuid"].as_str().zip(body["update_seq"].as_u64());
        let info = info.map(|(uuid, update_seq)| CopyInfo { uuid: uuid.to_owned(), update_seq });
        info.map(Some).ok_or_else(|| self.nonsense(&format!("GET {path}"), &body))
    }

    /// A local document of a copy, by its id (`_local/…`); `None` if the copy does not have it.
    pub fn local_document(&self, shard: &str, id: &str) -> Result<Option<Value>> {
        self.get_if_there(&of_copy(shard, &format!("/{id}")))
    }

    /// The sequence of the first change of a copy after `since`; `None` if there is none.
    pub fn change_after(&self, shard: &str, since: u64) -> Result<Option<u64>> {
        let path = of_copy(shard, &format!("/_changes?limit=1&since={since}"));
        let Some(changes) = self.get_if_there(&path)? else { return Ok(None) };
        match changes["results"].as_array().map(Vec::as_slice) {
            Some([]) => Ok(None),
            Some([change, ..]) if change["seq"].is_u64() => Ok(change["seq"].as_u64()),
            _ => Err(self.nonsense(&format!("GET {path}"), &changes)),
        }
    }
}

fn of_copy(shard: &str, rest: &str) -> String {
    format!("/_node/_local/{}{rest}", encode(shard))
}
