//! Archives to load.

use std::path::{Path, PathBuf};

use couchcopy_tests::lab::couchcopy;
use couchcopy_tests::{Result, fixtures};

/// The options that make the lab's admin that of a load.
pub(crate) const LAB_ADMIN: [&str; 2] = ["--admin", "admin:password"];

/// An archive of the fixture with one node, in a folder.
pub(crate) fn single_node(dir: &Path) -> Result<PathBuf> {
    backup(&fixtures::single_node()?, dir)
}

/// An archive of the fixture with four nodes.
pub(crate) fn four_nodes(dir: &Path) -> Result<PathBuf> {
    backup(&fixtures::four_nodes()?, dir)
}

/// The archive that the Python couchcopy made of the fixture with one node.
#[allow(clippy::unnecessary_wraps)] // One of several functions of this form.
pub(crate) fn of_python(_: &Path) -> Result<PathBuf> {
    Ok(fixtures::path("couchcopy-0.2.4.tar.gz"))
}

/// Saves folders.
fn backup(cluster: &fixtures::Cluster, dir: &Path) -> Result<PathBuf> {
    let archive = dir.join("backup.tar.gz");
    let mut arguments = vec!["backup".to_owned()];
    arguments.extend(cluster.nodes.iter().map(|node| format!("localhost,{}", node.data.display())));
    arguments.push(archive.display().to_string());
    couchcopy(&arguments)?.success()?;
    Ok(archive)
}

/// Names of the private folders in a folder.
pub(crate) fn private_folders(within: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(within)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with("couchcopy-load-") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
