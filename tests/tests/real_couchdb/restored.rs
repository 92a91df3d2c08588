//! Archives of the fixtures, restored to real clusters of other sizes under other names.

use std::path::{Path, PathBuf};

use couchcopy_tests::lab::{Cluster, Installation, Size};
use couchcopy_tests::{Result, fixtures};

use super::started::{self, restore, start_and_check, start_and_examine};

/// Restores an archive that `make` puts into a folder to so many nodes, with so many copies of each range or as many as
/// there were, starts them and compares.
fn check(make: fn(&Path) -> Result<PathBuf>, oracle: &str, nodes: u8, copies: Option<u8>) -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let mut cluster = Cluster::prepare(&couchdb, Size { nodes, q: 2, n: 3 })?;
    restore(&make(dir.path())?, &cluster, copies)?;
    start_and_check(&mut cluster, &fixtures::oracle(oracle)?)
}

/// An archive of the fixture with one node.
fn one_node(dir: &Path) -> Result<PathBuf> {
    backup(&fixtures::single_node()?, dir)
}

/// An archive of the fixture with four nodes.
fn four_nodes(dir: &Path) -> Result<PathBuf> {
    backup(&fixtures::four_nodes()?, dir)
}

/// The archive that the Python couchcopy made of the fixture with one node.
fn of_python(dir: &Path) -> Result<PathBuf> {
    let archive = dir.join("backup.tar.gz");
    std::fs::copy(fixtures::path("couchcopy-0.2.4.tar.gz"), &archive)?;
    Ok(archive)
}

/// Saves the folders of an unpacked fixture.
fn backup(cluster: &fixtures::Cluster, dir: &Path) -> Result<PathBuf> {
    let archive = dir.join("backup.tar.gz");
    started::backup(&cluster.nodes, &archive)?;
    Ok(archive)
}

#[test]
fn one_node_becomes_one() -> Result<()> {
    check(one_node, "single-node", 1, None)
}

#[test]
fn one_node_becomes_two() -> Result<()> {
    check(one_node, "single-node", 2, None)
}

#[test]
fn one_node_becomes_three() -> Result<()> {
    check(one_node, "single-node", 3, None)
}

#[test]
fn one_node_becomes_three_copies() -> Result<()> {
    check(one_node, "single-node", 3, Some(3))
}

#[test]
fn four_nodes_become_one() -> Result<()> {
    check(four_nodes, "four-nodes-n2", 1, None)
}

#[test]
fn four_nodes_become_two() -> Result<()> {
    check(four_nodes, "four-nodes-n2", 2, None)
}

#[test]
fn four_nodes_become_three() -> Result<()> {
    check(four_nodes, "four-nodes-n2", 3, None)
}

#[test]
fn four_nodes_become_five() -> Result<()> {
    check(four_nodes, "four-nodes-n2", 5, None)
}

#[test]
fn an_archive_of_the_python_couchcopy_becomes_one_node() -> Result<()> {
    check(of_python, "single-node", 1, None)
}

#[test]
fn an_archive_of_the_python_couchcopy_becomes_two_nodes() -> Result<()> {
    check(of_python, "single-node", 2, None)
}

#[test]
fn an_archive_of_the_python_couchcopy_becomes_three_nodes() -> Result<()> {
    check(of_python, "single-node", 3, None)
}

/// The checks of this file see what they are to see: a shard that CouchDB had to create, an index that it had to build.
#[test]
fn what_a_restore_leaves_out_is_noticed() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let mut cluster = Cluster::prepare(&couchdb, Size { nodes: 2, q: 2, n: 3 })?;
    restore(&one_node(dir.path())?, &cluster, Some(2))?;
    let [secure, view] = [("shards", "/secure."), (".shards", ".view")].map(|(folder, part)| {
        let data = &cluster.nodes[1].data;
        let files = fixtures::files_below(data).unwrap_or_default();
        files.into_iter().find(|file| file.starts_with(folder) && file.contains(part)).unwrap_or_default()
    });
    for file in [&secure, &view] {
        std::fs::remove_file(cluster.nodes[1].data.join(file))?;
    }
    let found = start_and_examine(&mut cluster, &fixtures::oracle("single-node")?)?.join("\n");
    for expected in [format!("{secure} is new"), format!("{view} is new"), "Starting index update".into()] {
        assert!(found.contains(&expected), "{expected}: {found}");
    }
    Ok(())
}
