//! What belongs to a site and not to CouchDB: by which plugins a node is reached and its service controlled.

mod address;
mod choice;
mod cluster_file;
mod credentials;
mod netrc;

use std::path::PathBuf;

use outcome::{Code, Failure, Result};

pub use address::{HttpAddress, split_port, split_scheme};
pub use choice::PluginChoice;
pub use cluster_file::{ClusterFile, is_local};
pub use credentials::{AskPassword, CredentialSources};
pub use node::{Credentials, TunnelMode};
pub use plugin_host::{NodeId, PluginReference};

/// The service plugin where the user names none.
pub const DEFAULT_SERVICE: &str = "systemd";
/// The way to another machine where the user names none.
pub const DEFAULT_ACCESS: &str = "ssh";

/// A node with the plugins that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteNode {
    /// The node as plugins are told of it.
    pub id: NodeId,
    /// Its data folder there, where the user has told.
    pub data: Option<PathBuf>,
    /// Starts and stops CouchDB.
    pub service: PluginReference,
    /// How commands reach it, the way that leads away from this machine first.
    pub via: Vec<PluginReference>,
    /// Where its CouchDB is asked.
    pub http: HttpAddress,
    /// Folders of its configuration there, where the user has told.
    pub config: Vec<PathBuf>,
}

/// A node as the command line names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeArgument {
    /// The node as plugins are told of it.
    pub id: NodeId,
    /// Its data folder there, where the user has told.
    pub data: Option<PathBuf>,
    /// Where its CouchDB is asked.
    pub http: HttpAddress,
}

impl SiteNode {
    /// For messages.
    pub fn shown(&self) -> String {
        self.id.shown()
    }

    /// Its CouchDB on the direct way, where name and password are known for it. No plugin is needed for that.
    pub fn direct_http(&self) -> Result<Option<node::Http>> {
        let Some(credentials) = &self.http.credentials else { return Ok(None) };
        let endpoint = self.http.endpoint(&self.id);
        Ok(Some(node::Http::new(&endpoint, Some(credentials.clone()), None, self.shown())?))
    }

    /// Its data folder. Of a node whose files this process opens itself, it may be relative to the current folder.
    ///
    /// Fails where the user has not told, or where commands on the node could not find it.
    pub fn data_folder(&self) -> Result<PathBuf> {
        if self.via.is_empty() { self.told_data_folder() } else { self.absolute_data_folder() }
    }

    /// Its data folder, which has to be an absolute path.
    pub fn absolute_data_folder(&self) -> Result<PathBuf> {
        let data = self.told_data_folder()?;
        if data.is_absolute() {
            return Ok(data);
        }
        Err(Failure::refused(
            Code::new("CC-S01"),
            format!("{} is no absolute path", data.display()),
            "Give the data folder as CouchDB's configuration names it, from / on. Folders of nodes that are not running are \
             restored with --offline, as DIR,NODENAME.",
        ))
    }

    fn told_data_folder(&self) -> Result<PathBuf> {
        self.data.clone().ok_or_else(|| {
            Failure::refused(Code::new("CC-S02"), 
                format!("nothing says where the data folder of {} is", self.shown()),
                "Give it after the host: HOST,DATA_DIR; or as `data` in the cluster file. It is what `[couchdb] \
                 database_dir` names in the node's configuration.",
            )
        })
    }
}
