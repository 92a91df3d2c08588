//! Plugins and grants as they are listed.

use std::path::PathBuf;

use plugin_host::{Contract, Description, Grant, Grants, Origin, Plugin};
use serde::Serialize;

/// A plugin and what is known about it.
#[derive(Debug, Clone, Serialize)]
pub struct PluginListing {
    /// The plugin's description of itself.
    #[serde(flatten)]
    pub description: Description,
    /// The kind of the plugin.
    pub contract: Contract,
    /// The plugin's file; `None` if it is built in.
    pub file: Option<PathBuf>,
    /// BLAKE3 of the file.
    pub hash: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Whether the plugin's commands are granted.
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
    /// Plugins that can be loaded.
    pub plugins: Vec<PluginListing>,
    /// Files that cannot be loaded.
    pub failures: Vec<PluginFailure>,
}

/// A file among the plugins that cannot be loaded.
#[derive(Debug, Clone, Serialize)]
pub struct PluginFailure {
    /// The problem.
    pub message: String,
    /// What the user can do about it.
    pub remedy: String,
}

/// A grant.
#[derive(Debug, Clone, Serialize)]
pub struct GrantListing {
    /// The grant.
    #[serde(flatten)]
    pub grant: Grant,
    /// Whether the grant is in the configuration file, from which the user has to remove it by hand.
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
