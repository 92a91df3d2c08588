//! How commands reach nodes, and what starts and stops CouchDB on them.

use std::path::PathBuf;

use clap::Args;
use outcome::{Code, Failure, Result};
use site::{PluginChoice, PluginReference, SiteNode};

use super::grants::GrantFlags;
use crate::node_argument;
use crate::session::Session;

/// Options of every command that touches a node.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Nodes and access")]
pub(crate) struct AccessFlags {
    /// Cluster file, or the name of a cluster in the configuration file.
    ///
    /// A cluster file is a TOML file that lists the nodes of the cluster and their plugins. Node arguments override the file. A command that names no node takes those of the configuration file.
    #[arg(long, value_name = "FILE")]
    pub(crate) cluster: Option<PathBuf>,

    /// Node-access plugin that carries commands to the node. Can be repeated.
    ///
    /// PLUGIN is NAME[:KEY=VALUE,…]: the name or path of a plugin, and its settings. Repeat the option to build an access chain,
    /// outermost hop first: `--via ssh --via sudo`. The default is ssh for other machines and no plugin for this machine.
    #[arg(long, value_name = "PLUGIN")]
    pub(crate) via: Vec<PluginReference>,

    /// Run commands on the node with sudo.
    ///
    /// Short for one more `--via sudo` at the end of the access chain.
    #[arg(long)]
    pub(crate) use_sudo: bool,

    /// Service plugin that starts and stops CouchDB [default: systemd].
    ///
    /// PLUGIN is NAME[:KEY=VALUE,…]: the name or path of a plugin, and its settings.
    #[arg(long, value_name = "PLUGIN")]
    pub(crate) service: Option<PluginReference>,

    /// Command that starts CouchDB: short for `--service command:start=…,stop=…`.
    #[arg(long, value_name = "COMMAND", requires = "couchdb_stop", hide_short_help = true)]
    pub(crate) couchdb_start: Option<String>,

    /// Command that stops CouchDB. Use it together with --couchdb-start.
    #[arg(long, value_name = "COMMAND", requires = "couchdb_start", hide_short_help = true)]
    pub(crate) couchdb_stop: Option<String>,

    #[command(flatten)]
    pub(crate) grants: GrantFlags,
}

impl AccessFlags {
    /// The nodes with these names or arguments; without any, all nodes of the cluster file or of the cluster in the configuration
    /// file.
    pub(crate) fn nodes(&self, names: &[String], session: &Session) -> Result<Vec<SiteNode>> {
        let choice = PluginChoice {
            service: self.service.clone(),
            via: self.via.clone(),
            start_stop: self.couchdb_start.clone().zip(self.couchdb_stop.clone()),
            sudo: self.use_sudo,
        };
        if self.cluster.is_none() && !names.is_empty() {
            return names.iter().map(|name| choice.node(node_argument::node(name)?)).collect();
        }
        let chosen = session.chosen_cluster(self.cluster.as_deref())?;
        let file = chosen.nodes;
        let find = |name: &String| {
            if let Some(node) = file.node(name) {
                return Ok(node.clone());
            }
            if node_argument::is_more_than_a_name(name) {
                let argument = node_argument::node(name)?;
                return file.refined(&argument).map_or_else(|| choice.node(argument), Ok);
            }
            let known: Vec<String> = file.nodes.iter().map(SiteNode::shown).collect();
            Err(Failure::refused(
                Code::new("CC-X09"),
                format!("{name} is not a node of {}", chosen.shown),
                format!("The file lists these nodes: {}.", known.join(", ")),
            ))
        };
        let nodes: Vec<SiteNode> = if names.is_empty() {
            file.nodes.clone()
        } else {
            names.iter().map(find).collect::<Result<_>>()?
        };
        nodes.into_iter().map(|node| choice.overrule(node)).collect()
    }
}
