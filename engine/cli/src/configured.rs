//! What a command takes from the configuration file: a cluster, a repository, its keys and its store.

use std::path::Path;

use configuration::{Cluster, Configuration, Repository};
use outcome::report::{Notice, Reporter as _, Severity};
use outcome::{Code, Failure, Result};
use site::ClusterFile;
use store::{Location, Settings};

use crate::session::Session;

/// The nodes of a cluster, from a cluster file or from the configuration file.
pub(crate) struct ChosenCluster {
    /// The nodes.
    pub(crate) nodes: ClusterFile,
    /// Where they are described, for messages.
    pub(crate) shown: String,
}

/// Whether a value of `--cluster` can only be a path.
pub(crate) fn is_path(value: &Path) -> bool {
    value.extension().is_some_and(|extension| extension == "toml") || value.components().count() != 1
}

impl Session {
    /// The configuration file.
    ///
    /// Fails if there is none.
    pub(crate) fn configured(&self) -> Result<&Configuration> {
        self.configuration()?.ok_or_else(|| {
            Failure::refused(
                Code::new("CC-M09"),
                "the command names nothing to work on, and there is no configuration file",
                "Name the nodes, the archive or the repository in the command, or describe them in \
                 /etc/couchcopy/couchcopy.toml: docs/running.md has an example.",
            )
        })
    }

    /// The cluster in the configuration file with this name; without a name, the only one. `None` if the value of `--cluster` is
    /// the path of a cluster file.
    pub(crate) fn configured_cluster(&self, choice: Option<&Path>) -> Result<Option<Cluster>> {
        let Some(value) = choice else { return self.configured()?.cluster(None).map(Some) };
        let Some(name) = value.to_str().filter(|_| !is_path(value)) else { return Ok(None) };
        match self.configuration()? {
            Some(configuration) if configuration.has_cluster(name) || !value.exists() => {
                configuration.cluster(Some(name)).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The nodes that `--cluster` chooses; without it, those of the only cluster in the configuration file.
    pub(crate) fn chosen_cluster(&self, choice: Option<&Path>) -> Result<ChosenCluster> {
        if let Some(cluster) = self.configured_cluster(choice)? {
            let path = self.configured()?.path().display();
            let shown = format!("cluster {} in {path}", cluster.name);
            return Ok(ChosenCluster { nodes: cluster.nodes, shown });
        }
        let path = choice.unwrap_or(Path::new(""));
        let nodes = ClusterFile::read(path)?;
        Ok(ChosenCluster { nodes, shown: path.display().to_string() })
    }

    /// The repository that the configuration file has for a cluster; without `--cluster`, for the only cluster, or the only
    /// repository.
    pub(crate) fn configured_repository(&self, choice: Option<&Path>) -> Result<Repository> {
        let configuration = self.configured()?;
        let cluster = match choice {
            None if configuration.cluster_names().count() != 1 => None,
            choice => self.configured_cluster(choice)?,
        };
        configuration.repository(cluster.as_ref())
    }

    /// The location of a repository that the command may have left out.
    pub(crate) fn repository_location(&self, named: Option<&Location>) -> Result<Location> {
        match named {
            Some(location) => Ok(location.clone()),
            None => Ok(self.configured_repository(None)?.location),
        }
    }

    /// The location that is meant, and what the configuration file says of the repository there. `::SELECTOR` means a backup in the
    /// repository of the configuration file.
    pub(crate) fn resolved(
        &self,
        location: &Location,
        cluster: Option<&Path>,
    ) -> Result<(Location, Option<Repository>)> {
        if let Some(selector) = of_configuration(location) {
            let repository = self.configured_repository(cluster)?;
            let whole = Box::new(repository.location.clone());
            return Ok((Location::Member(whole, selector.to_owned()), Some(repository)));
        }
        let found = match self.configuration() {
            Ok(found) => found.and_then(|configuration| configuration.repository_at(location)),
            // A command that names everything does not need the file, which may be for another user.
            Err(failure) if failure.kind() == outcome::FailureKind::System => None,
            Err(failure) => {
                let text = format!("the configuration file is not used: {failure}");
                self.reporter().notice(&Notice { severity: Severity::Warning, text });
                None
            }
        };
        Ok((location.clone(), found))
    }

    /// How the cluster's file says that stores are reached; `None` if `--cluster` names a file, which is read elsewhere.
    pub(crate) fn store_of_cluster(&self, choice: Option<&Path>) -> Result<Option<Settings>> {
        match choice {
            None => Ok(None),
            Some(_) => Ok(self.configured_cluster(choice)?.map(|cluster| cluster.store.unwrap_or_default())),
        }
    }
}

/// What follows `::` if the location names a backup in the repository of the configuration file.
fn of_configuration(location: &Location) -> Option<&str> {
    let text = location.path()?.to_str()?;
    text.strip_prefix("::").filter(|_| !Path::new(text).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_of_clusters_differ() {
        for (value, expected) in
            [("prod", false), ("prod.toml", true), ("./prod", true), ("/etc/prod", true), ("a/b", true)]
        {
            assert_eq!(is_path(Path::new(value)), expected, "{value}");
        }
    }

    #[test]
    fn two_colons_stand_for_the_repository() {
        for (text, expected) in [("::latest", Some("latest")), ("::", Some("")), ("a::b", None), ("a", None)]
        {
            assert_eq!(of_configuration(&text.parse().unwrap()), expected, "{text}");
        }
    }
}
