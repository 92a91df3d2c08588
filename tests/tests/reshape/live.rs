//! Running clusters.

use couchcopy_tests::lab::{
    PASSWORD, Size, USER, back_up, check_login, encode, run, wait_for, wait_until_synchronised,
};
use couchcopy_tests::live::{Plan, Reach, Site};
use couchcopy_tests::{Result, fixtures};
use serde_json::{Value, json};

use super::with_ranges;

fn plan(nodes: u8, n: u32, reach: Reach) -> Plan {
    Plan { size: Size { nodes, q: 2, n }, reach }
}

/// Four nodes with four ranges become three nodes with other numbers of ranges; every node tells everything, and CouchDB goes on
/// with the files as with its own.
#[test]
fn a_cluster_with_other_ranges_serves() -> Result<()> {
    let Some(site) = Site::start(plan(3, 2, Reach::Here))? else { return Ok(()) };
    let archive = site.path("four.tar.gz");
    back_up(&fixtures::four_nodes()?.nodes, &archive)?;
    site.restore(&archive, &[])?.success()?;
    let followed = ["plain", "q8", "conflicts", "parts"];
    let before: Vec<String> = followed.iter().map(|db| last_seq(&site, db)).collect::<Result<_>>()?;
    let told = site.restore(&archive, &["--q", "3", "--q", "q8=1", "--q", "plain=8"])?.success()?;
    assert!(told.contains("another number of ranges"), "{told}");
    let q = |name: &str| match name {
        "q8" => Some(1),
        "plain" => Some(8),
        _ => Some(3),
    };
    let expected = with_ranges(fixtures::oracle("four-nodes-n2")?, q);
    site.check_content(&expected)?;
    check_login(site.http())?;
    for (db, since) in followed.iter().zip(&before) {
        // More ranges, fewer ranges, other ranges: who goes on from before sees everything again.
        let seen = changes(&site, db, since)?.len();
        assert_eq!(Some(seen), expected[db]["docs"].as_object().map(serde_json::Map::len), "{db}");
    }
    wait_until_synchronised(&site.nodes)?;
    goes_on(&site, &expected)?;
    site.check_nothing_left()
}

/// Through ssh, where files are sent as streams and new shards are made in a temporary file.
#[test]
fn nodes_on_other_machines_get_other_ranges() -> Result<()> {
    let Some(site) = Site::start(plan(2, 2, Reach::Ssh))? else { return Ok(()) };
    let archive = site.path("one.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    let tmp = site.path("reshaping");
    std::fs::create_dir(&tmp)?;
    let tmp = tmp.to_str().ok_or("no text")?;
    site.restore(&archive, &["--n", "2", "--q", "5", "--tmp-dir", tmp])?.success()?;
    let expected = with_ranges(fixtures::oracle("single-node")?, |_| Some(5));
    site.check_content(&expected)?;
    wait_until_synchronised(&site.nodes)?;
    goes_on(&site, &expected)
}

/// What was decided is in the journals: a restore that was killed while it copied, and one that was killed before the switch-over,
/// end with the ranges that were asked for.
#[test]
fn a_killed_restore_is_finished_with_its_ranges() -> Result<()> {
    let Some(site) = Site::start(plan(2, 2, Reach::Here))? else { return Ok(()) };
    let archive = site.path("one.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    let archive = archive.to_str().ok_or("no text")?;
    for (step, q, maps) in [("2", 3, "file"), ("6", 5, "http")] {
        let q_text = q.to_string();
        let arguments = ["restore", "-y", "--n", "2", "--q", &q_text, "--maps", maps, archive];
        let killed = run(site.command(&arguments)?.env("COUCHCOPY_TEST_KILL_AFTER_STEP", step))?;
        assert_eq!(killed.code, None, "{killed:?}");
        run(&mut site.command(&["restore", "-y", "--resume"])?)?.success()?;
        site.check_content(&with_ranges(fixtures::oracle("single-node")?, |_| Some(q)))?;
        site.check_nothing_left()?;
    }
    Ok(())
}

/// The last sequence of a database.
fn last_seq(site: &Site, db: &str) -> Result<String> {
    let changes = site.http().get(&format!("/{db}/_changes"))?;
    Ok(changes["last_seq"].as_str().ok_or("no last_seq")?.to_owned())
}

/// The changes after a sequence.
fn changes(site: &Site, db: &str, since: &str) -> Result<Vec<Value>> {
    let changes = site.http().get(&format!("/{db}/_changes?since={}", encode(since)))?;
    Ok(changes["results"].as_array().ok_or("no changes")?.clone())
}

/// CouchDB finds each document, writes, replicates, compacts and splits a shard.
fn goes_on(site: &Site, expected: &Value) -> Result<()> {
    let http = site.http();
    for (name, database) in expected.as_object().into_iter().flatten() {
        let name = encode(name);
        for (id, leaves) in database["docs"].as_object().into_iter().flatten() {
            // CouchDB redirects to a design document whose name has an encoded slash.
            let id = encode(id).replacen("_design%2F", "_design/", 1);
            let revs = format!("/{name}/{id}?open_revs=all&revs=true");
            let found = http.get(&revs)?;
            assert_eq!(found.as_array().map(Vec::len), leaves.as_array().map(Vec::len), "{name}/{id}");
        }
    }
    // A partition is in one range.
    let partitions = http.get("/parts/_all_docs?limit=1")?;
    let first =
        partitions["rows"][0]["id"].as_str().and_then(|id| id.split(':').next()).ok_or("no partition")?;
    let all = expected["parts"]["docs"].as_object().ok_or("no documents")?;
    let wanted = all
        .iter()
        .filter(|(id, leaves)| id.starts_with(&format!("{first}:")) && leaves[0]["_deleted"] != true)
        .count();
    let of_partition = http.get(&format!("/parts/_partition/{first}/_all_docs"))?;
    assert_eq!(of_partition["rows"].as_array().map(Vec::len), Some(wanted));

    // The changes feed has every document once, and goes on from its end.
    let seen = changes(site, "plain", "0")?.len();
    assert_eq!(seen, expected["plain"]["docs"].as_object().map_or(0, serde_json::Map::len));
    let since = last_seq(site, "plain")?;
    http.put("/plain/written-after", &json!({"n": 1}))?;
    assert_eq!(changes(site, "plain", &since)?.len(), 1);

    // A replication sends everything, with its attachments.
    for db in ["conflicts", "atts", "deleted", "parts"] {
        replicate(site, db)?;
        let (source, target) = (http.get(&format!("/{db}"))?, http.get(&format!("/copy-of-{db}"))?);
        for count in ["doc_count", "doc_del_count"] {
            assert_eq!(source[count], target[count], "{db}");
        }
    }

    // Compaction keeps what is there.
    http.post("/plain/_compact", &json!({}))?;
    wait_for("the compaction", || Ok((http.get("/plain")?["compact_running"] == false).then_some(())))?;
    let count = http.get("/plain")?["doc_count"].as_u64();
    assert_eq!(count, expected["plain"]["doc_count"].as_u64().map(|count| count + 1));

    // A shard can be split.
    let (range, nodes) = {
        let shards = http.get("/plain/_shards")?;
        let (range, nodes) =
            shards["shards"].as_object().and_then(|all| all.iter().next()).ok_or("no shards")?;
        (range.clone(), nodes.clone())
    };
    for node in nodes.as_array().into_iter().flatten() {
        let job = json!({"type": "split", "db": "plain", "node": node, "range": range});
        http.post("/_reshard/jobs", &job)?;
    }
    wait_for("the split", || {
        let jobs = http.get("/_reshard/jobs")?;
        let states: Vec<_> =
            jobs["jobs"].as_array().into_iter().flatten().map(|job| job["job_state"].clone()).collect();
        if states.iter().any(|state| state == "failed") {
            return Err(jobs.to_string().into());
        }
        Ok((!states.is_empty() && states.iter().all(|state| state == "completed")).then_some(()))
    })?;
    assert_eq!(http.get("/plain")?["doc_count"].as_u64(), count);
    Ok(())
}

/// Replicates a database into a new one.
fn replicate(site: &Site, db: &str) -> Result<()> {
    let partitioned = if db == "parts" { "?partitioned=true" } else { "" };
    site.http().put(&format!("/copy-of-{db}{partitioned}"), &Value::Null)?;
    let url =
        |db: &str| site.nodes[0].url().replace("http://", &format!("http://{USER}:{PASSWORD}@")) + "/" + db;
    let request = json!({"source": url(db), "target": url(&format!("copy-of-{db}"))});
    let told = site.http().post("/_replicate", &request)?;
    assert_eq!(told["ok"], true, "{told}");
    Ok(())
}
