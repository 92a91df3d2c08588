//! Checks that a node's files can be reached while CouchDB is stopped: some access chains lead through CouchDB's container.

use node::{Node, NodeError};
use outcome::Advice;

use super::Proofs;
use super::node_proofs::describe;

/// Checks the data directory through the access chain for a stopped CouchDB, if that chain differs.
pub(crate) fn prove(node: &Node, proofs: &mut Proofs) {
    const SUBJECT: &str = "files while stopped";
    match seen(node) {
        Ok(None) => {}
        Ok(Some(true)) => {
            proofs.fine(node, SUBJECT, format!("{} can be reached while CouchDB is stopped", node.data.display()));
        }
        Ok(Some(false)) => proofs.problem(
            node,
            SUBJECT,
            format!(
                "{} is not the same directory while CouchDB is stopped: it has no _dbs.couch",
                node.data.display()
            ),
            "Put CouchDB's data on a volume, and mount that volume at the same path in the container that replaces CouchDB's.",
        ),
        Err(e) => proofs.problem(
            node,
            SUBJECT,
            format!("the data directory cannot be reached while CouchDB is stopped: {}", describe(&e)),
            e.remedy().unwrap_or_default(),
        ),
    }
}

/// Whether the shard maps are visible through that access chain; `None` if it is the same chain.
fn seen(node: &Node) -> Result<Option<bool>, NodeError> {
    let Some(files) = node.files.while_stopped()? else { return Ok(None) };
    let entries = files.list(&node.data)?;
    Ok(Some(entries.is_some_and(|entries| entries.iter().any(|entry| entry.name == "_dbs.couch"))))
}
