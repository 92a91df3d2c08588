//! Archives of the fixtures, restored to real clusters of other sizes under other names.

use std::path::{Path, PathBuf};

use couchcopy_tests::lab::{Cluster, Installation, Size};
use couchcopy_tests::{Result, fixtures};

use super::started::{self, restore, start_and_check, start_and_examine};

/// Restores to so many nodes, starts them and compares.
fn check(archive: &Path, oracle: &str, nodes: u8) -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let mut cluster = Cluster::prepare(&couchdb, Size { nodes, q: 2, n: 3 })?;
    restore(archive, &cluster, None)?;
    start_and_check(&mut cluster, &fixtures::oracle(oracle)?)
}

/// Saves the folders of an unpacked fixture.
fn backup(cluster: &fixtures::Cluster) -> Result<PathBuf> {
    let archive = cluster.dir().join("backup.tar.gz");
    started::backup(&cluster.nodes, &archive)?;
    Ok(archive)
}

#[test]
fn one_node_becomes_one() -> Result<()> {
    let fixture = fixtures::single_node()?;
    check(&backup(&fixture)?, "single-node", 1)
}

#[test]
fn one_node_becomes_two() -> Result<()> {
    let fixture = fixtures::single_node()?;
    check(&backup(&fixture)?, "single-node", 2)
}

#[test]
fn one_node_becomes_three() -> Result<()> {
    let fixture = fixtures::single_node()?;
    check(&backup(&fixture)?, "single-node", 3)
}

#[test]
fn one_node_becomes_three_copies() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let fixture = fixtures::single_node()?;
    let mut cluster = Cluster::prepare(&couchdb, Size { nodes: 3, q: 2, n: 3 })?;
    restore(&backup(&fixture)?, &cluster, Some(3))?;
    start_and_check(&mut cluster, &fixtures::oracle("single-node")?)
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

/// The checks of this file see what they are to see: a shard that CouchDB had to create, an index that it had to build.
#[test]
fn what_a_restore_leaves_out_is_noticed() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let fixture = fixtures::single_node()?;
    let mut cluster = Cluster::prepare(&couchdb, Size { nodes: 2, q: 2, n: 3 })?;
    restore(&backup(&fixture)?, &cluster, Some(2))?;
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
