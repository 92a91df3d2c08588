//! What one CouchDB wrote, in another one.

use std::path::Path;
use std::process::Command;

use couchcopy_tests::compare::compare;
use couchcopy_tests::fixtures::files_below;
use couchcopy_tests::lab::{
    Cluster, Http, Installation, Load, PASSWORD, Size, binary, check_indexes, check_login, couchcopy,
    read_databases_over_http, read_over_http, run, wait_for,
};
use couchcopy_tests::live::{Plan, Reach, Site};
use couchcopy_tests::{Result, content};
use couchfile::md5_sums::Md5Sums;
use rustix::process::Signal;
use serde_json::{Map, Value, json};

use super::source::Source;

/// How an archive comes to a CouchDB.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    /// Into the folder of a node that does not run.
    Offline,
    /// Into a cluster that runs; then its databases one by one.
    Live,
    /// For a look.
    Load,
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::Offline, Self::Live, Self::Load];

    /// For messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Live => "live, then --db",
            Self::Load => "load",
        }
    }
}

/// An archive, and the CouchDB that it is restored to.
pub(super) struct Target<'s> {
    pub(super) source: &'s Source,
    pub(super) couchdb: &'s Installation,
}

impl Target<'_> {
    fn archive(&self) -> Result<&str> {
        Ok(self.source.archive.to_str().ok_or("a path that is no text")?)
    }

    /// Fails unless everything arrives that way.
    pub(super) fn check_way(&self, way: Way) -> Result<()> {
        match way {
            Way::Offline => self.offline(),
            Way::Live => self.live(),
            Way::Load => self.load(),
        }
    }

    /// Whether that CouchDB reads no checksum but MD5.
    fn only_md5(&self) -> Result<bool> {
        Ok(!self.couchdb.is_at_least(3, 4)?)
    }

    /// Into the empty folder of a node that is then started.
    fn offline(&self) -> Result<()> {
        let mut cluster = Cluster::prepare(self.couchdb, Size { nodes: 1, q: 2, n: 1 })?;
        let version = self.couchdb.version()?;
        let node = format!("{},{}", cluster.nodes[0].data.display(), cluster.nodes[0].name);
        let arguments = ["restore", "--offline", "--for-couchdb", &version, "--json", self.archive()?, &node];
        let told: Value = serde_json::from_str(&couchcopy(&arguments)?.success()?)?;
        let rewritten = told["files_rewritten"].as_u64().ok_or("no files_rewritten")?;
        let expected = self.only_md5()? && self.source.version.starts_with("3.5");
        assert_eq!(rewritten > 0, expected, "{told}");
        if self.only_md5()? {
            check_md5(&cluster.nodes[0].data)?;
        }
        cluster.start()?;
        self.check(cluster.http())?;
        let built = cluster.nodes[0].log().matches("Starting index update").count();
        println!("{} -> {version}: {built} view indexes built anew", self.source.version);
        Ok(())
    }

    /// Replaces the data of a cluster that runs; then every database comes back once more beside it.
    fn live(&self) -> Result<()> {
        let plan = Plan { size: Size { nodes: 2, q: 2, n: 2 }, reach: Reach::Here };
        let Some(site) = Site::start_with(self.couchdb, plan)? else { return Ok(()) };
        site.couchcopy(&["check"])?.success()?;
        site.http().put("/here-before", &Value::Null)?;
        let dry_run = site.couchcopy(&["restore", "--dry-run", self.archive()?])?.success()?;
        assert_eq!(dry_run.contains("reads only MD5 checksums"), self.only_md5()?, "{dry_run}");
        let told = site.restore(&self.source.archive, &[])?.success()?;
        assert!(told.contains("All nodes agree"), "{told}");
        site.check_nothing_left()?;
        for node in &site.nodes {
            if self.only_md5()? {
                check_md5(&node.data)?;
            }
            self.check(&node.http).map_err(|e| format!("{}: {e}", node.name))?;
        }
        self.single_databases(site.http(), &site.nodes[0].url())
    }

    fn single_databases(&self, http: &Http, url: &str) -> Result<()> {
        let mut command = Command::new(binary()?);
        command.args(["restore", "-y", "--json", "--local"]).env("COUCHCOPY_PASSWORD", PASSWORD);
        let (mut expected, mut names) = (Map::new(), Vec::new());
        for (name, content) in self.source.content.as_object().into_iter().flatten() {
            let new = format!("again/{}", name.trim_start_matches('_'));
            command.arg(format!("--db={name}={new}"));
            expected.insert(new.clone(), content.clone());
            names.push(new);
        }
        command.arg(&self.source.archive).arg(url.trim_start_matches("http://"));
        run(&mut command)?.success()?;
        let found = read_databases_over_http(http, &names)?;
        let wrong = compare(&expected.into(), &found);
        if wrong.is_empty() { Ok(()) } else { Err(format!("--db: {}", wrong.join("\n")).into()) }
    }

    /// Started on the archive for a look.
    fn load(&self) -> Result<()> {
        let dir = tempfile::tempdir()?;
        let admin = format!("admin:{PASSWORD}");
        let mut load = Load::start(self.couchdb, dir.path(), &self.source.archive, &["--admin", &admin])?;
        let told = load.wait_until_up()?;
        assert_eq!(told.json["version"], json!(self.couchdb.version()?));
        self.check(&told.http())?;
        load.signal(Signal::TERM)?;
        let ended = load.wait()?;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        Ok(())
    }

    /// Fails unless a node tells what the source told.
    fn check(&self, http: &Http) -> Result<()> {
        wait_for("the content", || {
            let wrong = self.differences(&read_over_http(http)?);
            if wrong.is_empty() { Ok(Some(())) } else { Err(wrong.join("\n").into()) }
        })?;
        check_indexes(http)?;
        // CouchDB before 3.4 takes a hash that newer ones made for another one of its own kind.
        if self.source.old_passwords || !self.only_md5()? {
            return check_login(http);
        }
        let answer = http.ask("POST", "/_session", Some(&json!({"name": "alice", "password": "s3cret"})))?;
        assert_eq!(answer.status, 401, "a hash of a newer CouchDB works: {}", answer.body);
        Ok(())
    }

    /// How a node differs from the source. CouchDB's own design documents do not count: each version has its own form of
    /// the one in `_users` and puts it there when it starts; older ones have one in `_replicator`, too, and newer ones delete that.
    fn differences(&self, found: &Value) -> Vec<String> {
        let (mut expected, mut found) = (self.source.content.clone(), found.clone());
        for content in [&mut expected, &mut found] {
            for (db, id) in [("_users", "_design/_auth"), ("_replicator", "_design/_replicator")] {
                let removed = content[db]["docs"].as_object_mut().and_then(|docs| docs.remove(id));
                let Some(leaves) = removed else { continue };
                let mut leaves = leaves.as_array().into_iter().flatten();
                let count =
                    if leaves.all(|leaf| leaf["_deleted"] == true) { "doc_del_count" } else { "doc_count" };
                content[db][count] = json!(content[db][count].as_u64().map(|n| n - 1));
            }
        }
        compare(&expected, &found)
    }
}

/// Fails where CouchDB before 3.4 could not read a checksum in a data folder.
fn check_md5(data: &Path) -> Result<()> {
    let mut seen = (0, 0);
    for path in files_below(data)? {
        let source = std::fs::read(data.join(&path))?;
        let ending = Path::new(&path).extension().unwrap_or_default();
        let sums = if ending == "couch" && path.starts_with("shards/") {
            seen.0 += 1;
            Md5Sums::of_database(source)
        } else if ending == "view" {
            seen.1 += 1;
            Md5Sums::of_view(source)
        } else {
            continue;
        };
        let others = sums.map_err(|e| format!("{path}: {e}"))?.changes().count();
        assert_eq!(others, 0, "{path}: checksums other than MD5");
    }
    assert!(seen.0 > 0 && seen.1 > 0, "{seen:?}");
    let maps = content::open(&data.join("_dbs.couch"))?;
    assert_eq!(Md5Sums::of_database(maps.into_source())?.changes().count(), 0, "the shard maps");
    Ok(())
}
