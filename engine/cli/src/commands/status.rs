//! `couchcopy status`.

use std::fmt::Write as _;

use clap::Args;
use outcome::Result;
use restore::status::{NodeStatus, status};

use crate::cluster::Cluster;
use crate::exit::Outcome;
use crate::flags::nodes::NodeFlags;
use crate::session::Session;

/// Show the state of nodes: whether a restore is unfinished, or has left old data.
#[derive(Debug, Args)]
#[command(after_long_help = "To show only whether CouchDB runs, use `couchcopy service status`.\n\n\
    Example:\n  couchcopy status --cluster prod.toml")]
pub(crate) struct Status {
    #[command(flatten)]
    pub(super) nodes: NodeFlags,
}

impl Status {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let cluster = Cluster::of(&self.nodes, session)?;
        let statuses = status(&cluster.nodes)?;
        session.answer(&statuses, |statuses| statuses.iter().map(text).collect());
        Ok(Outcome::of(statuses.iter().all(|status| status.situation.is_some())))
    }
}

fn text(status: &NodeStatus) -> String {
    let mut text = format!(
        "{}: {}\n  CouchDB: {}, {}\n",
        status.node,
        status.meaning,
        status.service,
        if status.answers { "answers" } else { "does not answer" }
    );
    if let (Some(archive), Some(begun)) = (&status.archive, &status.begun) {
        let _ = writeln!(text, "  restore of {archive}, begun {begun}, to {}", status.nodes.join(", "));
    }
    if let (Some(begun), false) = (&status.begun, status.names.is_empty()) {
        let names: Vec<String> = status.names.iter().map(|(old, new)| format!("{old}={new}")).collect();
        let _ =
            writeln!(text, "  renaming {}, begun {begun}, on {}", names.join(" "), status.nodes.join(", "));
    }
    text
}
