//! Where the configuration file is.

use std::path::{Path, PathBuf};

/// The configuration file of the machine.
const OF_MACHINE: &str = "/etc/couchcopy/couchcopy.toml";
/// The configuration file of a user, below the directory for configuration.
const OF_USER: &str = "couchcopy/couchcopy.toml";

/// A configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationPath {
    /// Its path.
    pub path: PathBuf,
    /// Whether the user has named it.
    pub is_named: bool,
}

/// The configuration file: the named one, else that of the user (below `$XDG_CONFIG_HOME` or `~/.config`), else that of the machine
/// (`/etc/couchcopy/couchcopy.toml`). `None` if there is none of these.
pub fn find(named: Option<&Path>) -> Option<ConfigurationPath> {
    if let Some(path) = named {
        return Some(ConfigurationPath { path: path.to_owned(), is_named: true });
    }
    let absolute =
        |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let of_user = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    let candidates =
        of_user.map(|folder| folder.join(OF_USER)).into_iter().chain([PathBuf::from(OF_MACHINE)]);
    let mut there = candidates.filter(|path| path.is_file());
    there.next().map(|path| ConfigurationPath { path, is_named: false })
}
