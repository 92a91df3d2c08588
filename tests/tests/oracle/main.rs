//! What `couchfile` reads from real data folders, against what CouchDB's HTTP interface said of them.

mod edits;
mod expected;
mod maps;
mod revisions;
mod special;
mod views;
mod whole;

use couchcopy_tests::compare::compare;
use couchcopy_tests::content::read_cluster;
use couchcopy_tests::copies::read_every_copy;
use couchcopy_tests::{Result, fixtures};

#[test]
fn single_node_is_read_as_http_tells_it() -> Result<()> {
    let cluster = fixtures::single_node()?;
    let read = read_cluster(&cluster.folders())?;
    assert_eq!(compare(&fixtures::oracle("single-node")?, &read), [""; 0]);
    Ok(())
}

#[test]
fn four_nodes_are_read_as_http_tells_it() -> Result<()> {
    let cluster = fixtures::four_nodes()?;
    let read = read_cluster(&cluster.folders())?;
    assert_eq!(compare(&fixtures::oracle("four-nodes-n2")?, &read), [""; 0]);
    Ok(())
}

#[test]
fn every_copy_on_four_nodes_is_the_same() -> Result<()> {
    let cluster = fixtures::four_nodes()?;
    let read = read_every_copy(&cluster.nodes)?;
    assert_eq!(compare(&fixtures::oracle("four-nodes-n2")?, &read), [""; 0]);
    Ok(())
}

/// All data folders of the fixtures, with what they live in.
fn all_data_folders() -> Result<(Vec<std::path::PathBuf>, impl Sized)> {
    let (single, four, files) = (fixtures::single_node()?, fixtures::four_nodes()?, fixtures::couch_files()?);
    let nodes = single.nodes.iter().chain(&four.nodes).map(|node| node.data.clone());
    let folders = nodes.chain([files.data("pre"), files.data("post")]).collect();
    Ok((folders, (single, four, files)))
}
