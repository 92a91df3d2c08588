//! Connected nodes.

use node::Node;
use outcome::{Code, Failure, Result};
use site::SiteNode;
use site::plugins::Plugins;

use crate::flags::access::AccessFlags;
use crate::flags::http::{AskForPassword, HttpFlags};
use crate::flags::nodes::NodeFlags;
use crate::session::Session;

/// Nodes, and the plugins that reach them. The plugins have to live as long as the nodes.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    _plugins: Plugins,
}

impl Cluster {
    /// Connects to the named nodes, or to all nodes of the cluster file.
    pub(crate) fn connect(
        names: &[String],
        access: &AccessFlags,
        http: &HttpFlags,
        session: &Session,
    ) -> Result<Self> {
        if names.is_empty() && access.cluster.is_none() && session.configuration_path().is_none() {
            return Err(Failure::refused(
                Code::new("CC-X04"),
                "no node is named",
                "Name the nodes as [user:password@]HOST[:port],DATA_DIR[,NODENAME], or use --cluster FILE.",
            ));
        }
        let sites = with_credentials(names, access, http, session)?;
        let plugins = access.grants.plugins(session)?;
        let nodes = sites.iter().map(|site| plugins.connect(site, http.tunnel())).collect::<Result<_>>()?;
        Ok(Self { nodes, _plugins: plugins })
    }

    /// Connects to the nodes of a command that takes nothing but nodes.
    pub(crate) fn of(flags: &NodeFlags, session: &Session) -> Result<Self> {
        Self::connect(&flags.names, &flags.access, &flags.http, session)
    }
}

/// The named nodes with name and password of a server admin.
pub(crate) fn with_credentials(
    names: &[String],
    access: &AccessFlags,
    http: &HttpFlags,
    session: &Session,
) -> Result<Vec<SiteNode>> {
    http.complete(access.nodes(names, session)?, AskForPassword::Always, session)
}
