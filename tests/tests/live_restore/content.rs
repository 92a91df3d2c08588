//! Everything arrives, whatever the sizes of the clusters.

use couchcopy_tests::lab::{Size, back_up, encode, query_zoo, read_over_http};
use couchcopy_tests::live::{Plan, Reach, Site};
use couchcopy_tests::{Result, fixtures};
use serde_json::{Value, json};

use super::examine::restore_and_examine;

fn plan(nodes: u8, reach: Reach) -> Plan {
    Plan { size: Size { nodes, q: 2, n: nodes.into() }, reach }
}

/// One node becomes three with three copies; these become one, and four with two copies.
#[test]
fn a_zoo_moves_from_one_node_to_three_to_one_and_to_four() -> Result<()> {
    let Some(three) = Site::start(plan(3, Reach::Ssh))? else { return Ok(()) };
    let saved = three.path("one.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &saved)?;
    three.http().put("/here-before", &Value::Null)?;
    restore_and_examine(&three, &saved, &["--n", "3"], &fixtures::oracle("single-node")?)?;

    let odd = format!("/{}", encode("a/b+c$(d)"));
    three.http().put(&format!("{odd}?q=3"), &Value::Null)?;
    three.http().put(&format!("{odd}/doc"), &json!({"odd": true}))?;
    three.wait_until_settled(query_zoo)?;
    let expected = read_over_http(three.http())?;
    assert_eq!(expected["a/b+c$(d)"]["docs"]["doc"][0]["odd"], true);
    let archive = tempfile::NamedTempFile::with_suffix(".tar.gz")?;
    std::fs::remove_file(archive.path())?;
    three.back_up(archive.path())?;
    drop(three);

    let Some(one) = Site::start(plan(1, Reach::Here))? else { return Ok(()) };
    restore_and_examine(&one, archive.path(), &[], &expected)?;
    drop(one);
    let Some(four) = Site::start(plan(4, Reach::Ssh))? else { return Ok(()) };
    restore_and_examine(&four, archive.path(), &["--n", "2", "--wait", "replication"], &expected)
}

/// Four nodes, none of which holds everything, become three.
#[test]
fn four_nodes_become_three() -> Result<()> {
    let Some(site) = Site::start(plan(3, Reach::Here))? else { return Ok(()) };
    let archive = site.path("four.tar.gz");
    back_up(&fixtures::four_nodes()?.nodes, &archive)?;
    restore_and_examine(&site, &archive, &[], &fixtures::oracle("four-nodes-n2")?)
}

/// The archive of the Python couchcopy, restored where nothing has ever been.
#[test]
fn an_archive_of_the_python_couchcopy_fills_an_empty_cluster() -> Result<()> {
    let Some(site) = Site::start(plan(2, Reach::Here))? else { return Ok(()) };
    let archive = fixtures::path("couchcopy-0.2.4.tar.gz");
    restore_and_examine(&site, &archive, &["--n", "2"], &fixtures::oracle("single-node")?)
}
