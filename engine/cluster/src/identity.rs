//! Whether the CouchDB that answers at a node's address is that node.

use std::time::{Duration, Instant};

use node::{Http, Node, NodeError};
use serde::{Deserialize, Serialize};

/// What distinguishes a node's CouchDB from another one, besides its name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// The server's uuid, `[couchdb] uuid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// `[couchdb] database_dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_dir: Option<String>,
    /// Why `/_up` reported that the node is not up, if it did: couchcopy does not wait for such a node to become up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_up: Option<String>,
    /// Another name that the node may have: it is being renamed.
    #[serde(skip)]
    pub other_name: Option<String>,
}

/// What answers at a node's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// The node.
    Itself,
    /// Nothing answers, or not yet; why.
    Nobody(String),
    /// Another CouchDB answers; which one.
    Another(String),
    /// A CouchDB that does not accept the name and password; its answer.
    Rejects(String),
}

impl Identity {
    /// Queries a node that answers.
    pub fn learn(http: &Http) -> Result<Self, NodeError> {
        Ok(Self {
            uuid: http.own_welcome()?.uuid,
            database_dir: http.config("couchdb", "database_dir")?,
            not_up: http.why_not_up_soon()?,
            other_name: None,
        })
    }

    /// What a node that may not run reports; nothing if it does not run.
    pub fn learn_if_running(http: &Http) -> Self {
        Self::learn(http).unwrap_or_default()
    }

    /// Whether two values are known and differ.
    fn differ(known: Option<&String>, found: Option<&String>) -> bool {
        matches!((known, found), (Some(known), Some(found)) if known != found)
    }
}

/// Whether the CouchDB that answers at a node's address was running at a moment: if so, for how long it has been running, and how
/// long ago the moment was.
pub fn was_running(node: &Node, moment: Instant) -> Result<Option<(Duration, Duration)>, NodeError> {
    let uptime = node.http.uptime()?;
    // Taken after the answer: the time since is rather too long than too short.
    let since = moment.elapsed();
    Ok((uptime > since).then_some((uptime, since)))
}

/// Finds out which CouchDB answers at the address of a node. Only known properties of the node are compared.
pub fn who_answers(node: &Node, known: &Identity) -> Who {
    let welcome = match node.http.own_welcome() {
        Ok(welcome) => welcome,
        Err(NodeError::Unauthorized { reason, .. }) => return of_stranger(node, known, reason),
        Err(error) => return Who::Nobody(error.to_string()),
    };
    let name = match node.http.node_name() {
        Ok(name) => name,
        Err(error) => return Who::Nobody(error.to_string()),
    };
    let folder = match node.http.config("couchdb", "database_dir") {
        Ok(folder) => folder,
        Err(error) => return Who::Nobody(error.to_string()),
    };
    let has_name = |node: &String| *node == name || known.other_name.as_ref() == Some(&name);
    let is_other = node.id.name.as_ref().is_some_and(|node| !has_name(node))
        || Identity::differ(known.uuid.as_ref(), welcome.uuid.as_ref())
        || Identity::differ(known.database_dir.as_ref(), folder.as_ref());
    if !is_other {
        return Who::Itself;
    }
    Who::Another(format!(
        "CouchDB {} named {name} with the data directory {} and the server uuid {}",
        welcome.version.as_deref().unwrap_or("of an unknown version"),
        folder.as_deref().unwrap_or("that CouchDB uses by default"),
        welcome.uuid.as_deref().unwrap_or("that it does not show"),
    ))
}

fn of_stranger(node: &Node, known: &Identity, reason: String) -> Who {
    let welcome = node.http.welcome().ok().flatten();
    match welcome {
        Some(welcome) if Identity::differ(known.uuid.as_ref(), welcome.uuid.as_ref()) => {
            Who::Another(format!(
                "CouchDB {} with the server uuid {}, which does not accept the name and password ({reason}),",
                welcome.version.as_deref().unwrap_or("of an unknown version"),
                welcome.uuid.as_deref().unwrap_or_default(),
            ))
        }
        _ => Who::Rejects(reason),
    }
}
