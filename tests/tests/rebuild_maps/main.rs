//! Shard maps that are made of shards alone, by a backup and by a restore.
//!
//! The CouchDB in `COUCHDB_HOME` (or `/opt/couchdb`) is used; without one the test that needs it says that it is skipped.

use std::fs::{self, File};
use std::path::Path;

use couchcopy_tests::compare::compare;
use couchcopy_tests::fixtures::{self, Node};
use couchcopy_tests::lab::{
    Cluster, Ended, Installation, Size, couchcopy, fill_zoo, query_zoo, read_over_http,
};
use couchcopy_tests::{Result, content, copies};
use couchfile::writer::{DatabaseWriter, Settings};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

/// Removes the shard maps of nodes.
fn lose_maps(nodes: &[Node]) -> Result<()> {
    nodes.iter().try_for_each(|node| Ok(fs::remove_file(node.data.join("_dbs.couch"))?))
}

fn back_up(nodes: &[Node], archive: &Path, more: &[&str]) -> Result<Ended> {
    let mut arguments = vec!["backup".to_owned(), "--json".to_owned(), "--overwrite".to_owned()];
    arguments.extend(more.iter().map(|&word| word.to_owned()));
    arguments.extend(nodes.iter().map(|node| format!("localhost,{}", node.data.display())));
    arguments.push(archive.display().to_string());
    Ok(couchcopy(&arguments)?.unwrapped())
}

/// Restores an archive into new directories of these nodes.
fn restore(archive: &Path, nodes: &[Node], more: &[&str]) -> Result<Ended> {
    let mut arguments = vec!["restore".to_owned(), "--offline".to_owned()];
    arguments.extend(more.iter().map(|&word| word.to_owned()));
    arguments.push(archive.display().to_string());
    arguments.extend(nodes.iter().map(|node| format!("{},{}", node.data.display(), node.name)));
    Ok(couchcopy(&arguments)?.unwrapped())
}

/// New directories below `dir` for these nodes.
fn targets(dir: &Path, names: &[&str]) -> Vec<Node> {
    names.iter().map(|name| Node { name: (*name).to_owned(), data: dir.join(name) }).collect()
}

fn check_same(expected: &Value, found: &Value) -> Result<()> {
    let differences = compare(expected, found);
    if differences.is_empty() { Ok(()) } else { Err(differences.join("; ").into()) }
}

#[test]
fn a_cluster_without_shard_maps_is_saved_and_restored() -> Result<()> {
    let four = fixtures::four_nodes()?;
    let expected = content::read_cluster(&four.folders())?;
    lose_maps(&four.nodes)?;
    let archive = four.dir().join("a.tar.gz");
    let refused = back_up(&four.nodes, &archive, &[])?;
    assert_eq!(refused.code, Some(6), "{refused:?}");
    assert!(refused.stdout.contains("CC-B01") && refused.stdout.contains("--rebuild-maps"), "{refused:?}");
    let ended = back_up(&four.nodes, &archive, &["--rebuild-maps"])?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("were rebuilt") && ended.stderr.contains("--map-copies"), "{ended:?}");
    let told: Value = serde_json::from_str(&ended.stdout)?;
    let databases = expected.as_object().map_or(0, serde_json::Map::len);
    assert_eq!(told["rebuilt_maps"].as_array().map(Vec::len), Some(databases), "{told}");
    couchcopy(&["verify".as_ref(), archive.as_os_str()])?.success()?;
    let nodes = targets(four.dir(), &["couchdb@10.0.0.1", "couchdb@10.0.0.2", "couchdb@10.0.0.3"]);
    restore(&archive, &nodes, &[])?.success()?;
    // As many copies as there were, partitioned databases are partitioned, and the content is the same.
    let maps = content::agreed_maps(&nodes.iter().map(|node| node.data.as_path()).collect::<Vec<_>>())?;
    assert!(maps.values().all(|map| map.copies() <= 2) && maps.values().any(|map| map.copies() == 2));
    assert!(maps["parts"].is_partitioned() && !maps["plain"].is_partitioned());
    check_same(&fixtures::oracle("four-nodes-n2")?, &copies::read_every_copy(&nodes)?)?;
    check_same(&expected, &copies::read_every_copy(&nodes)?)
}

#[test]
fn what_nothing_records_can_be_given() -> Result<()> {
    let four = fixtures::four_nodes()?;
    lose_maps(&four.nodes)?;
    let archive = four.dir().join("a.tar.gz");
    let ended = back_up(&four.nodes, &archive, &["--rebuild-maps", "--map-copies", "3"])?;
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.stdout.contains("CC-B14"), "{ended:?}");
    let known = ["--rebuild-maps", "--map-copies", "3", "--map-node", "a@h", "--map-node", "b@h"];
    let ended = back_up(&four.nodes, &archive, &known)?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let nodes = targets(four.dir(), &["n@1", "n@2", "n@3", "n@4"]);
    restore(&archive, &nodes, &[])?.success()?;
    let maps = content::agreed_maps(&nodes.iter().map(|node| node.data.as_path()).collect::<Vec<_>>())?;
    assert!(maps.values().all(|map| map.copies() == 3));
    Ok(())
}

#[test]
fn nodes_that_do_not_hold_everything_are_said() -> Result<()> {
    let four = fixtures::four_nodes()?;
    lose_maps(&four.nodes)?;
    let archive = four.dir().join("a.tar.gz");
    // One of four nodes holds no database completely, two hold some.
    let ended = back_up(&four.nodes[..1], &archive, &["--rebuild-maps"])?;
    assert!(ended.code == Some(6) && ended.stderr.contains("do not hold all ranges"), "{ended:?}");
    let ended = back_up(&four.nodes[..2], &archive, &["--rebuild-maps"])?;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains("do not hold all ranges"), "{ended:?}");
    let told: Value = serde_json::from_str(&ended.stdout)?;
    assert!(told["left_out"].as_array().into_iter().flatten().any(|left| left["kind"] == "unknown-shards"));
    Ok(())
}

/// As after CouchDB has started without its shard maps: the file is new and names what was made since.
#[test]
fn maps_that_name_some_databases_get_the_others() -> Result<()> {
    let single = fixtures::single_node()?;
    let node = &single.nodes[0];
    let expected = content::read_cluster(&single.folders())?;
    let empty = DatabaseWriter::new(Vec::new(), Settings::new("f".repeat(32), &node.name))?.finish()?;
    fs::write(node.data.join("_dbs.couch"), empty)?;
    let archive = single.dir().join("a.tar.gz");
    let refused = back_up(&single.nodes, &archive, &[])?;
    assert!(refused.stdout.contains("CC-B06") && refused.stdout.contains("--rebuild-maps"), "{refused:?}");
    let ended = back_up(&single.nodes, &archive, &["--rebuild-maps"])?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let nodes = targets(single.dir(), &["n@1"]);
    restore(&archive, &nodes, &[])?.success()?;
    check_same(&expected, &copies::read_every_copy(&nodes)?)?;
    // Of a backup with all maps, nothing is rebuilt.
    let ended = back_up(&nodes, &archive, &["--rebuild-maps"])?;
    let told: Value = serde_json::from_str(&ended.stdout)?;
    assert_eq!((ended.code, told.get("rebuilt_maps")), (Some(0), None));
    Ok(())
}

#[test]
fn a_packed_directory_without_shard_maps_is_restored() -> Result<()> {
    let single = fixtures::single_node()?;
    let node = &single.nodes[0];
    let expected = content::read_cluster(&single.folders())?;
    lose_maps(&single.nodes)?;
    let archive = single.dir().join("packed.tar.gz");
    let mut tar = tar::Builder::new(GzEncoder::new(File::create(&archive)?, Compression::fast()));
    tar.append_dir_all("data", &node.data)?;
    tar.into_inner()?.finish()?;
    let nodes = targets(single.dir(), &["n@1", "n@2"]);
    let refused = restore(&archive, &nodes, &[])?;
    assert_eq!(refused.code, Some(6), "{refused:?}");
    assert!(refused.stderr.contains("CC-C02") && refused.stderr.contains("--rebuild-maps"), "{refused:?}");
    let ended = restore(&archive, &nodes, &["--rebuild-maps", "--copies", "2"])?;
    assert!(ended.stderr.contains("were rebuilt"), "{ended:?}");
    ended.success()?;
    check_same(&expected, &copies::read_every_copy(&nodes)?)?;
    let maps = content::agreed_maps(&nodes.iter().map(|node| node.data.as_path()).collect::<Vec<_>>())?;
    assert!(maps["parts"].is_partitioned() && maps.values().all(|map| map.copies() == 2));
    Ok(())
}

#[test]
fn a_real_cluster_answers_the_same_after_its_maps_were_lost() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let size = Size { nodes: 3, q: 2, n: 3 };
    let mut source = Cluster::fresh(&couchdb, size)?;
    fill_zoo(source.http())?;
    source.wait_until_settled(query_zoo)?;
    let expected = read_over_http(source.http())?;
    source.stop()?;
    lose_maps(&source.folders())?;
    let archive = source.dir().join("a.tar.gz");
    let ended = back_up(&source.folders(), &archive, &["--rebuild-maps"])?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let mut target = Cluster::prepare(&couchdb, size)?;
    restore(&archive, &target.folders(), &[])?.success()?;
    target.start()?;
    for node in &target.nodes {
        check_same(&expected, &read_over_http(&node.http)?).map_err(|e| format!("{}: {e}", node.name))?;
    }
    Ok(())
}
