//! Where nodes stand after restores, and removing what they have left.

use node::Node;
use plugin_host::State;
use serde::Serialize;

use crate::cluster::{Steps, on_all};
use crate::error::{OperationError, Result};
use crate::report::Reporter;
use crate::swap::{self, Places, Situation};

/// Where a node stands.
#[derive(Debug, Clone, Serialize)]
pub struct NodeStatus {
    /// Its name, or its host where nobody knows its name.
    pub node: String,
    /// Its data folder.
    pub data: std::path::PathBuf,
    /// Where it stands.
    pub situation: Situation,
    /// What its service manager says.
    pub service: String,
    /// Whether CouchDB answers.
    pub answers: bool,
    /// The restore's archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// When the restore began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun: Option<String>,
    /// All nodes of the restore.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// What it means, and what to do.
    pub meaning: &'static str,
}

/// Tells where nodes stand. Changes nothing.
pub fn status(nodes: &[Node]) -> Result<Vec<NodeStatus>> {
    on_all(nodes, |_, node| {
        let state = swap::look(node)?;
        let service = match node.service.status() {
            Ok(State::Running) => "running".to_owned(),
            Ok(State::Stopped) => "stopped".to_owned(),
            Ok(State::Unknown) => "unknown".to_owned(),
            Err(error) => error.to_string(),
        };
        let journal = state.journal;
        Ok(NodeStatus {
            node: node
                .id
                .name
                .clone()
                .or_else(|| journal.as_ref().map(|j| j.node.clone()))
                .unwrap_or_else(|| node.shown()),
            data: node.data.clone(),
            situation: state.situation,
            service,
            answers: node.http.is_up().unwrap_or(false),
            archive: journal.as_ref().map(|journal| journal.archive.clone()),
            begun: journal.as_ref().map(|journal| journal.begun.clone()),
            nodes: journal.map(|journal| journal.nodes).unwrap_or_default(),
            meaning: meaning(state.situation),
        })
    })
}

fn meaning(situation: Situation) -> &'static str {
    match situation {
        Situation::Untouched => "no restore has left anything here",
        Situation::Staging => {
            "old data in place; a restore was interrupted while it copied: --resume begins it again, --roll-back removes the copy"
        }
        Situation::Staged => {
            "old data in place; a restore was interrupted after it had copied: --resume finishes it, --roll-back removes the copy"
        }
        Situation::Swapping => {
            "a restore was interrupted while data changed places: --resume finishes it, --roll-back brings the old data back; do not start CouchDB by hand"
        }
        Situation::Swapped => {
            "new data in place, not yet found good: --resume goes on, --roll-back brings the old data back"
        }
        Situation::Done => {
            "restored; the old data is still there: clean removes it, --roll-back brings it back"
        }
        Situation::Removing => "restored; the old data is partly removed: clean removes the rest",
        Situation::Undone => "old data in place; clean removes what a restore left",
    }
}

/// Removes what restores have left beside the data in place; gives the nodes on which there was something.
///
/// Fails, and removes nothing, where a restore is unfinished on any of them.
pub fn clean(nodes: &[Node], reporter: &dyn Reporter) -> Result<Vec<String>> {
    let states = on_all(nodes, |_, node| swap::look(node))?;
    for (node, state) in nodes.iter().zip(&states) {
        if matches!(
            state.situation,
            Situation::Staging | Situation::Staged | Situation::Swapping | Situation::Swapped
        ) {
            return Err(OperationError::refused(
                format!("a restore is unfinished on {}", node.shown()),
                "Finish it with `couchcopy restore --resume`, or undo it with `couchcopy restore --roll-back`.",
            ));
        }
    }
    reporter.phase("removing old data", None);
    let steps = Steps::new(reporter);
    let cleaned = on_all(nodes, |i, node| {
        if states[i].situation == Situation::Untouched {
            return Ok(None);
        }
        Places::of(node).remove(node)?;
        steps.done("removed", node);
        Ok(Some(node.shown()))
    })?;
    Ok(cleaned.into_iter().flatten().collect())
}
