//! What cargo knows about the crate to build.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{BuildError, Result};
use crate::places::{Metadata, Places};
use crate::toolchain::TARGET;

/// The crate to build.
pub(crate) struct Project {
    /// Its package's name.
    pub(crate) package: String,
    /// Its Cargo.toml, as cargo names it.
    pub(crate) manifest: PathBuf,
    /// Where its sources lie, and those of what it needs.
    pub(crate) places: Places,
    /// Which profile it is built with.
    pub(crate) profile: &'static str,
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
        let metadata = Metadata::read(cargo, folder, TARGET, locked)?;
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
            manifest,
            places: Places::of(metadata),
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
