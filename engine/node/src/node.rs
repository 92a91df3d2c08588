//! A node with its three parts.

use std::fmt;
use std::path::PathBuf;

use plugin_host::NodeId;

use crate::error::{NodeError, Result};
use crate::files::NodeFiles;
use crate::files::local::LocalFiles;
use crate::files::remote::RemoteFiles;
use crate::http::tunnel::Tunnel;
use crate::http::{Credentials, Endpoint, Http};
use crate::service::NodeService;
use crate::way::Way;

/// One CouchDB node.
pub struct Node {
    /// Its Erlang name, if it is known, and the machine it is on.
    pub id: NodeId,
    /// Its data folder there.
    pub data: PathBuf,
    /// Its files.
    pub files: Box<dyn NodeFiles>,
    /// Its service.
    pub service: Box<dyn NodeService>,
    /// Its HTTP interface.
    pub http: Http,
}

impl Node {
    /// For messages.
    pub fn shown(&self) -> String {
        self.id.shown()
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// When to reach CouchDB through a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TunnelMode {
    /// If CouchDB does not answer directly and a plugin of the access chain can open a tunnel.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The files of a node: read directly if no plugin leads to it.
pub fn files_of(way: &Way) -> Box<dyn NodeFiles> {
    if way.is_direct() {
        Box::new(LocalFiles::new(way.shown()))
    } else {
        Box::new(RemoteFiles::new(way.clone()))
    }
}

/// Finds out how CouchDB is reached, and prepares to speak with it.
///
/// If nothing answers, CouchDB may just not run: then each request tries all addresses, until one answers.
pub fn http_of(
    way: &Way,
    endpoint: &Endpoint,
    credentials: Option<&Credentials>,
    mode: TunnelMode,
) -> Result<Http> {
    let new = |tunnel| Http::new(endpoint, credentials.cloned(), tunnel, way.shown());
    let direct = match mode {
        TunnelMode::Never => return new(None),
        TunnelMode::Auto => {
            let http = new(None)?;
            if way.is_direct() || answers(&http) {
                return Ok(http);
            }
            Some(http)
        }
        TunnelMode::Always => None,
    };
    let mut http = direct;
    // What listens to its own machine only listens to the loopback address, or to that address which it is known by.
    for host in ["127.0.0.1", endpoint.host.as_str()] {
        let Some(tunnel) = Tunnel::open(way, host, endpoint.port)? else { break };
        match &mut http {
            None => http = Some(new(Some(tunnel))?),
            Some(http) => http.add(endpoint, Some(tunnel))?,
        }
    }
    let http = http.ok_or_else(|| NodeError::NoTunnel { node: way.shown() })?;
    answers(&http);
    Ok(http)
}

/// Whether anybody speaks HTTP there, whatever they say.
fn answers(http: &Http) -> bool {
    http.ask_within(reqwest::Method::GET, "/", None, std::time::Duration::from_secs(20)).is_ok()
}
