//! All that a CouchDB's interface said of a fixture is said by `couchcopy serve` of an archive of it.

use std::path::{Path, PathBuf};

use couchcopy_tests::compare::compare;
use couchcopy_tests::lab::{couchcopy, read_over_http};
use couchcopy_tests::{Result, fixtures};

use crate::served::Served;

/// Serves an archive and compares everything that can be read.
fn check(archive: &Path, oracle: &str) -> Result<()> {
    let served = Served::start(&[archive], &[])?;
    let found = read_over_http(&served.http())?;
    let expected = fixtures::oracle(oracle)?;
    assert_eq!(compare(&expected, &found), Vec::<String>::new());
    Ok(())
}

/// Backs a fixture up.
pub(crate) fn backup(cluster: &fixtures::Cluster, to: &Path) -> Result<PathBuf> {
    let archive = to.join("backup.tar.gz");
    let mut arguments = vec!["backup".to_owned()];
    for node in &cluster.nodes {
        arguments.push(format!("localhost,{},{}", node.data.display(), node.name));
    }
    arguments.push(archive.display().to_string());
    couchcopy(&arguments)?.success()?;
    Ok(archive)
}

#[test]
fn of_a_node() -> Result<()> {
    let dir = tempfile::tempdir()?;
    check(&backup(&fixtures::single_node()?, dir.path())?, "single-node")
}

#[test]
fn of_a_cluster_with_two_copies() -> Result<()> {
    let dir = tempfile::tempdir()?;
    check(&backup(&fixtures::four_nodes()?, dir.path())?, "four-nodes-n2")
}

#[test]
fn of_an_archive_of_the_python_couchcopy() -> Result<()> {
    check(&fixtures::path("couchcopy-0.2.4.tar.gz"), "single-node")
}

#[test]
fn of_an_archive_of_tar() -> Result<()> {
    check(&fixtures::path("single-node.tar.gz"), "single-node")
}
