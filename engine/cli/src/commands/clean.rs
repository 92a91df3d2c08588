//! `couchcopy clean`.

use clap::Args;
use outcome::Result;
use restore::status::clean;

use crate::cluster::Cluster;
use crate::exit::Outcome;
use crate::flags::nodes::NodeFlags;
use crate::session::Session;

/// Remove the old data that restores have left next to the new data.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  couchcopy clean --cluster prod.toml")]
pub(crate) struct Clean {
    #[command(flatten)]
    nodes: NodeFlags,
}

impl Clean {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let cluster = Cluster::of(&self.nodes, session)?;
        let cleaned = clean(&cluster.nodes, session.reporter())?;
        session.summary(&cleaned, |cleaned| match cleaned.as_slice() {
            [] => "there was nothing to remove".into(),
            nodes => format!("removed the old data of restores on {}", nodes.join(", ")),
        });
        Ok(Outcome::Done)
    }
}
