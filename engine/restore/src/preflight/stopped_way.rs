//! Whether a node's files can be reached while CouchDB is stopped: some ways lead through CouchDB's container.

use node::{Node, NodeError};
use outcome::Advice;

use super::Proofs;
use super::node_proofs::told;

/// Looks at the data folder the way that is taken while CouchDB is stopped, where that is another one.
pub(super) fn prove(node: &Node, proofs: &mut Proofs) {
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
                "{} is not the same folder there: it has no _dbs.couch that way",
                node.data.display()
            ),
            "CouchDB's data has to be on a volume, and what stands in for its container has to mount that at the same place.",
        ),
        Err(e) => proofs.problem(
            node,
            SUBJECT,
            format!("the data folder cannot be reached while CouchDB is stopped: {}", told(&e)),
            e.remedy().unwrap_or_default(),
        ),
    }
}

/// Whether the shard maps are seen that way; `None` where it is the same way.
fn seen(node: &Node) -> Result<Option<bool>, NodeError> {
    let Some(files) = node.files.while_stopped()? else { return Ok(None) };
    let entries = files.list(&node.data)?;
    Ok(Some(entries.is_some_and(|entries| entries.iter().any(|entry| entry.name == "_dbs.couch"))))
}
