//! A real CouchDB on what was recovered.

use std::path::Path;

use couchcopy_tests::lab::{self, Cluster, Installation, Size, couchcopy};
use couchcopy_tests::{Result, content, fixtures};

use super::nodes::{damage_shards, same_documents};

#[test]
fn couchdb_opens_the_new_files_and_gives_every_document() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let damaged = fixtures::single_node()?;
    let node = &damaged.nodes[0];
    damage_shards(&node.data, 7)?;
    let to = damaged.dir().join("rescued");
    let (data, to_text) = (node.data.display().to_string(), to.display().to_string());
    let ended = couchcopy(&["salvage", &data, "--to", &to_text])?;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let recovered = content::read_cluster(&[&to.join("data")])?;
    let (right, _) = same_documents(&recovered, &fixtures::oracle("single-node")?);
    assert!(right > 100, "{right}");

    let archive = damaged.dir().join("rescued.tar.gz");
    let folder = fixtures::Node { name: node.name.clone(), data: to.join("data") };
    lab::back_up(&[folder], &archive)?;
    lab::verify(&archive)?.success()?;
    let mut cluster = Cluster::prepare(&couchdb, Size { nodes: 1, q: 2, n: 1 })?;
    restore(&archive, &cluster)?;
    cluster.start()?;
    let said = lab::read_over_http(cluster.http())?;
    let (same, differ) = same_documents(&said, &recovered);
    assert!(differ.is_empty(), "{differ:?}");
    assert!(same >= right, "{same} of {right}");
    Ok(())
}

fn restore(archive: &Path, cluster: &Cluster) -> Result<()> {
    let node = &cluster.nodes[0];
    let target = format!("{},{}", node.data.display(), node.name);
    couchcopy(&["restore", "--offline", &archive.display().to_string(), &target])?.success()?;
    Ok(())
}
