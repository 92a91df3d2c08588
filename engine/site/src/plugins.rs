//! Finds plugins, checks that they are permitted, and calls them for a node.

mod events;
mod listing;

use std::sync::Arc;

use node::{Node, NodeFiles, PluginService, TunnelMode, Way};
use outcome::report::Reporter;
use outcome::{Advice, Code, Failure, Result};
use plugin_host::{
    Chain, ChainLink, Command, DocumentFilter, Folders, Grant, Grants, HostOptions, Inherited, Kind, Limits,
    Permission, Plugin, PluginError, PluginHost, ServicePlugin, Settings, State, Ungranted,
};

use crate::site::{PluginReference, SiteNode};

pub use listing::{GrantListing, PluginFailure, PluginList, PluginListing};
pub use plugin_host::{self as host};

use events::ReportedEvents;

/// The user's answer to a plugin that requires a grant for its commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Grant the commands as long as the plugin's file does not change.
    Remember,
    /// Grant the commands for this run only.
    Once,
    /// Do not grant the commands.
    No,
}

/// Asks the user for a grant.
pub type Ask = Box<dyn Fn(&Ungranted) -> Answer>;

/// How plugins are used.
pub struct PluginOptions {
    /// Names, paths or hashes of plugins whose commands are granted for this run only.
    pub grant: Vec<String>,
    /// How long a start, a stop or a status query may take, and a document at most; `None`: the defaults of the plugin host.
    pub deadline: Option<std::time::Duration>,
    /// Asks the user for a grant; `None` if nobody can be asked.
    pub ask: Option<Ask>,
}

/// The plugins that one command uses.
pub struct Plugins {
    runtime: Arc<tokio::runtime::Runtime>,
    host: PluginHost,
    folders: Folders,
    ask: Option<Ask>,
    reporter: Arc<dyn Reporter + Send>,
}

/// An action on a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceAction {
    /// Starts the service; returns when its manager reports that it runs.
    Start,
    /// Stops the service; returns when it has stopped.
    Stop,
    /// Queries whether the service runs.
    Status,
}

impl Plugins {
    /// Sets up the sandbox.
    pub fn new(options: PluginOptions, reporter: Arc<dyn Reporter + Send>) -> Result<Self> {
        let folders = Folders::of_environment();
        let mut limits = Limits::default();
        if let Some(deadline) = options.deadline {
            limits.service_deadline = deadline;
            limits.pure_deadline = limits.pure_deadline.min(deadline);
        }
        let runtime = node::blocking_runtime()
            .map(Arc::new)
            .map_err(|e| Failure::io("start", "the asynchronous runtime", e))?;
        let host =
            PluginHost::new(HostOptions { folders: folders.clone(), limits, granted_once: options.grant })?;
        Ok(Self { runtime, host, folders, ask: options.ask, reporter })
    }

    /// All plugins, built-in and installed.
    pub fn list(&self) -> Result<PluginList> {
        let grants = Grants::read(&self.folders)?;
        let mut list = PluginList::default();
        for loaded in self.runtime.block_on(self.host.load_all()) {
            match loaded {
                Ok(plugin) => list.plugins.push(self.listing(&plugin, &grants)),
                Err(error) => {
                    list.failures.push(PluginFailure {
                        message: error.to_string(),
                        remedy: error.remedy().unwrap_or_default(),
                    });
                }
            }
        }
        Ok(list)
    }

    /// The plugins with this name, of whichever kind, or the plugin in this file.
    pub fn show(&self, name: &str) -> Result<Vec<PluginListing>> {
        let grants = Grants::read(&self.folders)?;
        let plugins = self.runtime.block_on(self.host.load_any(name))?;
        Ok(plugins.iter().map(|plugin| self.listing(plugin, &grants)).collect())
    }

    fn listing(&self, plugin: &Plugin, grants: &Grants) -> PluginListing {
        PluginListing::new(plugin, self.host.permit(plugin, grants).is_ok())
    }

    /// Stores a grant for the commands of a plugin.
    pub fn grant(&self, name: &str) -> Result<Vec<GrantListing>> {
        let mut grants = Grants::read(&self.folders)?;
        let mut granted = Vec::new();
        for plugin in self.runtime.block_on(self.host.load_any(name))? {
            let host::Origin::File(file) = &plugin.origin else {
                return Err(Failure::refused(
                    Code::new("CC-P50"),
                    format!("{} is built in and needs no grant", plugin.description.name),
                    "Only plugins that are not built in need a grant.",
                ));
            };
            let grant = Grant {
                plugin: plugin.description.name.clone(),
                hash: plugin.hash.to_hex().to_string(),
                file: Some(file.clone()),
                granted: Some(now()),
            };
            grants.add(grant.clone())?;
            granted.push(GrantListing::remembered(&grant));
        }
        Ok(granted)
    }

    async fn permitted(&self, reference: &PluginReference, kind: Kind) -> Result<(Arc<Plugin>, Permission)> {
        let plugin = self.host.load(&reference.name, kind).await?;
        let mut grants = Grants::read(&self.folders)?;
        match self.host.permit(&plugin, &grants) {
            Ok(permission) => Ok((plugin, permission)),
            Err(PluginError::NotGranted(ungranted)) => {
                let answer = self.ask.as_ref().map_or(Answer::No, |ask| ask(&ungranted));
                if answer == Answer::Remember {
                    grants.add(Grant {
                        plugin: ungranted.plugin.clone(),
                        hash: ungranted.hash.clone(),
                        file: Some(ungranted.file.clone()),
                        granted: Some(now()),
                    })?;
                }
                match answer {
                    Answer::No => Err(PluginError::NotGranted(ungranted).into()),
                    Answer::Once | Answer::Remember => Ok((plugin, ungranted.permit())),
                }
            }
            Err(other) => Err(other.into()),
        }
    }

    /// A document filter, granted, with its settings.
    pub fn document_filter(&self, reference: &PluginReference) -> Result<DocumentFilter> {
        let (plugin, permission) = self.runtime.block_on(self.permitted(reference, Kind::Filter))?;
        let settings = plugin.settings(reference)?;
        Ok(DocumentFilter::new(plugin, permission, settings)?)
    }

    async fn chain(&self, via: &[PluginReference]) -> Result<Chain> {
        let mut links = Vec::new();
        for reference in via {
            let (plugin, permission) = self.permitted(reference, Kind::Access).await?;
            let settings = plugin.settings(reference)?;
            links.push(ChainLink::new(plugin, permission, settings)?);
        }
        Ok(Chain::new(links))
    }

    /// The service plugin of a node, granted, with its settings.
    async fn service_plugin(&self, node: &SiteNode) -> Result<(Arc<Plugin>, Permission, Settings)> {
        let (plugin, permission) = self.permitted(&node.service, Kind::Service).await?;
        let settings = plugin.settings(&node.service)?;
        Ok((plugin, permission, settings))
    }

    /// The service of a node that is reached through `chain`, with the name and version of its plugin.
    fn service_of(
        &self,
        node: &SiteNode,
        (plugin, permission, settings): (Arc<Plugin>, Permission, Settings),
        mut chain: Chain,
    ) -> Result<(ServicePlugin, String)> {
        // The tool that stops a container is not inside it: it is where the way into it begins.
        if chain.last_name() == Some(plugin.description.name.as_str()) {
            chain = chain.without_last();
        }
        let name = format!("{} {}", plugin.description.name, plugin.description.version);
        let events = Arc::new(ReportedEvents(Arc::clone(&self.reporter)));
        Ok((ServicePlugin::new(plugin, permission, settings, node.id.clone(), chain, events)?, name))
    }

    /// Starts, stops or queries the service of a node; returns its state afterwards and the plugin that was used.
    pub fn service(&self, node: &SiteNode, action: ServiceAction) -> Result<(State, String)> {
        self.runtime.block_on(async {
            let plugin = self.service_plugin(node).await?;
            let (service, plugin) = self.service_of(node, plugin, self.chain(&node.via).await?)?;
            let state = match action {
                ServiceAction::Start => service.start().await.map(|()| State::Running),
                ServiceAction::Stop => service.stop().await.map(|()| State::Stopped),
                ServiceAction::Status => service.status().await,
            }?;
            Ok((state, plugin))
        })
    }

    /// A node with its files, its service and its HTTP interface, as the user described it.
    ///
    /// Fails if no data directory is known for the node, or if a plugin cannot be used. Nothing is changed on the node.
    pub fn connect(&self, site: &SiteNode, tunnel: TunnelMode) -> Result<Node> {
        let chain = self.runtime.block_on(self.chain(&site.via))?;
        let way = self.way_through(chain.clone(), site);
        let plugin = self.runtime.block_on(self.service_plugin(site))?;
        let (plugin, shown) = self.service_of(site, plugin, chain)?;
        let http =
            node::http_of(&way, &site.http.endpoint(&site.id), site.http.credentials.as_ref(), tunnel)?;
        let data = site.absolute_data_folder()?;
        Ok(Node {
            id: site.id.clone(),
            data,
            files: node::files_of(&way),
            service: Box::new(PluginService::new(Arc::clone(&self.runtime), plugin, shown, way)),
            http,
        })
    }

    /// The files of a node and, if a name and password are known for it, its HTTP interface.
    pub fn files(
        &self,
        site: &SiteNode,
        tunnel: TunnelMode,
    ) -> Result<(Box<dyn NodeFiles>, Option<node::Http>)> {
        let way = self.way_through(self.runtime.block_on(self.chain(&site.via))?, site);
        let http = match &site.http.credentials {
            Some(credentials) => {
                Some(node::http_of(&way, &site.http.endpoint(&site.id), Some(credentials), tunnel)?)
            }
            None => None,
        };
        Ok((node::files_of(&way), http))
    }

    /// The HTTP interface of a node whose files and service are not needed.
    pub fn http(&self, site: &SiteNode, tunnel: TunnelMode) -> Result<node::Http> {
        let way = self.way_through(self.runtime.block_on(self.chain(&site.via))?, site);
        let endpoint = site.http.endpoint(&site.id);
        Ok(node::http_of(&way, &endpoint, site.http.credentials.as_ref(), tunnel)?)
    }

    fn way_through(&self, chain: Chain, site: &SiteNode) -> Way {
        Way::new(Arc::clone(&self.runtime), chain, site.id.clone())
    }

    /// Runs a command on a node with the input and output of this process; `state` is what is known about CouchDB there.
    pub fn execute(&self, node: &SiteNode, command: &Command, state: State) -> Result<Inherited> {
        self.runtime.block_on(async {
            let chain = self.chain(&node.via).await?;
            run_here(&chain.wrap(command, &node.id, state).await?).await
        })
    }

    /// Connects the input and output of this process to a TCP port of `to` as seen from a node; `state` is what is known about
    /// CouchDB there.
    pub fn connect_to_port(&self, node: &SiteNode, to: &str, port: u16, state: State) -> Result<Inherited> {
        self.runtime.block_on(async {
            let chain = self.chain(&node.via).await?;
            let Some(connected) = chain.tunnel(&node.id, to, port, state).await? else {
                return Err(Failure::refused(
                    Code::new("CC-P51"),
                    format!(
                        "no plugin in the access chain of {} can connect to ports as seen from that node",
                        node.shown()
                    ),
                    "Use a plugin that can connect to ports: the built-in plugin ssh can. `couchcopy plugin show NAME` shows \
                     whether another plugin can.",
                ));
            };
            run_here(&connected).await
        })
    }
}

/// Runs a program with the input and output of this process.
async fn run_here(command: &Command) -> Result<Inherited> {
    host::run_inherited(command).await.map_err(|e| Failure::io("run", command.program.as_str(), e))
}

/// All grants that are in force.
pub fn grants() -> Result<Vec<GrantListing>> {
    Ok(GrantListing::all(&Grants::read(&Folders::of_environment())?))
}

/// Deletes the grants of a plugin, by name, file or hash; returns the deleted grants.
pub fn revoke(what: &str) -> Result<Vec<GrantListing>> {
    let mut grants = Grants::read(&Folders::of_environment())?;
    let gone = grants.revoke(what)?;
    if gone.is_empty() {
        let configured = grants.configured.iter().any(|grant| grant.plugin == what || grant.hash == what);
        return Err(Failure::refused(
            Code::new("CC-P52"),
            format!("no grant for {what} is stored"),
            if configured {
                "The grant is in config.toml: remove it there."
            } else {
                "`couchcopy plugin grants` lists all grants."
            },
        ));
    }
    Ok(gone.iter().map(GrantListing::remembered).collect())
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
