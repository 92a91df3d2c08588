//! For authors of plugins: creates a new crate, and builds the component of a crate.

use std::path::{Path, PathBuf};

use outcome::{Failure, Result};
use plugin_build::{CompilerOutput, Options, template};
use serde::Serialize;

pub use plugin_build::{BuildError, Kind};

/// A component that has been built.
#[derive(Debug, Clone, Serialize)]
pub struct BuiltPlugin {
    /// The file.
    pub path: PathBuf,
    /// Size of the file in bytes.
    pub bytes: u64,
}

/// Builds a plugin's crate and writes its component: to `output`, or to `NAME.wasm` in the crate's directory.
pub fn build(folder: &Path, output: Option<&Path>) -> Result<BuiltPlugin> {
    let options = Options { locked: false, compiler_output: CompilerOutput::Shown };
    let built = plugin_build::build(folder, options)?;
    let path = output.map_or_else(|| folder.join(format!("{}.wasm", built.name())), Path::to_owned);
    std::fs::write(&path, &built.component).map_err(|e| Failure::io("write", &path, e))?;
    Ok(BuiltPlugin { bytes: built.component.len() as u64, path })
}

/// Writes the crate of a new plugin into a new directory below `parent` that has the plugin's name; returns the directory.
pub fn create(parent: &Path, name: &str, kind: Kind) -> Result<PathBuf> {
    Ok(template::create(parent, name, kind)?)
}
