//! The nodes of a command that takes nothing but nodes.

use clap::Args;

use super::access::AccessFlags;
use super::http::HttpFlags;

/// Nodes, and how to reach them.
#[derive(Debug, Args)]
pub(crate) struct NodeFlags {
    /// Nodes, each as [http[s]://][user:password@]HOST[:port],DATA_DIR[,NODENAME], or names from the --cluster file.
    ///
    /// Defaults to all nodes in the --cluster file.
    #[arg(value_name = "NODE", required_unless_present = "cluster")]
    pub(crate) names: Vec<String>,

    #[command(flatten)]
    pub(crate) access: AccessFlags,

    #[command(flatten)]
    pub(crate) http: HttpFlags,
}
