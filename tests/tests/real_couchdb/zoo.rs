//! A running cluster with one of every kind of thing, saved and restored to other nodes.

use couchcopy_tests::Result;
use couchcopy_tests::compare::compare;
use couchcopy_tests::content::read_cluster;
use couchcopy_tests::copies::read_every_copy;
use couchcopy_tests::lab::{Cluster, Installation, Size, fill_zoo, query_zoo, read_over_http};

use super::started::{backup, restore, start_and_check};

/// Three running nodes become two others.
fn check(n: u32) -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let source = Cluster::fresh(&couchdb, Size { nodes: 3, q: 2, n })?;
    fill_zoo(source.http())?;
    source.wait_until_settled(query_zoo)?;
    let expected = read_over_http(source.http())?;
    // Databases of CouchDB's own besides the sixteen of the zoo would be a surprise.
    assert_eq!(expected.as_object().map(serde_json::Map::len), Some(16));
    let archive = source.dir().join("backup.tar.gz");
    backup(&source.folders(), &archive)?;
    let after = read_over_http(source.http())?;
    assert_eq!(compare(&expected, &after), [""; 0], "nobody wrote");
    drop_nodes(source, |archive| {
        let mut target = Cluster::prepare(&couchdb, Size { nodes: 2, q: 2, n: 2 })?;
        restore(archive, &target, None)?;
        let folders = target.folders();
        let data: Vec<_> = folders.iter().map(|node| node.data.as_path()).collect();
        assert_eq!(compare(&expected, &read_cluster(&data)?), [""; 0]);
        assert_eq!(compare(&expected, &read_every_copy(&folders)?), [""; 0]);
        start_and_check(&mut target, &expected)
    })
}

/// Stops the nodes, so that they take no more processor time; their files stay until `then` is done.
fn drop_nodes(mut source: Cluster, then: impl FnOnce(&std::path::Path) -> Result<()>) -> Result<()> {
    source.nodes.clear();
    then(&source.dir().join("backup.tar.gz"))
}

#[test]
fn three_copies_on_three_nodes() -> Result<()> {
    check(3)
}

#[test]
fn two_copies_on_three_nodes() -> Result<()> {
    check(2)
}
