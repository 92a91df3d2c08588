//! What cargo knows about the crate to build.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::error::{BuildError, Result};
use crate::toolchain::{TARGET, run};

/// The crate to build.
pub(crate) struct Project {
    /// Its package's name.
    pub(crate) package: String,
    /// Its Cargo.toml, as cargo names it.
    pub(crate) manifest: PathBuf,
    /// Where the sources of its own workspace lie.
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    pub(crate) target_folder: PathBuf,
    /// Which profile it is built with.
    pub(crate) profile: &'static str,
    /// Folders that hold the sources of dependencies from registries, one folder per dependency.
    pub(crate) registries: BTreeSet<PathBuf>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    source: Option<String>,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

impl Project {
    /// Asks cargo about the crate in `folder`. Fetches dependencies that are not there yet.
    pub(crate) fn read(cargo: &Path, folder: &Path, locked: bool) -> Result<Self> {
        let manifest = folder.join("Cargo.toml");
        if !manifest.is_file() {
            return Err(BuildError::NoCrate { folder: folder.to_owned() });
        }
        let manifest =
            manifest.canonicalize().map_err(|source| BuildError::Io { path: manifest.clone(), source })?;
        let mut command = Command::new(cargo);
        command.args(["metadata", "--format-version", "1", "--filter-platform", TARGET]);
        command.arg("--manifest-path").arg(&manifest).current_dir(folder);
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
        let metadata: Metadata = serde_json::from_slice(&output.stdout).map_err(|error| {
            BuildError::Unreadable { program: "cargo metadata", problem: error.to_string() }
        })?;
        let package =
            metadata.packages.iter().find(|package| package.manifest_path == manifest).ok_or_else(|| {
                BuildError::NotALibrary {
                    folder: folder.to_owned(),
                    problem: "its Cargo.toml is a workspace without a package of its own",
                }
            })?;
        if !package.targets.iter().any(|target| target.kind.iter().any(|kind| kind.ends_with("lib"))) {
            return Err(BuildError::NotALibrary {
                folder: folder.to_owned(),
                problem: "its package has no library",
            });
        }
        Ok(Self {
            package: package.name.clone(),
            profile: profile(&metadata.workspace_root)?,
            registries: registries(&metadata),
            manifest,
            root: metadata.workspace_root,
            target_folder: metadata.target_directory,
        })
    }
}

/// `plugin` where the workspace has such a profile: a workspace that holds more than plugins keeps `release` for the rest.
fn profile(root: &Path) -> Result<&'static str> {
    let path = root.join("Cargo.toml");
    let text = fs::read_to_string(&path).map_err(|source| BuildError::Io { path: path.clone(), source })?;
    let manifest: toml::Table = text.parse().map_err(|error: toml::de::Error| BuildError::Unreadable {
        program: "Cargo.toml",
        problem: error.to_string(),
    })?;
    let own = manifest.get("profile").and_then(|profiles| profiles.get("plugin")).is_some();
    Ok(if own { "plugin" } else { "release" })
}

/// The folders that packages from registries lie in, whose names depend on the user's home and configuration.
fn registries(metadata: &Metadata) -> BTreeSet<PathBuf> {
    let fetched = metadata.packages.iter().filter(|package| package.source.is_some());
    fetched.filter_map(|package| Some(package.manifest_path.parent()?.parent()?.to_owned())).collect()
}
