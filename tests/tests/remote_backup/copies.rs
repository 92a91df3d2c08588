//! Of several copies on other machines, the one that is not behind.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use couchcopy_tests::content::read_cluster;
use couchcopy_tests::far::Far;
use couchcopy_tests::fixtures::{self, files_ending};
use couchcopy_tests::lab::{Cluster, Installation, PASSWORD, Size, USER, couchcopy, verify};
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

/// Creates databases on a cluster, stops a node and changes all documents: both nodes have as many, in one they are old. Some
/// databases are too large to be fetched for a comparison.
fn leave_behind(source: &mut Cluster, away: usize) -> Result<[&'static str; 2]> {
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
    Ok(["small", "large"])
}

/// Restores an archive, and fails if a document is old.
fn check_new(archive: &Path, target: &Path, databases: &[&str]) -> Result<()> {
    let ended = lab::couchcopy(&[
        "restore".to_owned(),
        "--offline".to_owned(),
        archive.display().to_string(),
        format!("{},couchdb@127.0.0.1", target.display()),
    ])?;
    ended.success()?;
    let content = read_cluster(&[target])?;
    for db in databases {
        let docs = content[db]["docs"].as_object().ok_or("no documents")?;
        let behind = docs.values().filter(|leaves| leaves[0]["v"] != json!(2)).count();
        assert_eq!((docs.len(), behind), (DOCUMENTS, 0), "{db}, {}", target.display());
    }
    Ok(())
}

fn check(away: usize, busybox: bool) -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let Some(far) = Far::start()? else { return Ok(()) };
    if busybox && !far.with_busybox()? {
        return Ok(());
    }
    let mut source = Cluster::fresh(&couchdb, Size { nodes: 2, q: 4, n: 2 })?;
    let databases = leave_behind(&mut source, away)?;
    source.stop()?;
    let mut nodes: Vec<String> = source.folders().iter().map(|node| far.node(&node.data)).collect();
    for order in ["forth", "back"] {
        let archive = far.path(&format!("{order}.tar.gz"));
        far.backup(&nodes, &archive, &[])?.success()?;
        nodes.reverse();
        check_new(&archive, &far.path(&format!("{order}-target")), &databases)?;
    }
    Ok(())
}

/// CouchDB counts changes that internal replication has to send only once it has sent a hundred of the shard's: as long as a job
/// waits, or fails again and again, it reports that there are none.
#[test]
fn a_node_is_behind_for_which_couchdb_counts_nothing() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let Some(far) = Far::start()? else { return Ok(()) };
    let mut source = Cluster::fresh(&couchdb, Size { nodes: 2, q: 4, n: 2 })?;
    let databases = leave_behind(&mut source, 0)?;
    source.stop()?;
    for node in &source.nodes {
        node.add_settings("[mem3]\nsync_concurrency = 0\n")?;
    }
    source.start()?;
    fs::write(far.path("password"), PASSWORD)?;
    let (file, password) = (far.path("cluster.toml"), far.path("password").display().to_string());
    let mut nodes: Vec<_> = source.nodes.iter().collect();
    for order in ["forth", "back"] {
        let mut text = format!("[defaults]\nuser = \"{USER}\"\npassword_file = \"{password}\"\n");
        for node in &nodes {
            let jobs = node.http.get("/_node/_local/_system")?["internal_replication_jobs"].clone();
            assert_eq!(jobs, json!(0));
            let (host, data, url) = (&far.sshd.host, node.data.display(), node.url());
            write!(text, "[[node]]\nhost = \"{host}\"\ndata = \"{data}\"\nurl = \"{url}\"\n")?;
        }
        nodes.reverse();
        fs::write(&file, text)?;
        let archive = far.path(&format!("{order}.tar.gz"));
        far.backup(&[], &archive, &["--cluster", &file.display().to_string()])?.success()?;
        check_new(&archive, &far.path(&format!("{order}-target")), &databases)?;
    }
    let behind = read_cluster(&[&source.nodes[0].data])?;
    for db in databases {
        let mut docs = behind[db]["docs"].as_object().ok_or("no documents")?.values();
        assert!(docs.all(|leaves| leaves[0]["v"] == json!(1)), "{db} was replicated: {behind}");
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
