//! Programs and libraries in JavaScript that tests run as peers.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::install::{on_path, skipped};
use crate::Result;

/// A folder in whose `node_modules` these packages are (`name@version`), installed when they are first asked for, beside the
/// other things that are built. `None`, said loudly, where there is no node or no npm, or npm cannot install them.
pub fn npm_packages(packages: &[&str]) -> Result<Option<PathBuf>> {
    if on_path("node").is_none() || on_path("npm").is_none() {
        skipped(&format!("no node and npm to run {} with", packages.join(", ")));
        return Ok(None);
    }
    let name: String = packages
        .join("+")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-') { c } else { '_' })
        .collect();
    let built = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let folder = built.join("npm").join(name);
    fs::create_dir_all(&folder)?;
    // Tests run side by side: one installs, the others wait for it.
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    let done = folder.join("installed");
    if !done.exists() {
        let output = Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
            .arg(&folder)
            .args(packages)
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            skipped(&format!("npm cannot install {}: {}", packages.join(", "), why.trim_end()));
            return Ok(None);
        }
        fs::write(done, "")?;
    }
    Ok(Some(folder))
}
