//! A repository of a CouchDB that changes: documents, attachments, deletions, purges, new and deleted databases, compactions. Every
//! backup is what the archive of the stopped node is.

use std::path::{Path, PathBuf};

use couchcopy_tests::Result;
use couchcopy_tests::compare::compare;
use couchcopy_tests::content::read_cluster;
use couchcopy_tests::lab::{
    Cluster, Ended, Installation, Size, back_up, encode, fill_zoo, query_zoo, read_over_http,
};
use couchcopy_tests::manifest::assert_equal;
use couchcopy_tests::random::SplitMix;
use serde_json::{Value, json};

/// Backups that are made, and how often the node is stopped for comparison.
const ROUNDS: u64 = 10;

struct Repository {
    path: PathBuf,
    config: PathBuf,
}

impl Repository {
    fn run(&self, words: &[&str]) -> Result<Ended> {
        let mut command = std::process::Command::new(couchcopy_tests::lab::binary()?);
        command
            .args(words)
            .env("XDG_CONFIG_HOME", &self.config)
            .env("XDG_STATE_HOME", self.config.join("state"));
        couchcopy_tests::lab::run(&mut command)
    }

    fn backup(&self, data: &Path) -> Result<Value> {
        let node = format!("localhost,{}", data.display());
        let repo = self.path.display().to_string();
        let said = self.run(&["backup", "--json", "--repo", &repo, &node])?.success()?;
        Ok(serde_json::from_str(&said)?)
    }

    fn name(&self, id: &str) -> String {
        format!("{}::{id}", self.path.display())
    }
}

/// Changes some databases at random.
fn change(cluster: &Cluster, random: &mut SplitMix, round: u64) -> Result<()> {
    let http = cluster.http();
    let name = |number: usize| format!("round-{number:03}");
    http.put(&format!("/{}", name(round as usize)), &Value::Null)?;
    for _ in 0..4 {
        let db = name(random.below(round as usize + 1));
        if !http.ask("GET", &format!("/{db}"), None)?.is_success() {
            continue;
        }
        let noise: String = (0..2000).map(|_| char::from(b'a' + random.below(26) as u8)).collect();
        let docs: Vec<Value> =
            (0..20 + random.below(60)).map(|_| json!({"n": random.next(), "text": noise})).collect();
        let written = http.post(&format!("/{db}/_bulk_docs"), &json!({"docs": docs}))?;
        let first = &written[0];
        let (id, rev) = (first["id"].as_str().unwrap_or_default(), first["rev"].as_str().unwrap_or_default());
        match random.below(4) {
            0 => drop(http.delete(&format!("/{db}/{id}?rev={rev}"))?),
            1 => drop(http.post(&format!("/{db}/_purge"), &json!({id: [rev]}))?),
            2 => drop(http.post(&format!("/{db}/_compact"), &json!({}))?),
            _ => drop(
                http.put(&format!("/{db}/_security"), &json!({"admins": {"names": ["a"], "roles": []}}))?,
            ),
        }
    }
    if round % 4 == 3 {
        let db = name(random.below(round as usize));
        if http.ask("GET", &format!("/{db}"), None)?.is_success() {
            http.delete(&format!("/{db}"))?;
        }
    }
    // Compactions end.
    let all = http.get("/_all_dbs")?;
    for db in all.as_array().into_iter().flatten().filter_map(Value::as_str) {
        couchcopy_tests::lab::wait_for("the compaction to end", || {
            Ok((http.get(&format!("/{}", encode(db)))?["compact_running"] == false).then_some(()))
        })?;
    }
    Ok(())
}

#[test]
fn every_backup_is_that_of_a_stopped_node() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let mut cluster = Cluster::fresh(&couchdb, Size { nodes: 1, q: 2, n: 1 })?;
    fill_zoo(cluster.http())?;
    cluster.wait_until_settled(query_zoo)?;
    let dir = cluster.dir().to_owned();
    let repository = Repository { path: dir.join("repository"), config: dir.join("config") };
    repository.run(&["repo", "init", &repository.path.display().to_string()])?.success()?;
    let data = cluster.folders()[0].data.clone();
    let mut random = SplitMix(7);
    let mut kept: Vec<(String, PathBuf, Value)> = Vec::new();
    for round in 0..ROUNDS {
        change(&cluster, &mut random, round)?;
        let expected = read_over_http(cluster.http())?;
        // While it runs, and then again of the stopped node: CouchDB writes headers when it stops.
        repository.backup(&data)?;
        cluster.stop()?;
        let said = repository.backup(&data)?;
        let archive = dir.join(format!("{round}.tar.gz"));
        back_up(&[&data], &archive)?;
        cluster.start()?;
        let id = said["in_repository"]["id"].as_str().ok_or("no id")?.to_owned();
        kept.push((id, archive, expected));
    }
    cluster.nodes.clear();
    let all =
        repository.run(&["repo", "list", "--json", &repository.path.display().to_string()])?.success()?;
    assert_eq!(
        serde_json::from_str::<Value>(&all)?["backups"].as_array().map(Vec::len),
        Some(2 * ROUNDS as usize)
    );
    for (number, (id, archive, expected)) in kept.iter().enumerate() {
        let backup = repository.name(id);
        repository.run(&["verify", "-q", &backup])?.success()?;
        let copy = dir.join("copy.tar.gz");
        let to = copy.display().to_string();
        repository.run(&["repo", "copy", "--overwrite", &backup, &to])?.success()?;
        assert_equal(archive, &copy)?;
        if number % 3 == 0 {
            let target = dir.join(format!("restored-{number}"));
            let node = format!("{},couchdb@127.0.0.1", target.display());
            repository.run(&["restore", "--offline", &backup, &node])?.success()?;
            assert_eq!(compare(expected, &read_cluster(&[target.as_path()])?), [""; 0], "{id}");
        }
    }
    // What is thrown away leaves the others as they are.
    let repo = repository.path.display().to_string();
    repository.run(&["repo", "expire", "--keep-last", "5", &repo])?.success()?;
    repository.run(&["repo", "prune", "--grace", "0s", &repo])?.success()?;
    repository.run(&["repo", "check", &repo])?.success()?;
    for (id, _, _) in kept.iter().rev().take(2) {
        repository.run(&["verify", "-q", &repository.name(id)])?.success()?;
    }
    Ok(())
}
