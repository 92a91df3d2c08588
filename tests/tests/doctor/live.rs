//! A real cluster of three nodes.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Cluster, Http, Installation, Size, encode, fill_zoo, query_zoo, wait_for};
use couchfile::data_dir::{DataFile, document_hash};
use couchfile::header::HeaderEdit;
use serde_json::{Value, json};

use super::common::{check, doctor, expected};
use super::plant;

/// Three nodes with three copies of everything.
const SIZE: Size = Size { nodes: 3, q: 2, n: 3 };
/// A node that is no member of the cluster.
const GHOST: &str = "ghost@127.0.0.9";

#[test]
fn nothing_is_found_on_a_healthy_cluster_nor_while_it_is_written_to() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let cluster = Cluster::fresh(&couchdb, SIZE)?;
    fill_zoo(cluster.http())?;
    cluster.wait_until_settled(query_zoo)?;
    for more in [&["--fail-on", "note"][..], &["--deep"]] {
        let ended = doctor(&cluster.folders(), more)?;
        check(&ended, &expected(&[])).map_err(|e| format!("{more:?}: {e}"))?;
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    cluster.http().put("/busy", &Value::Null)?;
    cluster.http().put("/busy/_revs_limit", &json!(5))?;
    wait_for("the limit to be in all files", || {
        // Files record a limit when something is written to them.
        write(cluster.http(), "busy", "first", 20)?;
        let told = super::common::told(&doctor(&cluster.folders(), &["--pause", "0"])?)?;
        Ok(told["counts"].get("limits-differ").is_none().then_some(()))
    })?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let works: [fn(&Http, u64) -> Result<()>; 3] = [write_and_edit, create_and_delete, compact_and_purge];
        for (work, node) in works.into_iter().zip(&cluster.nodes) {
            let stop = &stop;
            scope.spawn(move || {
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // What is refused because somebody else was faster does not matter.
                    let _ = work(&node.http, round);
                }
            });
        }
        let looked = [&[][..], &["--deep"], &[]].into_iter().try_for_each(|more| {
            let ended = doctor(&cluster.folders(), more)?;
            check(&ended, &expected(&[])).map_err(|e| format!("under writes, {more:?}: {e}"))?;
            if ended.code == Some(0) { Ok(()) } else { Err(format!("{ended:?}").into()) }
        });
        stop.store(true, Ordering::Relaxed);
        looked
    })
}

fn write(http: &Http, db: &str, prefix: &str, count: usize) -> Result<Value> {
    let docs: Vec<Value> = (0..count)
        .map(|i| json!({"_id": format!("{prefix}-{i:04}"), "text": format!("marker {i}")}))
        .collect();
    http.post(&format!("/{db}/_bulk_docs"), &json!({"docs": docs}))
}

fn write_and_edit(http: &Http, round: u64) -> Result<()> {
    write(http, "busy", &format!("w{round}"), 20)?;
    for _ in 0..20 {
        let rev = http.get("/busy/counter").map_or(Value::Null, |doc| doc["_rev"].clone());
        let doc = if rev.is_null() { json!({"n": 0}) } else { json!({"_rev": rev, "n": round}) };
        http.put("/busy/counter", &doc)?;
    }
    Ok(())
}

fn create_and_delete(http: &Http, round: u64) -> Result<()> {
    http.put(&format!("/temp{round}"), &Value::Null)?;
    write(http, &format!("temp{round}"), "t", 5)?;
    if let Some(old) = round.checked_sub(3) {
        http.ask("DELETE", &format!("/temp{old}"), None)?;
    }
    Ok(())
}

fn compact_and_purge(http: &Http, round: u64) -> Result<()> {
    let id = format!("p{round}");
    let rev = http.put(&format!("/busy/{id}"), &json!({"n": round}))?["rev"].clone();
    http.post("/busy/_purge", &json!({id: [rev]}))?;
    if round.is_multiple_of(10) {
        http.post("/busy/_compact", &json!({}))?;
    }
    query_zoo(http)
}

/// The path of a shard as CouchDB's node-local interface takes it.
fn local(path: &str) -> String {
    let name = path.trim_end_matches(".couch");
    format!("/_node/_local/{}", encode(name))
}

/// Changes the shard map of a database.
fn change_map(http: &Http, db: &str, change: impl Fn(&mut Value) -> Option<()>) -> Result<()> {
    let path = format!("/_node/_local/_dbs/{db}");
    let mut map = http.get(&path)?;
    change(&mut map).ok_or("the map has another form")?;
    http.put(&path, &map)?;
    Ok(())
}

fn remove(list: &mut Value, item: &str) -> Option<()> {
    list.as_array_mut()?.retain(|found| found != item);
    Some(())
}

/// The copies of a database's shards on all nodes.
fn copies(cluster: &Cluster, db: &str) -> Result<BTreeMap<std::path::PathBuf, Vec<u8>>> {
    let mut copies = BTreeMap::new();
    for node in &cluster.nodes {
        for path in plant::shards_of(&node.data, db)? {
            let path = node.data.join(path);
            copies.insert(path.clone(), fs::read(path)?);
        }
    }
    Ok(copies)
}

#[test]
fn twenty_planted_faults_are_found_and_nothing_else() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let mut cluster = Cluster::fresh(&couchdb, SIZE)?;
    let third = cluster.nodes[2].name.clone();
    let first_range = "00000000-7fffffff";
    let http = || &cluster.nodes[0].http;
    for db in [
        "ahead",
        "behind",
        "body",
        "compacting",
        "conflict",
        "extra",
        "fewer",
        "gap",
        "ghost",
        "indexed",
        "limited",
        "misplaced",
        "missing",
        "props",
        "purged",
        "removed",
        "secured",
        "twins",
        "zeroed",
    ] {
        http().put(&format!("/{db}{}", if db == "extra" { "?q=1&n=1" } else { "" }), &Value::Null)?;
        write(http(), db, "d", 30)?;
    }
    let map = r#"fun({Doc}) -> Emit(proplists:get_value(<<"text">>, Doc), null) end."#;
    for db in ["ahead", "indexed"] {
        let views = json!({"language": "erlang", "views": {"texts": {"map": map}}});
        http().put(&format!("/{db}/_design/d"), &views)?;
        http().get(&format!("/{db}/_design/d/_view/texts"))?;
    }
    // A document in the wrong shard: written into it directly.
    let shards = plant::shards_of(&cluster.nodes[0].data, "misplaced")?;
    let Some(DataFile::Shard(shard)) = DataFile::parse(&shards[0]) else { return Err("no shard".into()) };
    let strange = (0..).map(|i| format!("strange{i}"));
    let strange = strange.into_iter().find(|id| !shard.range.contains(document_hash(id.as_bytes(), false)));
    let strange = strange.ok_or("every document belongs there")?;
    http().put(&format!("{}/{strange}", local(&shards[0])), &json!({}))?;
    cluster.wait_until_synchronised()?;
    let older = copies(&cluster, "ahead")?;
    write(http(), "ahead", "more", 30)?;
    http().get("/ahead/_design/d/_view/texts")?;
    let removed = copies(&cluster, "removed")?;
    http().ask("DELETE", "/removed", None)?;
    // Shard maps that are wrong.
    change_map(http(), "ghost", |map| {
        let ranges = map["by_range"].as_object_mut()?;
        for nodes in ranges.values_mut() {
            nodes.as_array_mut()?.push(GHOST.into());
        }
        map["by_node"][GHOST] = ranges.keys().cloned().collect::<Vec<_>>().into();
        Some(())
    })?;
    change_map(http(), "fewer", |map| {
        remove(&mut map["by_range"][first_range], &third)?;
        remove(&mut map["by_node"][&third], first_range)
    })?;
    change_map(http(), "gap", |map| {
        map["by_range"].as_object_mut()?.remove(first_range)?;
        map["by_node"].as_object_mut()?.values_mut().try_for_each(|ranges| remove(ranges, first_range))
    })?;
    change_map(http(), "props", |map| {
        map["props"] = json!({"partitioned": true, "hash": ["couch_partition", "hash", []]});
        Some(())
    })?;
    let mut losing = http().get("/_node/_local/_dbs/conflict")?;
    losing["_rev"] = format!("1-{}", "0".repeat(32)).into();
    losing["shard_suffix"] = ".1600000000".into();
    http().post("/_node/_local/_dbs/_bulk_docs", &json!({"docs": [losing], "new_edits": false}))?;
    std::thread::sleep(Duration::from_secs(8));
    cluster.wait_until_synchronised()?;
    // The third node misses a purge, documents and a database.
    cluster.nodes[2].stop()?;
    let written = write(&cluster.nodes[0].http, "purged", "p", 5)?;
    let rows = written.as_array().ok_or("no rows")?;
    let purges: serde_json::Map<String, Value> =
        rows.iter().filter_map(|row| Some((row["id"].as_str()?.to_owned(), json!([row["rev"]])))).collect();
    cluster.nodes[0].http.post("/purged/_purge", &purges.into())?;
    write(&cluster.nodes[0].http, "behind", "b", 12)?;
    cluster.nodes[0].http.put("/late", &Value::Null)?;
    wait_for("the second node to hear of a database", || {
        Ok(cluster.nodes[1].http.ask("GET", "/_node/_local/_dbs/late", None)?.is_success().then_some(()))
    })?;
    cluster.stop()?;

    let data: Vec<_> = cluster.nodes.iter().map(|node| node.data.clone()).collect();
    plant::zero(&plant::shard(&data[0], "zeroed")?)?;
    plant::damage_body(&plant::shard(&data[1], "body")?, b"marker")?;
    fs::remove_file(plant::shard(&data[2], "missing")?)?;
    let holder = data.iter().find(|data| plant::shards_of(data, "extra").is_ok()).ok_or("nobody holds it")?;
    let extra = &plant::shards_of(holder, "extra")?[0];
    let other = data.iter().find(|data| !data.join(extra).exists()).ok_or("all hold it")?;
    plant::put(other, extra, &fs::read(holder.join(extra))?)?;
    let left = plant::shard(&data[0], "compacting")?.with_extension("couch.compact.data");
    fs::write(&left, [7; 5000])?;
    plant::age(&left, Duration::from_secs(7200))?;
    let (path, content) = removed.first_key_value().ok_or("no copies")?;
    plant::put(&data[0], path.strip_prefix(&data[0])?.to_str().ok_or("no text")?, content)?;
    plant::put(&data[0], "shards/00000000-ffffffff/never.1700000000.couch", &plant::new_shard(3)?)?;
    let security = Some(json!({"members": {"names": ["eve"]}}));
    plant::edit_header(
        &plant::shard(&data[1], "secured")?,
        HeaderEdit { security, ..HeaderEdit::default() },
    )?;
    let revs_limit = Some(77);
    plant::edit_header(
        &plant::shard(&data[1], "limited")?,
        HeaderEdit { revs_limit, ..HeaderEdit::default() },
    )?;
    let uuid = Some(plant::uuid(&plant::shard(&data[0], "twins")?)?);
    plant::edit_header(&plant::shard(&data[1], "twins")?, HeaderEdit { uuid, ..HeaderEdit::default() })?;
    let index = |db: &str| data.iter().find_map(|data| Some((data, plant::index(data, db).ok()?)));
    plant::zero(&index("indexed").ok_or("no index")?.1)?;
    let (node, index) = index("ahead").ok_or("no index")?;
    let path = index.strip_prefix(node)?.to_str().ok_or("no text")?;
    let Some(DataFile::View { shard, .. }) = DataFile::parse(path) else { return Err("no index".into()) };
    let shard = node.join(shard.path());
    fs::write(&shard, older.get(&shard).ok_or("no older state")?)?;

    let planted = [
        ("compaction-left", "compacting"),
        ("damaged-copy", "body"),
        ("damaged-copy", "zeroed"),
        ("deleted-database", "removed"),
        ("documents-differ", "ahead"),
        ("documents-differ", "behind"),
        // Internal replication does not send what does not belong there.
        ("documents-differ", "misplaced"),
        ("extra-copy", "extra"),
        ("extra-copy", "fewer"),
        ("extra-copy", "gap"),
        ("index-ahead", "ahead"),
        ("index-damaged", "indexed"),
        ("limits-differ", "limited"),
        ("map-conflict", "conflict"),
        ("map-gap", "gap"),
        ("maps-differ", "late"),
        ("misplaced-documents", "misplaced"),
        ("missing-copy", "late"),
        ("missing-copy", "missing"),
        ("properties-differ", "props"),
        ("purges-differ", "purged"),
        ("security-differs", "secured"),
        ("shared-uuid", "twins"),
        ("too-few-copies", "fewer"),
        ("unknown-node", GHOST),
        ("unknown-shards", "never"),
    ];
    let ended = doctor(&cluster.folders(), &["--pause", "0", "--deep"])?;
    check(&ended, &expected(&planted))?;
    assert_eq!(ended.code, Some(3));
    // Without a complete check, what only it can find is not found.
    let quick: Vec<_> = planted
        .into_iter()
        .filter(|(kind, db)| *kind != "misplaced-documents" && (*kind, *db) != ("damaged-copy", "body"))
        .collect();
    check(&doctor(&cluster.folders(), &["--pause", "0"])?, &expected(&quick))
}
