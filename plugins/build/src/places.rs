//! Where the sources lie that a program is compiled from, so that its bytes do not depend on it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::compiler::{Compiler, run};
use crate::error::{BuildError, Result};

/// What cargo knows about a workspace and what it needs.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) workspace_root: PathBuf,
    pub(crate) target_directory: PathBuf,
}

#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) source: Option<String>,
    pub(crate) manifest_path: PathBuf,
    pub(crate) targets: Vec<Target>,
}

#[derive(Deserialize)]
pub(crate) struct Target {
    pub(crate) kind: Vec<String>,
}

impl Metadata {
    /// Asks cargo about the crate in `folder`. Fetches dependencies that are not there yet.
    pub(crate) fn read(cargo: &Path, folder: &Path, target: &str, locked: bool) -> Result<Self> {
        let mut command = Command::new(cargo);
        command.args(["metadata", "--format-version", "1", "--filter-platform", target]).current_dir(folder);
        if locked {
            command.arg("--locked");
        }
        let output = run(&mut command)?;
        if !output.status.success() {
            return Err(BuildError::Cargo {
                doing: "metadata",
                folder: folder.to_owned(),
                stderr: String::from_utf8_lossy(&output.stderr).trim_end().to_owned(),
            });
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|error| BuildError::Unreadable { program: "cargo metadata", problem: error.to_string() })
    }
}

/// Where sources and what cargo builds lie on this machine.
#[derive(Debug, Clone)]
pub struct Places {
    /// Where the sources of the workspace itself lie.
    pub root: PathBuf,
    /// Where cargo builds.
    pub target_folder: PathBuf,
    /// Folders that hold the sources of dependencies from registries, one folder per dependency. Their names depend on
    /// the user's home and configuration.
    registries: BTreeSet<PathBuf>,
}

impl Places {
    /// Of the workspace that `folder` is in, with what it needs for `target`.
    pub fn read(cargo: &Path, folder: &Path, target: &str, locked: bool) -> Result<Self> {
        Ok(Self::of(Metadata::read(cargo, folder, target, locked)?))
    }

    pub(crate) fn of(metadata: Metadata) -> Self {
        let fetched = metadata.packages.iter().filter(|package| package.source.is_some());
        let registries = fetched
            .filter_map(|package| Some(package.manifest_path.parent()?.parent()?.to_owned()))
            .collect();
        Self { root: metadata.workspace_root, target_folder: metadata.target_directory, registries }
    }

    /// Each place with the name that stands for it in a program: nothing in it may depend on where things lie on this
    /// machine. `own` stands for the workspace. The last that matches a path counts, so the outer folders come first.
    pub fn renamed(&self, compiler: &Compiler, own: &str) -> Vec<(PathBuf, String)> {
        let library = format!("/rustc/{}", compiler.commit);
        let mut renamed = vec![
            (self.root.clone(), own.to_owned()),
            (self.target_folder.clone(), "/target".to_owned()),
            (compiler.library_source(), library),
        ];
        renamed.extend(self.registries.iter().map(|folder| (folder.clone(), "/registry".to_owned())));
        renamed
    }
}
