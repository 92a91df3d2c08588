//! For authors of plugins: a crate to begin with, and a component from a crate.

use std::path::{Path, PathBuf};

use outcome::{Failure, Result};
use plugin_build::{CompilerOutput, Options, template};
use serde::Serialize;

pub use plugin_build::{BuildError, Kind};

/// A component that was built.
#[derive(Debug, Clone, Serialize)]
pub struct BuiltPlugin {
    /// The file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Builds a plugin's crate and writes its component, as `NAME.wasm` in the crate's folder unless told otherwise.
pub fn build(folder: &Path, output: Option<&Path>) -> Result<BuiltPlugin> {
    let options = Options { locked: false, compiler_output: CompilerOutput::Shown };
    let built = plugin_build::build(folder, options)?;
    let path = output.map_or_else(|| folder.join(format!("{}.wasm", built.name())), Path::to_owned);
    std::fs::write(&path, &built.component).map_err(|e| Failure::io("write", &path, e))?;
    Ok(BuiltPlugin { bytes: built.component.len() as u64, path })
}

/// Writes the crate of a new plugin into a new folder of its name below `parent`; gives the folder.
pub fn create(parent: &Path, name: &str, kind: Kind) -> Result<PathBuf> {
    Ok(template::create(parent, name, kind)?)
}
