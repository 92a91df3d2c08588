//! Which plugins a node takes: what the user gives on the command line, then the cluster file, then what is usual.

use outcome::{Code, Failure, Result};
use plugin_host::PluginReference;

use super::{DEFAULT_ACCESS, DEFAULT_SERVICE, NodeArgument, SiteNode};

/// What the user said about plugins for all nodes of a command.
#[derive(Debug, Clone, Default)]
pub struct PluginChoice {
    /// The service plugin.
    pub service: Option<PluginReference>,
    /// Ways to the nodes; empty where the user said nothing.
    pub via: Vec<PluginReference>,
    /// couchcopy's `--couchdb-start` and `--couchdb-stop`.
    pub start_stop: Option<(String, String)>,
    /// couchcopy's `--use-sudo`.
    pub sudo: bool,
}

impl PluginChoice {
    /// The service plugin that was chosen, if one was.
    ///
    /// Fails where it was chosen in two ways.
    fn chosen_service(&self) -> Result<Option<PluginReference>> {
        match (&self.service, &self.start_stop) {
            (Some(_), Some(_)) => Err(Failure::refused(
                Code::new("CC-S06"),
                "--service and --couchdb-start/--couchdb-stop both say how CouchDB is started and stopped",
                "Give one of them.",
            )),
            (Some(service), None) => Ok(Some(service.clone())),
            (None, Some((start, stop))) => {
                Ok(Some(PluginReference::new("command").with("start", start).with("stop", stop)))
            }
            (None, None) => Ok(None),
        }
    }

    /// Ways to a node: those chosen, else `usual`; then sudo, where that is wished.
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

    /// A node of a cluster file, with what the command line says instead.
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
