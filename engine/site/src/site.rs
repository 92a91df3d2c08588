//! The settings of a site that CouchDB does not know: which plugins reach a node and control its service.

mod address;
mod choice;
mod cluster_file;
mod credentials;
mod netrc;
mod settings_file;

use std::path::PathBuf;

use outcome::{Code, Failure, Result};

pub use address::{HttpAddress, split_port, split_scheme};
pub use choice::PluginChoice;
pub use cluster_file::{ClusterFile, is_local};
pub use credentials::{AskPassword, CredentialSources};
pub use node::{Credentials, TunnelMode};
pub use plugin_host::{NodeId, PluginReference};
pub use settings_file::with_settings_of_file;

/// The service plugin if the user names none.
pub const DEFAULT_SERVICE: &str = "systemd";
/// The access plugin for another machine if the user names none.
pub const DEFAULT_ACCESS: &str = "ssh";

/// A node with its plugins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteNode {
    /// The node as plugins see it.
    pub id: NodeId,
    /// Its data directory on that machine, if the user has given it.
    pub data: Option<PathBuf>,
    /// Starts and stops CouchDB.
    pub service: PluginReference,
    /// How commands reach the node: the access chain, outermost hop first.
    pub via: Vec<PluginReference>,
    /// The HTTP address of its CouchDB.
    pub http: HttpAddress,
    /// Directories of its configuration on that machine, if the user has given them.
    pub config: Vec<PathBuf>,
}

/// A node argument of the command line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeArgument {
    /// The node as plugins see it.
    pub id: NodeId,
    /// Its data directory on that machine, if the user has given it.
    pub data: Option<PathBuf>,
    /// The HTTP address of its CouchDB.
    pub http: HttpAddress,
}

impl SiteNode {
    /// The node's name for messages.
    pub fn shown(&self) -> String {
        self.id.shown()
    }

    /// Its CouchDB's HTTP interface without a tunnel, if a name and password are known. This needs no plugin.
    pub fn direct_http(&self) -> Result<Option<node::Http>> {
        let Some(credentials) = &self.http.credentials else { return Ok(None) };
        let endpoint = self.http.endpoint(&self.id);
        Ok(Some(node::Http::new(&endpoint, Some(credentials.clone()), None, self.shown())?))
    }

    /// Its data directory. If this process opens the node's files itself, the path may be relative to the current directory.
    ///
    /// Fails if the user has not given the path, or if commands on the node could not find it.
    pub fn data_folder(&self) -> Result<PathBuf> {
        if self.via.is_empty() { self.given_data_dir() } else { self.absolute_data_folder() }
    }

    /// Its data directory, which must be an absolute path.
    pub fn absolute_data_folder(&self) -> Result<PathBuf> {
        let data = self.given_data_dir()?;
        if data.is_absolute() {
            return Ok(data);
        }
        Err(Failure::refused(
            Code::new("CC-S01"),
            format!("{} is not an absolute path", data.display()),
            "Give the absolute path of the data directory, as in CouchDB's configuration. To restore directories of nodes that \
             are not running, use --offline with DIR,NODENAME.",
        ))
    }

    fn given_data_dir(&self) -> Result<PathBuf> {
        self.data.clone().ok_or_else(|| {
            Failure::refused(Code::new("CC-S02"), 
                format!("the data directory of {} is not known", self.shown()),
                "Give it after the host (HOST,DATA_DIR), or as `data` in the cluster file. It is the value of `[couchdb] \
                 database_dir` in the node's configuration.",
            )
        })
    }
}
