//! A node is brought back.

use std::fs;

use couchcopy_tests::Result;
use couchcopy_tests::lab::encode;
use couchcopy_tests::live::Reach;
use serde_json::{Value, json};

use super::arena::{Arena, KILL, LOST};

fn a_lost_disk(reach: Reach) -> Result<()> {
    let Some(mut arena) = Arena::new(reach)? else { return Ok(()) };
    arena.lose()?;
    // The others run on.
    arena.site.http().put("/shop/while-it-was-gone", &json!({"by": "another node"}))?;
    let revision =
        arena.site.http().get("/shop/while-it-was-gone")?["_rev"].as_str().unwrap_or_default().to_owned();
    let archive = arena.archive.display().to_string();
    let told =
        arena.couchcopy(&["restore", "--dry-run", "--node", arena.name(), &archive], &[])?.success()?;
    for text in ["run on, and are not changed", "does not answer", "not in the archive"] {
        assert!(told.contains(text), "{text}: {told}");
    }
    let told = arena
        .couchcopy(&["restore", "--dry-run", "--json", "--node", arena.name(), &archive], &[])?
        .success()?;
    let plan: Value = serde_json::from_str(&told)?;
    assert!(plan["shards"].as_u64() > Some(5) && plan["from_others"].as_u64() >= Some(4), "{plan:#}");
    // Killed before anything is in place, it is rolled back: CouchDB is not started on nothing.
    let ended = arena.bring_back(&[], &[(KILL, "5")])?;
    assert_eq!(ended.code, None, "{ended:#?}");
    arena.couchcopy(&["restore", "-y", "-v", "--roll-back"], &[])?.success()?;
    assert_eq!(arena.site.situations()?, ["untouched"; 3]);
    assert_eq!(fs::read_dir(&arena.site.nodes[LOST].data)?.count(), 0);
    let told = arena.bring_back(&[], &[])?.success()?;
    assert!(told.contains("is back, and all nodes agree"), "{told}");
    arena.site.http().delete(&format!("/shop/while-it-was-gone?rev={revision}"))?;
    let deleted = arena.site.nodes[LOST].http.ask("GET", "/shop/while-it-was-gone", None)?;
    assert_eq!(deleted.status, 404);
    arena.expect_now()?;
    arena.check()
}

#[test]
fn a_node_whose_disk_is_lost_comes_back_here() -> Result<()> {
    a_lost_disk(Reach::Here)
}

#[test]
fn a_node_whose_disk_is_lost_comes_back_on_another_machine() -> Result<()> {
    a_lost_disk(Reach::Ssh)
}

/// A node that runs, with damaged data, is stopped for the exchange; its old data comes back on request.
#[test]
fn a_running_node_is_replaced_and_brought_back() -> Result<()> {
    let Some(mut arena) = Arena::new(Reach::Here)? else { return Ok(()) };
    arena.bring_back(&["--keep-old"], &[])?.success()?;
    assert_eq!(arena.site.situations()?, ["untouched", "done", "untouched"]);
    let inode = || -> Result<Vec<String>> {
        let mut found: Vec<String> = fs::read_dir(arena.site.nodes[LOST].data.join(".couchcopy/old"))?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_>>()?;
        found.sort();
        Ok(found)
    };
    assert!(inode()?.contains(&"shards".to_owned()));
    arena.couchcopy(&["restore", "-y", "-v", "--roll-back"], &[])?.success()?;
    arena.check()?;
    arena.bring_back(&[], &[])?.success()?;
    arena.check()
}

/// Databases that change after the backup.
const CHANGED: usize = 40;

/// CouchDB does not count work that waits: `--wait replication` looks at the copies themselves.
#[test]
fn what_was_written_since_is_waited_for() -> Result<()> {
    let Some(mut arena) = Arena::new(Reach::Here)? else { return Ok(()) };
    // One job after the other.
    for (i, node) in arena.site.nodes.iter().enumerate() {
        node.add_settings("[mem3]\nsync_concurrency = 1\n")?;
        arena.site.control(i, "stop")?.success()?;
    }
    arena.site.start_nodes()?;
    let names: Vec<String> = (0..CHANGED).map(|i| format!("changed{i}")).collect();
    let write = |name: &str, docs: Vec<Value>| -> Result<Value> {
        arena.site.http().post(&format!("/{name}/_bulk_docs"), &json!({"docs": docs}))
    };
    let mut written = Vec::new();
    for name in &names {
        arena.site.http().put(&format!("/{name}?q=4&n=3"), &Value::Null)?;
        written.push(write(name, (0..10).map(|i| json!({"_id": i.to_string(), "v": 1})).collect())?);
    }
    arena.site.wait_until_settled(|_| Ok(()))?;
    let archive = arena.site.path("later.tar.gz");
    arena.site.back_up(&archive)?;
    for (name, rows) in names.iter().zip(&written) {
        let again = |row: &Value| json!({"_id": row["id"], "_rev": row["rev"], "v": 2});
        write(name, rows.as_array().into_iter().flatten().map(again).collect())?;
    }
    arena.archive = archive;
    let told = arena.bring_back(&["--wait", "replication"], &[])?.success()?;
    // At once: what the node itself has.
    let mut seen = Vec::new();
    for name in &names {
        let mut versions = Vec::new();
        for (shard, _) in arena.shards(name)? {
            let path = format!("/_node/_local/{}/_all_docs?include_docs=true", encode(&shard));
            let rows = arena.site.nodes[LOST].http.get(&path)?["rows"].clone();
            versions.extend(rows.as_array().into_iter().flatten().map(|row| row["doc"]["v"].clone()));
        }
        seen.push(versions);
    }
    assert!(told.contains("is back, and all nodes agree"), "{told}");
    assert_eq!(seen, vec![vec![json!(2); 10]; CHANGED]);
    Ok(())
}
