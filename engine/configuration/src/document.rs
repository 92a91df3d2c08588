//! The configuration file as it is written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use repository::policy::Policy;
use serde::Deserialize;

use crate::duration::{Seconds, Share};

/// The configuration file as it is written. Paths are as the file has them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Clusters by name.
    #[serde(default)]
    pub cluster: BTreeMap<String, ClusterTable>,
    /// Repositories by name.
    #[serde(default)]
    pub repository: BTreeMap<String, RepositoryTable>,
    /// When a state is a warning or an error.
    #[serde(default)]
    pub health: Health,
    /// What is run before and after.
    #[serde(default)]
    pub hooks: Hooks,
    /// Directory of what couchcopy records of its runs on this machine.
    pub state_dir: Option<PathBuf>,
}

/// A cluster: its nodes, and what of it is saved.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterTable {
    /// A cluster file that lists the nodes.
    pub file: Option<PathBuf>,
    /// As in a cluster file.
    #[serde(default)]
    pub defaults: toml::Table,
    /// As in a cluster file.
    #[serde(default)]
    pub node: Vec<toml::Table>,
    /// The name of the repository that its backups go to.
    pub repository: Option<String>,
    /// Patterns of the databases that are saved; none: all databases.
    #[serde(default)]
    pub only: Vec<String>,
    /// Patterns of the databases that are not saved.
    #[serde(default)]
    pub except: Vec<String>,
    /// Whether the nodes' configuration files are saved, too.
    #[serde(default)]
    pub with_config: bool,
    /// Directories of the nodes' configuration files.
    #[serde(default)]
    pub config_dir: Vec<PathBuf>,
    /// Whether shards are checked while they are saved.
    #[serde(default)]
    pub check: bool,
    /// Whether every file is opened, even if its size and time have not changed.
    #[serde(default)]
    pub paranoid: bool,
    /// The directory of the mirror.
    pub rsync_reuse_dir: Option<PathBuf>,
}

/// A repository: where it is, its keys, and how long backups are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepositoryTable {
    /// A directory, or a prefix in a store.
    pub location: String,
    /// Public keys for which `repo init` encrypts.
    #[serde(default)]
    pub recipients: Vec<String>,
    /// Files with such keys.
    #[serde(default)]
    pub recipients_file: Vec<PathBuf>,
    /// File with a passphrase in its first line.
    pub passphrase_file: Option<PathBuf>,
    /// Files with private keys.
    #[serde(default)]
    pub identity: Vec<PathBuf>,
    /// File with the key of this machine.
    pub host_key: Option<PathBuf>,
    /// Public keys of machines whose backups are accepted.
    #[serde(default)]
    pub signers: Vec<String>,
    /// Which backups are kept.
    #[serde(default)]
    pub keep: Keep,
    /// Whether `run` frees the space of what no backup needs. On unless it is turned off.
    pub prune: Option<bool>,
    /// Time between marking and deleting.
    pub grace: Option<Seconds>,
    /// The share of the files that `run` verifies.
    pub verify: Option<Share>,
    /// How long the store locks objects.
    pub object_lock: Option<Seconds>,
    /// How the store is reached.
    #[serde(default)]
    pub store: store::Settings,
}

/// Which backups are kept; without any rule, all.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keep {
    /// The last so many.
    pub last: u32,
    /// One of each hour.
    pub hourly: u32,
    /// One of each day.
    pub daily: u32,
    /// One of each week.
    pub weekly: u32,
    /// One of each month.
    pub monthly: u32,
    /// One of each year.
    pub yearly: u32,
    /// All that are not older than the newest one by more than this.
    pub within: Option<Seconds>,
}

impl Keep {
    /// The rules.
    pub fn policy(&self) -> Policy {
        let Self { last, hourly, daily, weekly, monthly, yearly, within } = *self;
        Policy {
            last,
            hourly,
            daily,
            weekly,
            monthly,
            yearly,
            within: within.map(|Seconds(seconds)| seconds),
        }
    }
}

/// When a state is a warning or an error.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// The greatest age of the newest complete backup.
    pub max_age: Option<Seconds>,
    /// The greatest age of the last verification.
    pub max_unverified: Option<Seconds>,
    /// The file that gets the metrics.
    pub metrics_file: Option<PathBuf>,
}

/// What is run before and after a backup. Each is a command as a list of words; no shell reads it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hooks {
    /// Before it begins.
    pub on_start: Option<Vec<String>>,
    /// After it has succeeded.
    pub on_success: Option<Vec<String>>,
    /// After it has failed, or something could not be saved.
    pub on_failure: Option<Vec<String>>,
    /// How long one may take.
    pub timeout: Option<Seconds>,
}
