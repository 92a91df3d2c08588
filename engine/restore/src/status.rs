//! The state of nodes after restores, and the removal of leftovers.

use cluster::{on_all, on_each};
use node::Node;
use outcome::report::{Reporter, Steps};
use outcome::{Code, Failure, Result};
use plugin_host::State;
use serde::Serialize;

use crate::live::remove_all;
use crate::swap::{self, Change, Journal, Situation};

/// The state of a node.
#[derive(Debug, Clone, Serialize)]
pub struct NodeStatus {
    /// Its name, or its host if the name is not known.
    pub node: String,
    /// Its data directory.
    pub data: std::path::PathBuf,
    /// The situation of the node; `None` if it could not be inspected.
    pub situation: Option<Situation>,
    /// The state that its service plugin reports.
    pub service: String,
    /// Whether CouchDB answers.
    pub answers: bool,
    /// The restore's archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// Old and new names, if nodes are renamed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<(String, String)>,
    /// When the change began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun: Option<String>,
    /// All nodes of the change.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// What the situation means, and what to do.
    pub meaning: String,
}

/// Reports the state of nodes. Changes nothing.
///
/// Fails if none of the nodes can be inspected.
pub fn status(nodes: &[Node]) -> Result<Vec<NodeStatus>> {
    let mut statuses = Vec::new();
    let mut failed = None;
    for (node, looked) in nodes.iter().zip(on_each(nodes, |_, node| of_node(node))) {
        match looked {
            Ok(status) => statuses.push(status),
            Err(error) => {
                statuses.push(unknown(node, &error));
                failed = failed.or(Some(error));
            }
        }
    }
    match failed {
        Some(error) if statuses.iter().all(|status| status.situation.is_none()) => Err(error),
        _ => Ok(statuses),
    }
}

fn of_node(node: &Node) -> Result<NodeStatus> {
    let state = swap::look(node)?;
    let service = match node.service.status() {
        Ok(State::Running) => "running".to_owned(),
        Ok(State::Stopped) => "stopped".to_owned(),
        Ok(State::Unknown) => "unknown".to_owned(),
        Err(error) => error.to_string(),
    };
    let journal = state.journal;
    let change = journal.as_ref().map_or(Change::Restore, Journal::change);
    Ok(NodeStatus {
        node: node
            .id
            .name
            .clone()
            .or_else(|| journal.as_ref().map(|j| j.node.clone()))
            .unwrap_or_else(|| node.shown()),
        data: node.data.clone(),
        situation: Some(state.situation),
        service,
        answers: node.http.is_up_soon().unwrap_or(false),
        archive: journal.as_ref().map(|j| j.archive.clone()).filter(|archive| !archive.is_empty()),
        names: journal.as_ref().and_then(|j| j.renaming.clone()).map_or_else(Vec::new, |of| of.names),
        begun: journal.as_ref().map(|journal| journal.begun.clone()),
        nodes: journal.map(|journal| journal.nodes).unwrap_or_default(),
        meaning: meaning(state.situation, change),
    })
}

fn unknown(node: &Node, error: &Failure) -> NodeStatus {
    NodeStatus {
        node: node.shown(),
        data: node.data.clone(),
        situation: None,
        service: "unknown".into(),
        answers: false,
        archive: None,
        names: Vec::new(),
        begun: None,
        nodes: Vec::new(),
        meaning: format!("cannot inspect the node: {error}"),
    }
}

/// What the situation means, and what to do.
fn meaning(situation: Situation, change: Change) -> String {
    let done = change.done();
    match situation {
        Situation::Untouched => "no leftovers of a restore".to_owned(),
        Situation::Staging => format!(
            "old data in place; a {change} was interrupted while it copied: --resume starts it again, --roll-back removes the copy"
        ),
        Situation::Staged => format!(
            "old data in place; a {change} was interrupted after it had copied: --resume finishes it, --roll-back removes the copy"
        ),
        Situation::Swapping => format!(
            "a {change} was interrupted while data was swapped: --resume finishes it, --roll-back restores the old data; do not start CouchDB by hand"
        ),
        Situation::Swapped => {
            "new data in place, not confirmed yet: --resume continues, --roll-back restores the old data"
                .to_owned()
        }
        Situation::Done => {
            format!("{done}; the old data is still there: clean removes it, --roll-back restores it")
        }
        Situation::Removing => format!("{done}; the old data is partly removed: clean removes the rest"),
        Situation::Undone => format!("old data in place; clean removes the leftovers of a {change}"),
        Situation::Leftover => {
            format!("nothing is unfinished; a {change} has left an empty directory: clean removes it")
        }
    }
}

/// Removes the leftovers of restores next to the data in place; returns the nodes that had leftovers.
///
/// Fails and removes nothing if a restore is unfinished on any of the nodes.
pub fn clean(nodes: &[Node], reporter: &dyn Reporter) -> Result<Vec<String>> {
    let states = on_all(nodes, |_, node| swap::look(node))?;
    for (node, state) in nodes.iter().zip(&states) {
        if matches!(
            state.situation,
            Situation::Staging | Situation::Staged | Situation::Swapping | Situation::Swapped
        ) {
            let change = state.journal.as_ref().map_or(Change::Restore, Journal::change);
            let command = change.command();
            return Err(Failure::refused(
                Code::new("CC-R43"),
                format!("a {change} is unfinished on {}", node.shown()),
                format!(
                    "Finish it with `couchcopy {command} --resume`, or roll it back with `couchcopy {command} --roll-back`."
                ),
            ));
        }
    }
    reporter.phase("removing old data", None);
    let steps = Steps::new(reporter);
    remove_all(nodes, &steps, "removed")?;
    let cleaned = nodes.iter().zip(&states).filter(|(_, state)| state.situation != Situation::Untouched);
    Ok(cleaned.map(|(node, _)| node.shown()).collect())
}
