//! What a loaded CouchDB tells.

use std::path::{Path, PathBuf};

use couchcopy_tests::compare::compare;
use couchcopy_tests::lab::{Installation, Load, check_indexes, check_login, couchcopy, read_over_http};
use couchcopy_tests::{Result, fixtures};

use super::archives::{LAB_ADMIN, four_nodes, of_python, single_node};

fn check(make: fn(&Path) -> Result<PathBuf>, oracle: &str) -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let archive = make(dir.path())?;
    check_archive(&couchdb, dir.path(), &archive, oracle)?;
    let unbranded = dir.path().join("unbranded.tar.gz");
    couchcopy(&["unbrand".as_ref(), archive.as_os_str(), unbranded.as_os_str()])?.success()?;
    check_archive(&couchdb, dir.path(), &unbranded, oracle)
}

fn check_archive(couchdb: &Installation, dir: &Path, archive: &Path, oracle: &str) -> Result<()> {
    let mut load = Load::start(couchdb, dir, archive, &LAB_ADMIN)?;
    let told = load.wait_until_up()?;
    let expected = fixtures::oracle(oracle)?;
    assert_eq!(told.json["databases"], expected.as_object().map_or(0, serde_json::Map::len));
    let http = told.http();
    assert_eq!(compare(&expected, &read_over_http(&http)?), [""; 0]);
    check_indexes(&http)?;
    check_login(&http)?;
    // It is one node that nobody else knows, and whole by itself.
    let node = &told.json["node"];
    let members = http.get("/_membership")?;
    assert_eq!(members, serde_json::json!({"all_nodes": [node], "cluster_nodes": [node]}));
    Ok(())
}

#[test]
fn of_one_node() -> Result<()> {
    check(single_node, "single-node")
}

#[test]
fn of_four_nodes() -> Result<()> {
    check(four_nodes, "four-nodes-n2")
}

#[test]
fn of_the_python_couchcopy() -> Result<()> {
    check(of_python, "single-node")
}
