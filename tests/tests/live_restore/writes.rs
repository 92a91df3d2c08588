//! Writes and readers of changes after an older state has come back.

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Size, encode, join, shards, wait_for};
use couchcopy_tests::live::{Plan, Reach, Site};
use serde_json::{Value, json};

const ROUNDS: usize = 3;

#[test]
fn no_write_is_lost_and_no_change_missed_after_an_older_state_has_come_back() -> Result<()> {
    let plan = Plan { size: Size { nodes: 2, q: 1, n: 2 }, reach: Reach::Here };
    let Some(site) = Site::start(plan)? else { return Ok(()) };
    let http = site.http();
    for db in ["race", "feed"] {
        http.put(&format!("/{db}"), &Value::Null)?;
        write(&site, db, "before", 10)?;
    }
    site.wait_until_settled(|_| Ok(()))?;
    let archive = site.path("older.tar.gz");
    site.back_up(&archive)?;
    write(&site, "feed", "lost", 10)?;
    let since = http.get("/feed/_changes")?["last_seq"].as_str().ok_or("no sequence")?.to_owned();

    let told = site.restore(&archive, &["--json"])?.success()?;
    assert_eq!(serde_json::from_str::<Value>(&told)?["fresh_uuids"], true, "{told}");
    join(&site.nodes)?;
    write(&site, "feed", "after", 5)?;
    let changes = site.http().get(&format!("/feed/_changes?since={since}"))?;
    let seen: Vec<&str> =
        changes["results"].as_array().into_iter().flatten().filter_map(|row| row["id"].as_str()).collect();
    for i in 0..5 {
        assert!(seen.contains(&format!("after{i}").as_str()), "{i}: {changes}");
    }
    race(&site)
}

fn write(site: &Site, db: &str, prefix: &str, documents: usize) -> Result<()> {
    let docs: Vec<Value> = (0..documents).map(|i| json!({"_id": format!("{prefix}{i}")})).collect();
    site.http().post(&format!("/{db}/_bulk_docs"), &json!({"docs": docs}))?;
    Ok(())
}

/// Writes to both copies of a range at the same time, past the cluster, and waits for both to arrive on both.
fn race(site: &Site) -> Result<()> {
    let shard_of = |data| -> Result<(String, Option<String>)> {
        let shards = shards(data)?.into_iter();
        let (path, state) = shards.into_iter().find(|(path, _)| path.contains("/race.")).ok_or("no shard")?;
        Ok((encode(path.strip_suffix(".couch").unwrap_or(&path)), state.uuid))
    };
    let (shard, one) = shard_of(&site.nodes[0].data)?;
    let (_, other) = shard_of(&site.nodes[1].data)?;
    assert!(one.is_some() && one != other, "{one:?} {other:?}");
    let path = |round: usize, node: usize| format!("/_node/_local/{shard}/round{round}-node{node}");
    for round in 0..ROUNDS {
        std::thread::scope(|scope| {
            let writers: Vec<_> = site
                .nodes
                .iter()
                .enumerate()
                .map(|(i, node)| scope.spawn(move || node.http.put(&path(round, i), &json!({}))))
                .collect();
            writers.into_iter().try_for_each(|writer| {
                writer.join().unwrap_or_else(|_| Err("a writer panicked".into())).map(drop)
            })
        })?;
        for node in &site.nodes {
            for i in 0..site.nodes.len() {
                wait_for(&format!("{} on {}", path(round, i), node.name), || {
                    Ok(node.http.ask("GET", &path(round, i), None)?.is_success().then_some(()))
                })?;
            }
        }
    }
    Ok(())
}
