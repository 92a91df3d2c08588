//! What the list of the cluster's nodes (`_nodes`) says about each of them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Http;
use crate::error::{NodeError, Result};

/// What decides whether CouchDB creates shards on a node, according to the node's document in `_nodes`.
///
/// Source: `mem3.erl` (`nodes_in_zone/2`, `allowed_nodes/0`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Member {
    /// Its zone, for the placement of copies.
    pub zone: Option<String>,
    /// Whether CouchDB creates no shards on it.
    pub decommissioned: bool,
}

impl Member {
    fn of(document: &Value) -> Self {
        let decom = &document["decom"];
        Self {
            zone: document["zone"].as_str().map(str::to_owned),
            decommissioned: *decom == true || *decom == "true",
        }
    }
}

impl Http {
    /// The nodes of the cluster, as the node's own list has them.
    pub fn members(&self) -> Result<BTreeMap<String, Member>> {
        let answer = self.get("/_node/_local/_nodes/_all_docs?include_docs=true")?;
        let member = |row: &Value| Some((row["id"].as_str()?.to_owned(), Member::of(&row["doc"])));
        let members: Option<BTreeMap<_, _>> =
            answer["rows"].as_array().and_then(|rows| rows.iter().map(member).collect());
        let mut members = members.ok_or_else(|| NodeError::Answer {
            node: self.node.clone(),
            asked: "GET _nodes/_all_docs".to_owned(),
            problem: "it lists no nodes".to_owned(),
        })?;
        members.retain(|name, _| !name.starts_with("_design/"));
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_read_from_documents() {
        let member = |document: Value| Member::of(&document);
        assert_eq!(member(json!({"_id": "a@b"})), Member::default());
        let in_zone = Member { zone: Some("z".into()), decommissioned: false };
        assert_eq!(member(json!({"zone": "z", "decom": "no"})), in_zone);
        let leaving = Member { zone: None, decommissioned: true };
        // A zone that is not text matches no placement.
        assert_eq!(member(json!({"zone": 7, "decom": true})), leaving);
        assert_eq!(member(json!({"decom": "true"})), leaving);
    }
}
