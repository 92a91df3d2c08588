//! Databases in the middle of shard splitting.

use std::fs;
use std::process::Command;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Cluster, Installation, Size, couchcopy, run};
use couchcopy_tests::live::{Plan, Reach, Site};
use serde_json::{Value, json};

use super::common::{back_up, dumped, listed, purge, restored, split, told, write};

const WHOLE: &str = "00000000-ffffffff";

fn cluster(nodes: u8, q: u32, n: u32) -> Result<Option<Cluster>> {
    let Some(couchdb) = Installation::find() else { return Ok(None) };
    Ok(Some(Cluster::fresh(&couchdb, Size { nodes, q, n })?))
}

/// 3000 documents, 50 of them purged, on two nodes, one of which has split its only range.
fn half_split() -> Result<Option<Cluster>> {
    let Some(source) = cluster(2, 1, 2)? else { return Ok(None) };
    source.http().put("/s?q=1&n=2", &Value::Null)?;
    let written = write(source.http(), "s", "d", 3000)?;
    purge(source.http(), "s", &written[..50])?;
    source.wait_until_settled(|_| Ok(()))?;
    let node = &source.nodes[0];
    split(&node.http, "s", &node.name, WHOLE)?;
    Ok(Some(source))
}

#[test]
fn a_range_that_was_split_on_one_node_only_counts_once() -> Result<()> {
    let Some(source) = half_split()? else { return Ok(()) };
    let archive = source.dir().join("split.tar.gz");
    let ended = back_up(&source, &archive, false, &[])?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(listed(&archive, "s")?, (2950, 0));
    assert_eq!(dumped(&archive, "s")?, 2950);
    let verified = couchcopy(&["verify".as_ref(), "--json".as_ref(), archive.as_os_str()])?;
    let verified: Value = serde_json::from_str(&verified.success()?)?;
    let info = couchcopy(&["info".as_ref(), "--json".as_ref(), archive.as_os_str()])?;
    let info: Value = serde_json::from_str(&info.success()?)?;
    assert_eq!(verified["documents"], info["documents"]);
    // What the map of one node names is enough: a closed ring.
    for node in &source.nodes {
        let alone = source.dir().join("alone.tar.gz");
        let folder = format!("localhost,{}", node.data.display());
        couchcopy(&["backup", "--overwrite", &folder, &alone.display().to_string()])?.success()?;
        assert_eq!(listed(&alone, "s")?, (2950, 0), "{}", node.name);
    }
    let couchdb = Installation::find().ok_or("no CouchDB")?;
    let mut target = Cluster::prepare(&couchdb, Size { nodes: 2, q: 2, n: 2 })?;
    restored(&archive, &mut target, |http| {
        let info = http.get("/s")?;
        assert_eq!((&info["doc_count"], &info["cluster"]["n"]), (&json!(2950), &json!(2)), "{info}");
        Ok(())
    })
}

#[test]
fn an_archive_with_both_is_restored_live_and_alone() -> Result<()> {
    let Some(mut source) = half_split()? else { return Ok(()) };
    source.stop()?;
    // As another tool makes it: all files of both nodes, with the map that names all of them.
    let both = source.dir().join("both");
    fs::create_dir(&both)?;
    for node in &source.nodes {
        let from = format!("{}/.", node.data.display());
        run(Command::new("cp").args(["-a", &from, &both.display().to_string()]))?.success()?;
    }
    let archive = source.dir().join("both.tar.gz");
    run(Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(&both).args(["_dbs.couch", "shards"]))?
        .success()?;
    assert_eq!(listed(&archive, "s")?, (2950, 0));
    assert_eq!(dumped(&archive, "s")?, 2950);
    couchcopy(&["verify".as_ref(), archive.as_os_str()])?.success()?;

    let Some(site) = Site::start(Plan { size: Size { nodes: 2, q: 2, n: 2 }, reach: Reach::Here })? else {
        return Ok(());
    };
    site.restore(&archive, &[])?.success()?;
    for node in &site.nodes {
        assert_eq!(node.http.get("/s")?["doc_count"], json!(2950));
    }
    Ok(())
}

#[test]
fn q_that_is_no_power_of_two_split_further_under_writes() -> Result<()> {
    let Some(source) = cluster(2, 5, 2)? else { return Ok(()) };
    let http = source.http();
    let mut expected = 0;
    for q in [3, 5, 9] {
        let db = format!("q{q}");
        http.put(&format!("/{db}?q={q}&n=2"), &Value::Null)?;
        write(http, &db, "before", 500)?;
    }
    expected += 500;
    for q in [3_u32, 5, 9] {
        let db = format!("q{q}");
        let step = u32::MAX / q;
        let ranges = http.get(&format!("/{db}/_shards"))?;
        let first =
            ranges["shards"].as_object().and_then(|all| all.keys().next().cloned()).ok_or("no range")?;
        assert!(step > 0);
        split(http, &db, &source.nodes[0].name, &first)?;
        write(http, &db, "after", 100)?;
    }
    expected += 100;
    source.wait_until_settled(|_| Ok(())).or_else(|_| source.wait_until_synchronised())?;
    for backwards in [false, true] {
        let archive = source.dir().join("q.tar.gz");
        let ended = back_up(&source, &archive, backwards, &[])?;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        for q in [3, 5, 9] {
            assert_eq!(listed(&archive, &format!("q{q}"))?, (expected, 0), "q {q}: {}", told(&ended)?);
        }
        couchcopy(&["verify".as_ref(), archive.as_os_str()])?.success()?;
    }
    Ok(())
}

#[test]
fn shards_that_are_split_while_a_backup_runs_are_saved() -> Result<()> {
    let Some(source) = cluster(1, 1, 1)? else { return Ok(()) };
    let http = source.http();
    let names: Vec<String> = (0..12).map(|i| format!("db{i:02}")).collect();
    for name in &names {
        http.put(&format!("/{name}?q=2&n=1"), &Value::Null)?;
        write(http, name, "d", 200)?;
    }
    let archive = source.dir().join("moving.tar.gz");
    let done = std::sync::atomic::AtomicBool::new(false);
    let ended = std::thread::scope(|scope| -> Result<Vec<(Option<i32>, u64)>> {
        scope.spawn(|| {
            for name in &names {
                for range in ["00000000-7fffffff", "80000000-ffffffff"] {
                    // A job that fails is no matter of this test.
                    let _ = split(http, name, &source.nodes[0].name, range);
                }
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let mut ended = Vec::new();
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            let backup = back_up(&source, &archive, false, &[])?;
            assert_eq!(backup.code, Some(0), "{backup:?}");
            let mut documents = 0;
            for name in &names {
                documents += listed(&archive, name)?.0;
            }
            ended.push((backup.code, documents));
        }
        Ok(ended)
    })?;
    assert!(ended.iter().all(|(_, documents)| *documents == 200 * names.len() as u64), "{ended:?}");
    Ok(())
}
