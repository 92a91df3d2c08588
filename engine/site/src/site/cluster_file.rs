//! The nodes of a cluster in a TOML file: where each node is, how it is reached, how its service is controlled.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use outcome::{Code, Failure, Result};
use plugin_host::{NodeId, PluginReference};
use serde::Deserialize;

use super::settings_file::{Value, with_settings};
use super::{DEFAULT_ACCESS, DEFAULT_SERVICE, HttpAddress, NodeArgument, SiteNode};

/// The nodes of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFile {
    /// In the order of the file.
    pub nodes: Vec<SiteNode>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    defaults: Defaults,
    #[serde(default)]
    node: Vec<Node>,
    /// How stores are reached, which is read where a store is used.
    #[serde(default, rename = "store")]
    _store: toml::Table,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    service: Option<Plugin>,
    via: Option<Vec<Plugin>>,
    ca: Option<PathBuf>,
    user: Option<String>,
    password_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    name: Option<String>,
    host: Option<String>,
    data: Option<PathBuf>,
    url: Option<String>,
    /// Certificates to trust at `url`.
    ca: Option<PathBuf>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    #[serde(default)]
    config: Folders,
    service: Option<Plugin>,
    via: Option<Vec<Plugin>>,
}

/// One directory, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Folders {
    One(PathBuf),
    Several(Vec<PathBuf>),
}

impl Default for Folders {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

/// `"systemd:unit=couchdb"` or `{ plugin = "systemd", unit = "couchdb" }`.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Plugin {
    Text(String),
    Table {
        plugin: String,
        #[serde(flatten)]
        settings: BTreeMap<String, Value>,
    },
}

impl ClusterFile {
    /// Reads a cluster file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Failure::io("read", path, e))?;
        Self::parse(&text).map_err(|problem| {
            Failure::refused(
                Code::new("CC-S03"),
                format!("{} is not a cluster file: {problem}", path.display()),
                "See docs/services.md for an example.",
            )
        })
    }

    /// The nodes that a table lists: what a cluster file holds, or a part of the configuration file. The error is a text for the
    /// user.
    pub fn of_table(table: toml::Table) -> Result<Self, String> {
        Self::of_file(table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?)
    }

    /// The same nodes. The paths of this machine in it, which are relative to a directory, are joined to the directory's path.
    #[must_use]
    pub fn relative_to(mut self, folder: &Path) -> Self {
        for node in &mut self.nodes {
            for path in [&mut node.http.ca, &mut node.http.password_file].into_iter().flatten() {
                *path = folder.join(&path);
            }
        }
        self
    }

    fn parse(text: &str) -> Result<Self, String> {
        Self::of_file(toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())?)
    }

    fn of_file(file: File) -> Result<Self, String> {
        if file.node.is_empty() {
            return Err("it has no [[node]]".into());
        }
        let mut nodes: Vec<SiteNode> = Vec::new();
        for (i, node) in file.node.into_iter().enumerate() {
            let which = node
                .name
                .clone()
                .or_else(|| node.host.clone())
                .unwrap_or_else(|| format!("number {}", i + 1));
            let in_node = |problem| format!("node {which}: {problem}");
            let host = node.host.filter(|host| !is_local(host));
            let usual = host.iter().map(|_| Plugin::Text(DEFAULT_ACCESS.into())).collect();
            let via = node.via.or_else(|| file.defaults.via.clone()).unwrap_or(usual);
            let service = node
                .service
                .or_else(|| file.defaults.service.clone())
                .unwrap_or_else(|| Plugin::Text(DEFAULT_SERVICE.into()));
            let mut http = match &node.url {
                Some(url) => HttpAddress::parse(url).map_err(|e| in_node(e.to_string()))?,
                None => HttpAddress::default(),
            };
            http.ca = node.ca.or_else(|| file.defaults.ca.clone());
            http.usual_user = node.user.or_else(|| file.defaults.user.clone());
            http.password_file = node.password_file.or_else(|| file.defaults.password_file.clone());
            let node = SiteNode {
                id: NodeId { name: node.name, host },
                data: node.data,
                http,
                config: match node.config {
                    Folders::One(folder) => vec![folder],
                    Folders::Several(folders) => folders,
                },
                service: reference(service).map_err(in_node)?,
                via: via.into_iter().map(reference).collect::<Result<_, _>>().map_err(in_node)?,
            };
            if nodes.iter().any(|known| known.id.name.is_some() && known.id.name == node.id.name) {
                return Err(format!("the node {which} occurs twice"));
            }
            nodes.push(node);
        }
        Ok(Self { nodes })
    }

    /// The node with this name or, if only one node is on it, this host.
    pub fn node(&self, name: &str) -> Option<&SiteNode> {
        self.nodes.iter().find(|node| node.id.name.as_deref() == Some(name)).or_else(|| {
            let mut on_host = self.nodes.iter().filter(|node| node.id.host.as_deref() == Some(name));
            on_host.next().filter(|_| on_host.next().is_none())
        })
    }
}

impl ClusterFile {
    /// The node that an argument names by its node name or host, overridden by the argument. `None` if the file has no such node,
    /// or several on that host.
    pub fn refined(&self, argument: &NodeArgument) -> Option<SiteNode> {
        let by_name = argument.id.name.as_deref().and_then(|name| {
            self.nodes
                .iter()
                .find(|node| node.id.name.as_deref() == Some(name) && node.id.host == argument.id.host)
        });
        let by_host = || {
            let mut on_host = self.nodes.iter().filter(|node| node.id.host == argument.id.host);
            on_host.next().filter(|_| on_host.next().is_none())
        };
        let mut node = by_name.or_else(by_host)?.clone();
        node.id.name = argument.id.name.clone().or(node.id.name);
        node.data = argument.data.clone().or(node.data);
        if argument.http.scheme_given {
            (node.http.tls, node.http.host) = (argument.http.tls, argument.http.host.clone());
            node.http.port = argument.http.port;
        }
        node.http.port = argument.http.port.or(node.http.port);
        node.http.credentials = argument.http.credentials.clone().or(node.http.credentials);
        node.http.user = argument.http.user.clone().or(node.http.user);
        Some(node)
    }
}

/// Whether a host is this machine.
pub fn is_local(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1" | "[::1]")
}

fn reference(plugin: Plugin) -> Result<PluginReference, String> {
    match plugin {
        Plugin::Text(text) => text.parse().map_err(|e: plugin_host::ReferenceError| e.to_string()),
        Plugin::Table { plugin, settings } => with_settings(PluginReference::new(plugin), settings),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_with_their_own_plugins_and_the_defaults() {
        let file = ClusterFile::parse(
            r#"
            [defaults]
            service = "systemd:unit=couchdb-3"
            via = ["ssh", { plugin = "sudo" }]

            [[node]]
            name = "couchdb@db1"
            host = "db1.example.com"
            data = "/var/lib/couchdb"
            url = "http://10.0.0.1:5985"
            ca = "/etc/couchdb/ca.pem"
            config = "/srv/couchdb/etc"

            [[node]]
            name = "couchdb@db2"
            host = "db2.example.com"
            config = ["/etc/couchdb", "/etc/couchdb/more"]
            via = [{ plugin = "ssh", port = 2222, options = ["-F", "/etc/my config"] }]
            service = { plugin = "docker", container = "couch", timeout = 30 }

            [[node]]
            host = "localhost"
            via = []
            "#,
        )
        .unwrap();
        let [first, second, third] = &file.nodes[..] else { panic!("{file:?}") };
        assert_eq!(first.service, PluginReference::new("systemd").with("unit", "couchdb-3"));
        assert_eq!(first.via, [PluginReference::new("ssh"), PluginReference::new("sudo")]);
        assert_eq!(
            second.via,
            [PluginReference::new("ssh").with("options", "-F '/etc/my config'").with("port", "2222")]
        );
        assert_eq!(
            second.service,
            PluginReference::new("docker").with("container", "couch").with("timeout", "30")
        );
        assert_eq!((third.id.host.as_deref(), third.via.len()), (None, 0));
        assert_eq!(first.config, [PathBuf::from("/srv/couchdb/etc")]);
        assert_eq!((second.config.len(), third.config.len()), (2, 0));
        assert_eq!((first.http.port, second.http.port), (Some(5985), None));
        assert_eq!(
            (first.http.ca.clone(), second.http.ca.clone()),
            (Some("/etc/couchdb/ca.pem".into()), None)
        );
        assert_eq!(file.node("couchdb@db2"), Some(second));
        assert_eq!(file.node("db1.example.com"), Some(first));
        assert_eq!(file.node("db3"), None);
    }

    #[test]
    fn an_argument_says_more_of_a_node() {
        let file = ClusterFile::parse(
            "[[node]]\nname = 'a@db1'\nhost = 'db1'\ndata = '/d'\nservice = 'runit'\n[[node]]\nhost = 'localhost'\n\
             [[node]]\nname = 'b@db2'\nhost = 'db2'\n[[node]]\nname = 'c@db2'\nhost = 'db2'\n",
        )
        .unwrap();
        let argument = |host: Option<&str>, name: Option<&str>| NodeArgument {
            id: NodeId { name: name.map(str::to_owned), host: host.map(str::to_owned) },
            data: Some("/other".into()),
            http: HttpAddress { port: Some(81), ..HttpAddress::default() },
        };
        let node = file.refined(&argument(Some("db1"), None)).unwrap();
        assert_eq!((node.id.name.as_deref(), node.service.name.as_str()), (Some("a@db1"), "runit"));
        assert_eq!((node.data, node.http.port), (Some("/other".into()), Some(81)));
        assert_eq!(file.refined(&argument(None, Some("d@here"))).unwrap().id.name.as_deref(), Some("d@here"));
        assert_eq!(
            file.refined(&argument(Some("db2"), Some("c@db2"))).unwrap().id.name.as_deref(),
            Some("c@db2")
        );
        assert_eq!(file.refined(&argument(Some("db2"), None)), None);
        assert_eq!(file.refined(&argument(Some("db3"), Some("a@db1"))), None);
    }

    #[test]
    fn credentials_stand_in_files_of_their_own() {
        let file = ClusterFile::parse(
            "[defaults]\nuser = 'backup'\npassword_file = 'p'\nca = '/ca'\n[[node]]\nhost = 'db1'\n\
             [[node]]\nhost = 'db2'\nuser = 'root'\npassword_file = 'q'\n",
        );
        let [first, second] = &file.unwrap().relative_to(Path::new("/etc/couchcopy")).nodes[..] else {
            panic!()
        };
        let of = |node: &SiteNode| (node.http.usual_user.clone(), node.http.password_file.clone());
        assert_eq!(of(first), (Some("backup".into()), Some("/etc/couchcopy/p".into())));
        assert_eq!(of(second), (Some("root".into()), Some("/etc/couchcopy/q".into())));
        assert_eq!(first.http.ca, Some("/ca".into()));
    }

    #[test]
    fn mistakes_are_told() {
        let problem = |text: &str| ClusterFile::parse(text).unwrap_err();
        assert!(problem("").contains("no [[node]]"));
        assert!(problem("[[node]]\nnmae = 'x'").contains("nmae"));
        assert!(problem("[[node]]\nname = 'a@b'\nservice = ':x'").contains("node a@b"));
        assert!(problem("[[node]]\nname='a@b'\n[[node]]\nname='a@b'").contains("twice"));
        assert!(problem("node = 3").contains("node"));
    }
}
