//! Whether all nodes have the same shard maps.

use node::{Node, NodeError};

use super::{Look, TOLD};
use crate::cluster::on_each;
use crate::error::Result;

/// Shard maps asked for at a time.
const PAGE: usize = 5000;

/// Compares ids and revisions of the documents in every node's `_dbs`, page by page.
pub(super) fn agree(nodes: &[Node], databases: u64) -> Result<Look> {
    let mut start: Option<String> = None;
    let mut seen = 0u64;
    loop {
        let pages: Vec<Result<Vec<(String, String)>, NodeError>> =
            on_each(nodes, |_, node| Ok(node.http.shard_map_revisions(start.as_deref(), PAGE + 1)))
                .into_iter()
                .collect::<Result<_>>()?;
        let mut answered = Vec::new();
        let mut failed = Vec::new();
        for page in pages {
            match page {
                Ok(page) => answered.push(page),
                Err(e) => failed.push(e.to_string()),
            }
        }
        if !failed.is_empty() {
            return Ok(Look::NotYet(failed));
        }
        let Some(first) = answered.first() else { return Ok(Look::Agreed) };
        for (node, page) in nodes.iter().zip(&answered).skip(1) {
            if page != first {
                return Ok(Look::NotYet(differences(&nodes[0], first, node, page)));
            }
        }
        seen += first.iter().take(PAGE).filter(|(id, _)| !id.starts_with("_design/")).count() as u64;
        if first.len() <= PAGE {
            break;
        }
        start = first.last().map(|(id, _)| id.clone());
    }
    if seen < databases {
        return Ok(Look::NotYet(vec![format!("the nodes know {seen} databases, not {databases}")]));
    }
    Ok(Look::Agreed)
}

fn differences(
    one: &Node,
    ones: &[(String, String)],
    other: &Node,
    others: &[(String, String)],
) -> Vec<String> {
    let lacks = |node: &Node, list: &[(String, String)], all: &[(String, String)]| -> Vec<String> {
        let missing = all.iter().filter(|entry| !list.contains(entry)).take(TOLD / 2);
        missing.map(|(id, revision)| format!("{} has no shard map {id} {revision}", node.shown())).collect()
    };
    let mut told = lacks(one, ones, others);
    told.extend(lacks(other, others, ones));
    told
}
