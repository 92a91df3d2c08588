//! Plugins and grants as they are listed.

use std::path::PathBuf;

use plugin_host::{Contract, Description, Grant, Grants, Origin, Plugin};
use serde::Serialize;

/// A plugin with all that is known of it.
#[derive(Debug, Clone, Serialize)]
pub struct PluginListing {
    /// What it says of itself.
    #[serde(flatten)]
    pub description: Description,
    /// What it was made for.
    pub contract: Contract,
    /// Its file; `None` where it is built in.
    pub file: Option<PathBuf>,
    /// BLAKE3 of the file.
    pub hash: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Whether it may have its commands run.
    pub granted: bool,
}

impl PluginListing {
    pub(super) fn new(plugin: &Plugin, granted: bool) -> Self {
        Self {
            description: plugin.description.clone(),
            contract: plugin.contract.clone(),
            file: match &plugin.origin {
                Origin::BuiltIn => None,
                Origin::File(path) => Some(path.clone()),
            },
            hash: plugin.hash.to_hex().to_string(),
            bytes: plugin.size,
            granted,
        }
    }
}

/// All plugins.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PluginList {
    /// Those that can be loaded.
    pub plugins: Vec<PluginListing>,
    /// Files that cannot.
    pub failures: Vec<PluginFailure>,
}

/// A file among the plugins that is none.
#[derive(Debug, Clone, Serialize)]
pub struct PluginFailure {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// A grant.
#[derive(Debug, Clone, Serialize)]
pub struct GrantListing {
    /// The grant.
    #[serde(flatten)]
    pub grant: Grant,
    /// Whether it is in the configuration file, where the user has to take it out by hand.
    pub configured: bool,
}

impl GrantListing {
    pub(super) fn remembered(grant: &Grant) -> Self {
        Self { grant: grant.clone(), configured: false }
    }

    pub(super) fn all(grants: &Grants) -> Vec<Self> {
        let configured =
            grants.configured.iter().map(|grant| Self { grant: grant.clone(), configured: true });
        grants.remembered.iter().map(Self::remembered).chain(configured).collect()
    }
}
