//! A cluster of three, a backup of it, and what was written since.

use std::fs;
use std::path::PathBuf;

use couchcopy_tests::Result;
use couchcopy_tests::content::agreed_maps;
use couchcopy_tests::lab::{Ended, Size, encode, read_over_http, run, wait_for, wait_until_synchronised};
use couchcopy_tests::live::{Plan, Reach, Site};
use serde_json::{Value, json};

/// Names the step after which couchcopy kills itself.
pub(super) const KILL: &str = "COUCHCOPY_TEST_KILL_AFTER_STEP";
/// Number of the node that is brought back.
pub(super) const LOST: usize = 1;

/// The cluster.
pub(super) struct Arena {
    pub(super) site: Site,
    pub(super) archive: PathBuf,
    expected: Value,
    writes: usize,
}

impl Arena {
    pub(super) fn new(reach: Reach) -> Result<Option<Self>> {
        let Some(site) = Site::start(Plan { size: Size { nodes: 3, q: 2, n: 3 }, reach })? else {
            return Ok(None);
        };
        let http = site.http();
        for db in ["shop?n=3", "two-copies?n=2&q=4", "deleted-since", "made-again", "parts?partitioned=true"]
        {
            http.put(&format!("/{db}"), &Value::Null)?;
            let db = db.split('?').next().unwrap_or_default();
            for i in 0..20 {
                http.put(&format!("/{db}/p:doc{i}"), &json!({"i": i}))?;
            }
        }
        let revs = |limit: u32| http.put("/shop/_revs_limit", &json!(limit));
        revs(500)?;
        http.put("/shop/_design/d", &json!({"views": {"v": {"map": "function (doc) { emit(doc.i); }"}}}))?;
        http.get("/shop/_design/d/_view/v")?;
        site.wait_until_settled(|http| http.get("/shop/_design/d/_view/v").map(|_| ()))?;
        let archive = site.path("backup.tar.gz");
        site.back_up(&archive)?;
        // What the backup does not know.
        http.put("/shop/later", &json!({"since": "the backup"}))?;
        let revision = http.get("/shop/p:doc3")?["_rev"].as_str().unwrap_or_default().to_owned();
        http.delete(&format!("/shop/p:doc3?rev={revision}"))?;
        revs(300)?;
        let security =
            json!({"members": {"names": ["ann"], "roles": []}, "admins": {"names": [], "roles": []}});
        http.put("/two-copies/_security", &security)?;
        http.delete("/deleted-since")?;
        http.delete("/made-again")?;
        http.put("/made-again?q=3", &Value::Null)?;
        http.put("/made-again/doc", &json!({"made": "again"}))?;
        http.put("/new", &Value::Null)?;
        http.put("/new/doc", &json!({"new": true}))?;
        http.put("/new/_security", &security)?;
        site.wait_until_settled(|http| http.get("/shop/_design/d/_view/v").map(|_| ()))?;
        let expected = read_over_http(http)?;
        Ok(Some(Self { site, archive, expected, writes: 0 }))
    }

    /// The name of the node that is brought back.
    pub(super) fn name(&self) -> &str {
        &self.site.nodes[LOST].name
    }

    /// The node's disk is lost: it is stopped, and nothing is in its data directory.
    pub(super) fn lose(&self) -> Result<()> {
        self.site.control(LOST, "stop")?.success()?;
        let data = &self.site.nodes[LOST].data;
        fs::remove_dir_all(data)?;
        Ok(fs::create_dir(data)?)
    }

    /// Brings the node back.
    pub(super) fn bring_back(&self, more: &[&str], variables: &[(&str, &str)]) -> Result<Ended> {
        let archive = self.archive.to_str().ok_or("a path that is no text")?;
        self.couchcopy(&[&["restore", "-y", "-v", "--node", self.name(), archive], more].concat(), variables)
    }

    /// Runs couchcopy with these variables.
    pub(super) fn couchcopy(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Ended> {
        let mut command = self.site.command(arguments)?;
        command.envs(variables.iter().copied());
        Ok(run(&mut command)?.unwrapped())
    }

    /// How often the other nodes were stopped.
    pub(super) fn stops_of_others(&self) -> usize {
        let others = self.site.controls.iter().enumerate().filter(|(i, _)| *i != LOST);
        others.map(|(_, control)| control.calls("stop")).sum()
    }

    /// Every node has everything, each copy of it, and nothing is left of the restore.
    pub(super) fn check(&mut self) -> Result<()> {
        assert_eq!(self.stops_of_others(), 0);
        self.site.wait_until_up()?;
        let names: Vec<Value> = self.site.nodes.iter().map(|node| json!(node.name)).collect();
        for node in &self.site.nodes {
            wait_for(&format!("{} to see its cluster", node.name), || {
                let seen = node.http.get("/_membership")?;
                let agrees = ["all_nodes", "cluster_nodes"].iter().all(|list| seen[list] == json!(names));
                if agrees { Ok(Some(())) } else { Err(seen.to_string().into()) }
            })?;
        }
        wait_until_synchronised(&self.site.nodes)?;
        self.site.wait_until_settled(|http| http.get("/shop/_design/d/_view/v").map(|_| ()))?;
        self.site.check_content(&self.expected)?;
        // The copies of the node itself, whoever answers for the others.
        let node = &self.site.nodes[LOST];
        for (db, limit) in [("shop", 300), ("new", 1000)] {
            for (shard, holders) in self.shards(db)? {
                assert!(
                    holders.as_array().is_some_and(|all| all.contains(&json!(node.name))),
                    "{shard}: {holders}"
                );
                let own = |what: &str| node.http.get(&format!("/_node/_local/{}{what}", encode(&shard)));
                assert_eq!(own("/_revs_limit")?, json!(limit), "{shard}");
                assert_eq!(own("/_security")?, self.site.http().get(&format!("/{db}/_security"))?, "{shard}");
            }
        }
        if self.site.situations()?.iter().any(|situation| situation != "untouched") {
            self.site.couchcopy(&["clean"])?.success()?;
        }
        self.site.check_nothing_left()?;
        let folders: Vec<_> = self.site.nodes.iter().map(|node| node.data.as_path()).collect();
        agreed_maps(&folders)?;
        self.write()
    }

    /// What is there now is expected from now on.
    pub(super) fn expect_now(&mut self) -> Result<()> {
        self.site.wait_until_settled(|http| http.get("/shop/_design/d/_view/v").map(|_| ()))?;
        self.expected = read_over_http(self.site.http())?;
        Ok(())
    }

    /// The shards of a database, as the node knows them, and the nodes that hold each.
    pub(super) fn shards(&self, db: &str) -> Result<Vec<(String, Value)>> {
        let suffix = self.suffix(db)?;
        let ranges = self.site.nodes[LOST].http.get(&format!("/{db}/_shards"))?["shards"].clone();
        let Value::Object(ranges) = ranges else { return Err("no shards".into()) };
        Ok(ranges
            .into_iter()
            .map(|(range, holders)| (format!("shards/{range}/{db}{suffix}"), holders))
            .collect())
    }

    fn suffix(&self, db: &str) -> Result<String> {
        let map = self.site.http().get(&format!("/_node/_local/_dbs/{db}"))?;
        let codes = map["shard_suffix"].as_array().ok_or("no suffix")?.iter();
        Ok(codes.filter_map(|code| char::from_u32(code.as_u64()? as u32)).collect())
    }

    /// The node takes writes, which all copies get.
    fn write(&mut self) -> Result<()> {
        self.writes += 1;
        let node = &self.site.nodes[LOST];
        node.http.put(&format!("/shop/by-the-node{}", self.writes), &json!({"writes": self.writes}))?;
        self.site.wait_until_settled(|http| http.get("/shop/_design/d/_view/v").map(|_| ()))?;
        self.expected = read_over_http(self.site.http())?;
        Ok(())
    }
}
