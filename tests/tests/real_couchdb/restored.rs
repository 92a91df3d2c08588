//! Archives of the fixtures, restored to real clusters of other sizes under other names.

use std::path::{Path, PathBuf};

use couchcopy_tests::lab::{Cluster, Installation, Size, couchcopy};
use couchcopy_tests::{Result, fixtures};

use super::started::{restore, start_and_check};

/// Restores to so many nodes, starts them and compares.
fn check(archive: &Path, oracle: &str, nodes: u8) -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let mut cluster = Cluster::prepare(&couchdb, Size { nodes, q: 2, n: 3 })?;
    restore(archive, &cluster)?;
    start_and_check(&mut cluster, &fixtures::oracle(oracle)?)
}

/// Saves the folders of an unpacked fixture.
fn backup(cluster: &fixtures::Cluster) -> Result<PathBuf> {
    let archive = cluster.dir().join("backup.tar.gz");
    let mut arguments = vec!["backup".to_owned()];
    arguments.extend(cluster.nodes.iter().map(|node| format!("localhost,{}", node.data.display())));
    arguments.push(archive.display().to_string());
    couchcopy(&arguments)?.success()?;
    couchcopy(&["verify".as_ref(), archive.as_os_str()])?.success()?;
    Ok(archive)
}

#[test]
fn one_node_becomes_one() -> Result<()> {
    let fixture = fixtures::single_node()?;
    check(&backup(&fixture)?, "single-node", 1)
}

#[test]
fn one_node_becomes_three() -> Result<()> {
    let fixture = fixtures::single_node()?;
    check(&backup(&fixture)?, "single-node", 3)
}

#[test]
fn four_nodes_become_one() -> Result<()> {
    let fixture = fixtures::four_nodes()?;
    check(&backup(&fixture)?, "four-nodes-n2", 1)
}

#[test]
fn four_nodes_become_two() -> Result<()> {
    let fixture = fixtures::four_nodes()?;
    check(&backup(&fixture)?, "four-nodes-n2", 2)
}

#[test]
fn four_nodes_become_three() -> Result<()> {
    let fixture = fixtures::four_nodes()?;
    check(&backup(&fixture)?, "four-nodes-n2", 3)
}

#[test]
fn four_nodes_become_five() -> Result<()> {
    let fixture = fixtures::four_nodes()?;
    check(&backup(&fixture)?, "four-nodes-n2", 5)
}

#[test]
fn an_archive_of_the_python_couchcopy_becomes_one_node() -> Result<()> {
    check(&fixtures::path("couchcopy-0.2.4.tar.gz"), "single-node", 1)
}

#[test]
fn an_archive_of_the_python_couchcopy_becomes_two_nodes() -> Result<()> {
    check(&fixtures::path("couchcopy-0.2.4.tar.gz"), "single-node", 2)
}
