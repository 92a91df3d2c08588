//! A configuration file without mistakes.

use std::path::{Path, PathBuf};

use outcome::{Code, Failure, Result};
use site::ClusterFile;
use store::{Location, Settings};

use crate::document::{ClusterTable, Document, Health, Hooks, RepositoryTable};
use crate::read;

/// A configuration file without mistakes. Paths in it are relative to its directory.
#[derive(Debug, Clone)]
pub struct Configuration {
    path: PathBuf,
    base: PathBuf,
    document: Document,
}

/// A cluster in the configuration file.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Its name in the file.
    pub name: String,
    /// Its nodes.
    pub nodes: ClusterFile,
    /// How stores are reached, if its own file says so.
    pub store: Option<Settings>,
    /// What of it is saved. Paths are absolute if the path of the configuration file is.
    pub table: ClusterTable,
}

/// A repository in the configuration file.
#[derive(Debug, Clone)]
pub struct Repository {
    /// Its name in the file.
    pub name: String,
    /// Where it is.
    pub location: Location,
    /// Everything else. Paths are absolute if the path of the configuration file is.
    pub table: RepositoryTable,
}

impl Configuration {
    /// Reads a configuration file. Files that it names need not exist.
    ///
    /// Fails if the file has a mistake: the message has the first one with its line.
    pub fn read(path: &Path) -> Result<Self> {
        let document = read::document(path)?;
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let base = read::folder_of(&path);
        Ok(Self { path, base, document })
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of all clusters.
    pub fn cluster_names(&self) -> impl Iterator<Item = &str> {
        self.document.cluster.keys().map(String::as_str)
    }

    /// When a state is a warning or an error.
    pub fn health(&self) -> Health {
        let health = self.document.health.clone();
        Health { metrics_file: health.metrics_file.map(|path| self.base.join(path)), ..health }
    }

    /// What is run before and after. A program without `/` in it is found in `PATH`.
    pub fn hooks(&self) -> Hooks {
        let resolved = |command: &Option<Vec<String>>| {
            let mut command = command.clone()?;
            if let Some(program) = command.first_mut().filter(|program| program.contains('/')) {
                *program = self.base.join(&*program).to_string_lossy().into_owned();
            }
            Some(command)
        };
        let hooks = &self.document.hooks;
        Hooks {
            on_start: resolved(&hooks.on_start),
            on_success: resolved(&hooks.on_success),
            on_failure: resolved(&hooks.on_failure),
            timeout: hooks.timeout,
        }
    }

    /// The directory for records of runs, if the file names one.
    pub fn state_dir(&self) -> Option<PathBuf> {
        self.document.state_dir.as_ref().map(|path| self.base.join(path))
    }

    /// Whether a cluster has this name.
    pub fn has_cluster(&self, name: &str) -> bool {
        self.document.cluster.contains_key(name)
    }

    /// The cluster with this name; without a name, the only one.
    pub fn cluster(&self, name: Option<&str>) -> Result<Cluster> {
        let known = || self.cluster_names().collect::<Vec<_>>().join(", ");
        let name = match (name, self.document.cluster.len()) {
            (Some(name), _) => name.to_owned(),
            (None, 1) => known(),
            (None, 0) => {
                return Err(Failure::refused(
                    Code::new("CC-M05"),
                    format!("{} describes no cluster", self.path.display()),
                    "Add a table [cluster.NAME] to the file, or name the nodes in the command.",
                ));
            }
            (None, _) => {
                return Err(Failure::refused(
                    Code::new("CC-M04"),
                    format!("{} describes several clusters, and none is chosen", self.path.display()),
                    format!("Add --cluster NAME with one of these names: {}.", known()),
                ));
            }
        };
        let Some(table) = self.document.cluster.get(&name) else {
            return Err(Failure::refused(
                Code::new("CC-M03"),
                format!("{} describes no cluster {name}", self.path.display()),
                format!("Use one of these names: {}.", known()),
            ));
        };
        let (nodes, store) = read::nodes(&self.path, &name, table)?;
        let table = ClusterTable {
            file: table.file.as_ref().map(|path| self.base.join(path)),
            rsync_reuse_dir: table.rsync_reuse_dir.as_ref().map(|path| self.base.join(path)),
            ..table.clone()
        };
        Ok(Cluster { name, nodes, store, table })
    }

    /// The repository that the backups of a cluster go to; without a cluster, the only one.
    pub fn repository(&self, cluster: Option<&Cluster>) -> Result<Repository> {
        let known = || self.document.repository.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let name = match (
            cluster.and_then(|cluster| cluster.table.repository.clone()),
            self.document.repository.len(),
        ) {
            (Some(name), _) => name,
            (None, 1) => known(),
            (None, 0) => {
                return Err(Failure::refused(
                    Code::new("CC-M06"),
                    format!("{} describes no repository", self.path.display()),
                    "Add a table [repository.NAME] with the key location to the file, or name the repository in the command.",
                ));
            }
            (None, _) => {
                return Err(Failure::refused(
                    Code::new("CC-M07"),
                    format!(
                        "{} describes several repositories, and none is chosen: {}",
                        self.path.display(),
                        known()
                    ),
                    "Name the location of the repository in the command, or add --cluster NAME if the command has that option.",
                ));
            }
        };
        let Some(table) = self.document.repository.get(&name) else {
            // It was compared when the file was read.
            return Err(Failure::bug(format!("no repository {name} in a configuration without mistakes")));
        };
        self.resolved(&name, table)
    }

    /// All repositories.
    ///
    /// Fails if there is none.
    pub fn repositories(&self) -> Result<Vec<Repository>> {
        if self.document.repository.is_empty() {
            self.repository(None)?;
        }
        self.document.repository.iter().map(|(name, table)| self.resolved(name, table)).collect()
    }

    /// The repository that is at this location, if there is one.
    pub fn repository_at(&self, location: &Location) -> Option<Repository> {
        let whole = match location {
            Location::Member(whole, _) => whole,
            other => other,
        };
        let all = self.document.repository.iter().filter_map(|(name, table)| self.resolved(name, table).ok());
        all.into_iter().find(|repository| is_same(&repository.location, whole))
    }

    fn resolved(&self, name: &str, table: &RepositoryTable) -> Result<Repository> {
        let location = match table.location.parse::<Location>()? {
            Location::Path(path) => Location::Path(self.base.join(path)),
            other => other,
        };
        let path = |path: &PathBuf| self.base.join(path);
        let table = RepositoryTable {
            recipients_file: table.recipients_file.iter().map(path).collect(),
            passphrase_file: table.passphrase_file.as_ref().map(path),
            identity: table.identity.iter().map(path).collect(),
            host_key: table.host_key.as_ref().map(path),
            store: Settings { ca: table.store.ca.as_ref().map(path), ..table.store.clone() },
            ..table.clone()
        };
        Ok(Repository { name: name.to_owned(), location, table })
    }
}

/// Whether two locations are the same, with and without a `/` at the end.
fn is_same(one: &Location, other: &Location) -> bool {
    match (one, other) {
        (Location::Path(one), Location::Path(other)) => std::path::absolute(one)
            .ok()
            .is_some_and(|one| std::path::absolute(other).is_ok_and(|other| one == other)),
        (Location::Object(one), Location::Object(other)) => {
            (one.service, &one.bucket, one.key.trim_end_matches('/'))
                == (other.service, &other.bucket, other.key.trim_end_matches('/'))
        }
        _ => false,
    }
}
