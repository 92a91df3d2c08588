//! Shard maps that are lost, and databases that only some nodes know.

use std::fs;

use couchcopy_tests::lab::{Cluster, Installation, Size, couchcopy};
use couchcopy_tests::{Result, fixtures};
use serde_json::{Value, json};

use super::common::{back_up, listed, told, write};

/// The things that were left out, by kind and name.
fn left_out(told: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = told["left_out"].as_array().into_iter().flatten();
    all.map(|left| (text(&left["kind"]), text(&left["name"]))).collect()
}

#[test]
fn empty_shard_maps_beside_shards_are_no_backup() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let mut source = Cluster::fresh(&couchdb, Size { nodes: 1, q: 2, n: 1 })?;
    source.http().put("/kept", &Value::Null)?;
    write(source.http(), "kept", "d", 40)?;
    source.stop()?;
    let maps = source.nodes[0].data.join("_dbs.couch");
    fs::write(&maps, b"")?;
    // As CouchDB does when it starts: the maps are empty then, and whole.
    source.nodes[0].start()?;
    source.nodes[0].wait_until_up()?;
    assert_eq!(source.http().get("/_all_dbs")?, json!([]));
    source.stop()?;

    let archive = source.dir().join("empty.tar.gz");
    let ended = back_up(&source, &archive, false, &[])?;
    assert_ne!(ended.code, Some(0));
    assert!(ended.stdout.contains("name no database") && ended.stdout.contains("kept"), "{ended:?}");
    assert!(ended.stdout.contains("--accept-empty-maps"), "{ended:?}");
    assert!(!archive.exists());

    let ended = back_up(&source, &archive, false, &["--accept-empty-maps"])?;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let told = told(&ended)?;
    assert!(left_out(&told).contains(&("unknown-shards".into(), "kept".into())), "{told}");
    let kept = told["left_out"].as_array().into_iter().flatten().find(|left| left["name"] == "kept");
    assert_eq!(
        kept.map(|kept| (&kept["documents"], &kept["files"])),
        Some((&json!(40), &json!(2))),
        "{told}"
    );
    Ok(())
}

/// Backs up the four nodes of the fixture after `change` to the first one.
fn with_changed(change: impl Fn(&fixtures::Node) -> Result<()>) -> Result<(Option<i32>, String, Value)> {
    let four = fixtures::four_nodes()?;
    change(&four.nodes[0])?;
    let archive = four.dir().join("four.tar.gz");
    let mut arguments = vec!["backup".to_owned(), "--json".to_owned()];
    arguments.extend(four.folders().iter().map(|folder| format!("localhost,{}", folder.display())));
    arguments.push(archive.display().to_string());
    let ended = couchcopy(&arguments)?.unwrapped();
    if archive.exists() {
        couchcopy(&["verify".as_ref(), archive.as_os_str()])?.success()?;
    }
    let told = serde_json::from_str(&ended.stdout).unwrap_or_default();
    Ok((ended.code, ended.stderr, told))
}

#[test]
fn a_node_without_shard_maps_is_tolerated_and_reported() -> Result<()> {
    let whole = with_changed(|_| Ok(()))?;
    assert_eq!(whole.0, Some(0), "{whole:?}");
    for damage in ["missing", "truncated"] {
        let (code, stderr, told) = with_changed(|node| {
            let maps = node.data.join("_dbs.couch");
            let done = if damage == "missing" { fs::remove_file(maps) } else { fs::write(maps, b"x") };
            Ok(done?)
        })?;
        assert_eq!(code, Some(3), "{damage}: {stderr}");
        assert_eq!(
            (&told["databases"], &told["shards"]),
            (&whole.2["databases"], &whole.2["shards"]),
            "{damage}"
        );
        let problem = &told["problems"][0];
        assert_eq!(problem["path"], "_dbs.couch", "{damage}: {told}");
        assert!(stderr.contains("_dbs.couch of"), "{damage}: {stderr}");
    }
    Ok(())
}

#[test]
fn a_folder_that_is_none_is_still_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let archive = folder.path().join("a.tar.gz");
    let node = format!("localhost,{}", folder.path().display());
    let ended = couchcopy(&["backup", &node, &archive.display().to_string()])?.unwrapped();
    assert!(ended.stderr.contains("is not the data directory of a CouchDB node"), "{ended:?}");
    Ok(())
}

#[test]
fn a_database_that_only_one_node_knows_is_saved() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let mut source = Cluster::fresh(&couchdb, Size { nodes: 2, q: 1, n: 2 })?;
    source.http().put("/shared", &Value::Null)?;
    write(source.http(), "shared", "d", 10)?;
    source.wait_until_settled(|_| Ok(()))?;
    // Each node is alone for a while, and hears of a database of its own; the first one of more than the second one.
    for (number, dbs) in [(0, &["mine", "more"][..]), (1, &["yours"][..])] {
        source.nodes[1 - number].stop()?;
        for db in dbs {
            source.nodes[number].http.put(&format!("/{db}"), &Value::Null)?;
            write(&source.nodes[number].http, db, "d", 20)?;
        }
        source.nodes[number].stop()?;
        if number == 0 {
            source.nodes[1].start()?;
            // Started alone, it does not see what the first one made.
            source.nodes[1].wait_until_up()?;
        }
    }
    for backwards in [false, true] {
        let archive = source.dir().join("union.tar.gz");
        let ended = back_up(&source, &archive, backwards, &[])?;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        for db in ["mine", "more", "yours"] {
            assert_eq!(listed(&archive, db)?, (20, 0), "{db}");
        }
        assert_eq!(listed(&archive, "shared")?, (10, 0));
        assert!(
            ended.stderr.contains("do not know the same databases") && ended.stderr.contains("yours"),
            "{ended:?}"
        );
        couchcopy(&["verify".as_ref(), archive.as_os_str()])?.success()?;
    }
    Ok(())
}
