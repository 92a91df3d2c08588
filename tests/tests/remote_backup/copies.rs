//! Of several copies on other machines, the one that is not behind.

use std::fs;
use std::path::Path;

use couchcopy_tests::content::read_cluster;
use couchcopy_tests::far::Far;
use couchcopy_tests::fixtures::{self, files_ending};
use couchcopy_tests::lab::{Cluster, Installation, Size, couchcopy, verify};
use couchcopy_tests::manifest::manifest;
use couchcopy_tests::{Result, lab, random};
use serde_json::{Value, json};

/// Which node each shard was read from.
fn holders(archive: &Path) -> Result<Vec<(String, String)>> {
    Ok(manifest(archive)?
        .into_values()
        .filter(|entry| entry["kind"] == "shard")
        .map(|entry| (entry["name"].to_string(), entry["node"].to_string()))
        .collect())
}

#[test]
fn damaged_copies_are_taken_from_elsewhere() -> Result<()> {
    let Some(far) = Far::start()? else { return Ok(()) };
    let four = fixtures::four_nodes()?;
    let first = &four.nodes[0].data;
    for (i, path) in files_ending(first, "couch")?.iter().enumerate() {
        if path.starts_with("shards/") {
            match i % 3 {
                0 => fs::remove_file(first.join(path))?,
                1 => fs::write(first.join(path), b"damaged")?,
                _ => {}
            }
        }
    }
    let nodes: Vec<String> = four.folders().iter().map(|folder| far.node(folder)).collect();
    let archive = far.path("copies.tar.gz");
    far.backup(&nodes, &archive, &[])?.success()?;
    verify(&archive)?.success()?;
    Ok(())
}

#[test]
fn near_and_far_copies_are_chosen_as_near_ones_are() -> Result<()> {
    let Some(far) = Far::start()? else { return Ok(()) };
    let four = fixtures::four_nodes()?;
    let near: Vec<String> =
        four.folders().iter().map(|folder| format!("localhost,{}", folder.display())).collect();
    let archives = ["near", "far"].map(|name| far.path(&format!("{name}.tar.gz")));
    let mut arguments = vec!["backup".to_owned()];
    arguments.extend(near);
    arguments.push(archives[0].display().to_string());
    couchcopy(&arguments)?.success()?;
    let nodes: Vec<String> = four.folders().iter().map(|folder| far.node(folder)).collect();
    let ended = far.backup(&nodes, &archives[1], &[])?;
    assert!(!ended.stderr.contains("nothing shows"), "{ended:?}");
    assert_eq!(holders(&archives[0])?, holders(&archives[1])?);
    Ok(())
}

/// Documents, spread over some ranges.
const DOCUMENTS: usize = 60;

/// While one node is away all documents are changed: both have as many, in one they are old. Some databases are too large to be
/// fetched for a comparison.
fn check(away: usize, busybox: bool) -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let Some(far) = Far::start()? else { return Ok(()) };
    if busybox && !far.with_busybox()? {
        return Ok(());
    }
    let mut source = Cluster::fresh(&couchdb, Size { nodes: 2, q: 4, n: 2 })?;
    let mut written = Vec::new();
    for (db, size) in [("small", 10), ("large", 9000)] {
        source.http().put(&format!("/{db}"), &Value::Null)?;
        let docs: Vec<Value> = (0..DOCUMENTS)
            .map(|i| json!({"_id": i.to_string(), "v": 1, "text": random::text(i as u64, size)}))
            .collect();
        written.push((db, source.http().post(&format!("/{db}/_bulk_docs"), &json!({"docs": docs}))?));
    }
    source.wait_until_settled(|_| Ok(()))?;
    source.nodes[away].stop()?;
    for (db, rows) in &written {
        let again = |row: &Value| json!({"_id": row["id"], "_rev": row["rev"], "v": 2});
        let docs: Vec<Value> = rows.as_array().into_iter().flatten().map(again).collect();
        source.nodes[1 - away].http.post(&format!("/{db}/_bulk_docs"), &json!({"docs": docs}))?;
    }
    source.stop()?;
    let mut nodes: Vec<String> = source.folders().iter().map(|node| far.node(&node.data)).collect();
    for order in ["forth", "back"] {
        let archive = far.path(&format!("{order}.tar.gz"));
        far.backup(&nodes, &archive, &[])?.success()?;
        nodes.reverse();
        let target = far.path(&format!("{order}-target"));
        let ended = lab::couchcopy(&[
            "restore".to_owned(),
            "--offline".to_owned(),
            archive.display().to_string(),
            format!("{},couchdb@127.0.0.1", target.display()),
        ])?;
        ended.success()?;
        let content = read_cluster(&[&target])?;
        for (db, _) in &written {
            let docs = content[db]["docs"].as_object().ok_or("no documents")?;
            let behind = docs.values().filter(|leaves| leaves[0]["v"] != json!(2)).count();
            assert_eq!((docs.len(), behind), (DOCUMENTS, 0), "{db}, {order}");
        }
    }
    Ok(())
}

#[test]
fn the_first_node_was_away() -> Result<()> {
    check(0, false)
}

#[test]
fn the_second_node_was_away_and_has_busybox() -> Result<()> {
    check(1, true)
}
