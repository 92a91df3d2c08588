//! The nodes of a command that takes nothing but nodes.

use clap::Args;

use super::access::AccessFlags;
use super::http::HttpFlags;

/// Nodes, and how to reach them.
#[derive(Debug, Args)]
pub(crate) struct NodeFlags {
    /// Nodes, each as [http[s]://][user:password@]HOST[:port],DATA_DIR[,NODENAME], or names from the --cluster file.
    ///
    /// Defaults to all nodes of the cluster in the --cluster file or in the configuration file.
    #[arg(value_name = "NODE")]
    pub(crate) names: Vec<String>,

    #[command(flatten)]
    pub(crate) access: AccessFlags,

    #[command(flatten)]
    pub(crate) http: HttpFlags,
}

impl NodeFlags {
    /// Whether the command line names nodes or a cluster.
    pub(crate) fn are_named(&self) -> bool {
        !self.names.is_empty() || self.access.cluster.is_some()
    }
}
