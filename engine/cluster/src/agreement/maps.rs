//! Whether all nodes have the same shard maps.

use node::{Http, Node, NodeError};
use outcome::{Result, parallel};

use super::{Look, TOLD, is_lasting};

/// Shard maps in one request.
const PAGE: usize = 5000;

/// A node: its name in messages and its HTTP interface.
pub type Asked<'h> = (String, &'h Http);

/// Compares the shard maps of nodes, which must list this number of databases.
pub(super) fn agree(nodes: &[Node], databases: u64) -> Look {
    let asked: Vec<Asked<'_>> = nodes.iter().map(|node| (node.shown(), &node.http)).collect();
    compare(&asked, databases)
}

/// Compares the ids and revisions of the documents in every node's `_dbs`, page by page, and checks the minimum number of
/// databases.
pub fn compare(nodes: &[Asked<'_>], databases: u64) -> Look {
    let mut start: Option<String> = None;
    let mut seen = 0u64;
    loop {
        let pages: Vec<Result<Vec<(String, String)>, NodeError>> =
            parallel::all_at_once(nodes, |_, (_, http)| http.shard_map_revisions(start.as_deref(), PAGE + 1));
        let mut answered = Vec::new();
        let mut failed = Vec::new();
        let mut lasting = false;
        for page in pages {
            match page {
                Ok(page) => answered.push(page),
                Err(e) => {
                    lasting |= is_lasting(&e);
                    failed.push(e.to_string());
                }
            }
        }
        if !failed.is_empty() {
            return Look::of(failed, lasting);
        }
        let Some(first) = answered.first() else { return Look::Agreed };
        for (node, page) in nodes.iter().zip(&answered).skip(1) {
            if page != first {
                return Look::NotYet(differences(&nodes[0].0, first, &node.0, page));
            }
        }
        seen += first.iter().take(PAGE).filter(|(id, _)| !id.starts_with("_design/")).count() as u64;
        if first.len() <= PAGE {
            break;
        }
        start = first.last().map(|(id, _)| id.clone());
    }
    if seen < databases {
        return Look::NotYet(vec![format!("the nodes list {seen} databases instead of {databases}")]);
    }
    Look::Agreed
}

fn differences(
    one: &str,
    ones: &[(String, String)],
    other: &str,
    others: &[(String, String)],
) -> Vec<String> {
    let lacks = |node: &str, list: &[(String, String)], all: &[(String, String)]| -> Vec<String> {
        let missing = all.iter().filter(|entry| !list.contains(entry)).take(TOLD / 2);
        missing.map(|(id, revision)| format!("{node} does not have the shard map {id} {revision}")).collect()
    };
    let mut differences = lacks(one, ones, others);
    differences.extend(lacks(other, others, ones));
    differences
}
