//! A repository of a cluster of four nodes with two copies of each shard, over many rounds: documents, deletions, purges, compactions,
//! new, deleted and re-created databases. Every backup is verified; of some, drawn by a seed, what is restored is what the archive of the
//! stopped nodes holds, and what the nodes answered. In a directory, over ssh, and encrypted in a store.
//!
//! A few rounds are made; `COUCHCOPY_TEST_ALL_ROUNDS=1` makes 50, which takes many minutes.

use std::path::{Path, PathBuf};

use couchcopy_tests::Result;
use couchcopy_tests::compare::compare;
use couchcopy_tests::content::read_cluster;
use couchcopy_tests::far::Far;
use couchcopy_tests::isolated::Couchcopy;
use couchcopy_tests::lab::{
    Cluster, Ended, Http, Installation, Size, back_up, encode, read_over_http, skipped, wait_for,
};
use couchcopy_tests::manifest::assert_equal;
use couchcopy_tests::object_servers::SeaweedFs;
use couchcopy_tests::random::SplitMix;
use serde_json::{Value, json};

/// Databases that there may be at the same time.
const DATABASES: usize = 12;
/// A key made for these tests, with its public half.
const IDENTITY: &str = "AGE-SECRET-KEY-1UP03SMUJJZPCTN4FXWNMF034E490R4YRC4PTP2U0R7WPZQGUK2ZQ6J9487";
const RECIPIENT: &str = "age1s2nh04qfv7kd873jmwlju2a6ttq80nsahjlgn2v4nypk93d7uu5qvze2z6";

/// Rounds, and one of how many is compared.
fn rounds() -> (u64, usize) {
    if are_all() { (50, 6) } else { (4, 3) }
}

fn are_all() -> bool {
    std::env::var_os("COUCHCOPY_TEST_ALL_ROUNDS").is_some()
}

/// How the command is run, and what it is told.
struct Setting<'a> {
    run: &'a dyn Fn(&[&str]) -> Result<Ended>,
    /// How a data directory is named, with the options that this needs.
    via: Vec<String>,
    host: String,
    repository: String,
    init: Vec<String>,
    /// Options of whoever reads data.
    reads: Vec<String>,
    /// Whether nodes have the same documents before each backup. Copies that differ are compared block by block, and each block of
    /// another machine costs a command.
    is_calm: bool,
}

impl Setting<'_> {
    fn expect(&self, words: &[&str], more: &[String]) -> Result<String> {
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        (self.run)(&[words, &more].concat())?.success()
    }

    /// Makes a backup, and verifies it. Its name.
    fn backup(&self, cluster: &Cluster) -> Result<String> {
        let nodes = cluster.folders();
        let nodes = nodes.iter().map(|node| format!("{},{}", self.host, node.data.display()));
        let arguments: Vec<String> = self.via.iter().cloned().chain(nodes).collect();
        let said = self.expect(&["backup", "--json", "--repo", &self.repository], &arguments)?;
        let said: Value = serde_json::from_str(&said)?;
        let id = said["in_repository"]["id"].as_str().ok_or("no id")?;
        let name = format!("{}::{id}", self.repository);
        self.expect(&["verify", "-q", &name], &self.reads)?;
        Ok(name)
    }
}

fn database(number: usize) -> String {
    format!("round-{number:02}")
}

/// Makes a database; one of this name may have been deleted a moment ago.
fn create(http: &Http, db: &str) -> Result<()> {
    wait_for("a database to be made", || {
        let answer = http.ask("PUT", &format!("/{db}"), None)?;
        Ok((answer.is_success() || answer.status == 412).then_some(()))
    })
}

/// Changes some databases at random.
fn change(cluster: &Cluster, random: &mut SplitMix) -> Result<()> {
    let http = cluster.http();
    for _ in 0..6 {
        let db = database(random.below(DATABASES));
        let is_there = http.ask("GET", &format!("/{db}"), None)?.is_success();
        match random.below(6) {
            // A database of the same name gets another suffix.
            0 if is_there => {
                http.ask("DELETE", &format!("/{db}"), None)?;
                if random.below(2) == 0 {
                    continue;
                }
            }
            1 if is_there => drop(http.post(&format!("/{db}/_compact"), &json!({}))?),
            _ => {}
        }
        create(http, &db)?;
        let noise: String = (0..3000).map(|_| char::from(b'a' + random.below(26) as u8)).collect();
        let docs: Vec<Value> =
            (0..10 + random.below(200)).map(|_| json!({"n": random.next(), "text": noise})).collect();
        let written = http.post(&format!("/{db}/_bulk_docs"), &json!({"docs": docs}))?;
        for document in written.as_array().into_iter().flatten().take(random.below(8)) {
            let (Some(id), Some(rev)) = (document["id"].as_str(), document["rev"].as_str()) else { continue };
            match random.below(3) {
                0 => drop(http.ask("DELETE", &format!("/{db}/{id}?rev={rev}"), None)?),
                1 => drop(http.ask("POST", &format!("/{db}/_purge"), Some(&json!({id: [rev]})))?),
                _ => drop(http.ask("PUT", &format!("/{db}/{id}/file?rev={rev}"), Some(&json!(noise)))?),
            }
        }
    }
    Ok(())
}

/// Waits until the nodes have the same documents, and no compaction runs.
fn settle(cluster: &Cluster) -> Result<()> {
    cluster.wait_until_settled(|_| Ok(()))?;
    for node in &cluster.nodes {
        let all = node.http.get("/_all_dbs")?;
        for db in all.as_array().into_iter().flatten().filter_map(Value::as_str) {
            wait_for("the compaction to end", || {
                let answer = node.http.get(&format!("/{}", encode(db)))?;
                Ok((answer["compact_running"] == false).then_some(()))
            })?;
        }
    }
    Ok(())
}

struct Compared {
    backup: String,
    archive: PathBuf,
    expected: Value,
}

fn play(cluster: &mut Cluster, setting: &Setting<'_>, seed: u64) -> Result<()> {
    let (rounds, one_of) = rounds();
    let dir = cluster.dir().to_owned();
    setting.expect(&["repo", "init", &setting.repository], &setting.init)?;
    let mut random = SplitMix(seed);
    let mut compared = Vec::new();
    let mut names = Vec::new();
    for round in 0..rounds {
        change(cluster, &mut random)?;
        if setting.is_calm {
            cluster.wait_until_synchronised()?;
        }
        // In the middle of whatever the nodes still do.
        names.push(setting.backup(cluster)?);
        if random.below(one_of) > 0 && !(compared.is_empty() && round + 1 == rounds) {
            continue;
        }
        settle(cluster)?;
        let expected = read_over_http(cluster.http())?;
        cluster.stop()?;
        let backup = setting.backup(cluster)?;
        let archive = dir.join(format!("{round}.tar.gz"));
        let data: Vec<PathBuf> = cluster.folders().into_iter().map(|node| node.data).collect();
        back_up(&data, &archive)?;
        cluster.start()?;
        names.push(backup.clone());
        compared.push(Compared { backup, archive, expected });
    }
    cluster.nodes.clear();
    check(&dir, setting, &compared)?;
    // All of them are as they were when they were made.
    for name in &names {
        setting.expect(&["verify", "-q", name], &setting.reads)?;
    }
    setting.expect(&["repo", "check", &setting.repository], &setting.reads)?;
    // What is thrown away leaves the others as they are.
    setting.expect(&["repo", "expire", "--keep-last", "3", &setting.repository], &[])?;
    setting.expect(&["repo", "prune", "--grace", "0s", &setting.repository], &[])?;
    setting.expect(&["repo", "check", &setting.repository], &setting.reads)?;
    for name in names.iter().rev().take(3) {
        setting.expect(&["verify", "-q", name], &setting.reads)?;
    }
    Ok(())
}

fn check(dir: &Path, setting: &Setting<'_>, compared: &[Compared]) -> Result<()> {
    assert!(!compared.is_empty(), "no backup was drawn");
    for (number, Compared { backup, archive, expected }) in compared.iter().enumerate() {
        let copy = dir.join("copy.tar.gz");
        let to = copy.display().to_string();
        setting.expect(&["repo", "copy", "--overwrite", backup, &to], &setting.reads)?;
        assert_equal(archive, &copy)?;
        let target = dir.join(format!("restored-{number}"));
        let node = format!("{},couchdb@127.0.0.1", target.display());
        setting.expect(&["restore", "--offline", backup, &node], &setting.reads)?;
        assert_eq!(compare(expected, &read_cluster(&[target.as_path()])?), [""; 0], "{backup}");
        std::fs::remove_dir_all(&target)?;
    }
    Ok(())
}

fn cluster() -> Result<Option<Cluster>> {
    let Some(couchdb) = Installation::find() else { return Ok(None) };
    Cluster::fresh(&couchdb, Size { nodes: 4, q: 2, n: 2 }).map(Some)
}

#[test]
fn in_a_directory() -> Result<()> {
    let Some(mut cluster) = cluster()? else { return Ok(()) };
    let couchcopy = Couchcopy::at_home(cluster.dir(), Vec::new());
    let repository = cluster.dir().join("repository").display().to_string();
    let setting = Setting {
        run: &|words| couchcopy.run(words),
        via: Vec::new(),
        host: "localhost".into(),
        repository,
        init: Vec::new(),
        reads: Vec::new(),
        is_calm: false,
    };
    play(&mut cluster, &setting, 1)
}

/// Only with all rounds: each question to a node is a connection of its own, and a cluster of four nodes gets many.
#[test]
fn over_ssh() -> Result<()> {
    if !are_all() {
        skipped("over ssh only with COUCHCOPY_TEST_ALL_ROUNDS=1");
        return Ok(());
    }
    let Some(mut cluster) = cluster()? else { return Ok(()) };
    let Some(far) = Far::start()? else { return Ok(()) };
    let setting = Setting {
        run: &|words| far.run(words),
        via: vec!["--via".into(), far.via()],
        host: far.sshd.host.clone(),
        repository: far.path("repository").display().to_string(),
        init: Vec::new(),
        reads: Vec::new(),
        is_calm: true,
    };
    play(&mut cluster, &setting, 2)
}

#[test]
fn encrypted_in_a_store() -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(mut cluster) = cluster()? else { return Ok(()) };
    let Some(store) = SeaweedFs::start() else { return Ok(()) };
    store.create_bucket("rounds")?;
    let couchcopy = Couchcopy::at_home(cluster.dir(), store.s3().environment());
    let identity = cluster.dir().join("offline.txt");
    std::fs::write(&identity, IDENTITY)?;
    std::fs::set_permissions(&identity, std::fs::Permissions::from_mode(0o600))?;
    let setting = Setting {
        run: &|words| couchcopy.run(words),
        via: Vec::new(),
        host: "localhost".into(),
        repository: "s3://rounds/r".into(),
        init: vec!["--recipient".into(), RECIPIENT.into()],
        reads: vec!["--identity".into(), identity.display().to_string()],
        is_calm: false,
    };
    play(&mut cluster, &setting, 3)
}
