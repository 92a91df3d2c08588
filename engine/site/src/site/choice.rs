//! Which plugins a node uses: those of the command line, then those of the cluster file, then the defaults.

use outcome::{Code, Failure, Result};
use plugin_host::PluginReference;

use super::{DEFAULT_ACCESS, DEFAULT_SERVICE, NodeArgument, SiteNode};

/// The user's choice of plugins for all nodes of a command.
#[derive(Debug, Clone, Default)]
pub struct PluginChoice {
    /// The service plugin.
    pub service: Option<PluginReference>,
    /// The access chain to the nodes; empty if the user gave none.
    pub via: Vec<PluginReference>,
    /// The commands of `--couchdb-start` and `--couchdb-stop`.
    pub start_stop: Option<(String, String)>,
    /// Whether `--use-sudo` is given.
    pub sudo: bool,
}

impl PluginChoice {
    /// The service plugin that was chosen, if any.
    ///
    /// Fails if it was chosen in two ways.
    fn chosen_service(&self) -> Result<Option<PluginReference>> {
        match (&self.service, &self.start_stop) {
            (Some(_), Some(_)) => Err(Failure::refused(
                Code::new("CC-S06"),
                "--service and --couchdb-start/--couchdb-stop contradict each other",
                "Give either --service or --couchdb-start and --couchdb-stop.",
            )),
            (Some(service), None) => Ok(Some(service.clone())),
            (None, Some((start, stop))) => {
                Ok(Some(PluginReference::new("command").with("start", start).with("stop", stop)))
            }
            (None, None) => Ok(None),
        }
    }

    /// The access chain to a node: the chosen one, else `usual`; then sudo, if it was requested.
    fn ways(&self, usual: Vec<PluginReference>) -> Vec<PluginReference> {
        let mut via = if self.via.is_empty() { usual } else { self.via.clone() };
        if self.sudo && !via.iter().any(|way| way.name == "sudo") {
            via.push(PluginReference::new("sudo"));
        }
        via
    }

    /// A node that was named on the command line.
    pub fn node(&self, argument: NodeArgument) -> Result<SiteNode> {
        let NodeArgument { id, data, http } = argument;
        let usual = id.host.iter().map(|_| PluginReference::new(DEFAULT_ACCESS)).collect();
        let service = self.chosen_service()?.unwrap_or_else(|| PluginReference::new(DEFAULT_SERVICE));
        Ok(SiteNode { via: self.ways(usual), id, data, service, http, config: Vec::new() })
    }

    /// A node of a cluster file, overridden by the command line.
    pub fn overrule(&self, node: SiteNode) -> Result<SiteNode> {
        Ok(SiteNode {
            service: self.chosen_service()?.unwrap_or(node.service),
            via: self.ways(node.via),
            ..node
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(via: &[PluginReference]) -> Vec<&str> {
        via.iter().map(|way| way.name.as_str()).collect()
    }

    #[test]
    fn another_machine_is_reached_by_ssh_unless_told() {
        let id = plugin_host::NodeId { host: Some("db1".into()), name: None };
        let remote = NodeArgument { id, ..NodeArgument::default() };
        let local = NodeArgument::default;
        let choice = PluginChoice::default();
        assert_eq!(names(&choice.node(remote.clone()).unwrap().via), ["ssh"]);
        assert!(choice.node(local()).unwrap().via.is_empty());
        let choice = PluginChoice { sudo: true, ..choice };
        assert_eq!(names(&choice.node(remote.clone()).unwrap().via), ["ssh", "sudo"]);
        assert_eq!(names(&choice.node(local()).unwrap().via), ["sudo"]);
        let choice = PluginChoice { via: vec![PluginReference::new("docker")], ..PluginChoice::default() };
        assert_eq!(names(&choice.node(remote).unwrap().via), ["docker"]);
    }

    #[test]
    fn the_python_tools_commands_mean_the_command_plugin() {
        let start_stop = Some(("service couchdb start".into(), "service couchdb stop".into()));
        let choice = PluginChoice { start_stop, ..PluginChoice::default() };
        let service = choice.node(NodeArgument::default()).unwrap().service;
        assert_eq!(service.name, "command");
        assert_eq!(service.settings[1], ("stop".into(), "service couchdb stop".into()));
        let both = PluginChoice { service: Some(service), ..choice };
        assert!(both.node(NodeArgument::default()).is_err());
    }
}
