//! The requests that couchcopy makes, and what they return.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::route::ANSWER;
use super::{Http, encode};
use crate::error::{NodeError, Result};

/// How long an answer may take if the question is whether CouchDB answers.
const SOON: Duration = Duration::from_secs(5);

/// The answer of CouchDB to `GET /`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Welcome {
    /// Its version.
    pub version: Option<String>,
    /// The server's uuid, `[couchdb] uuid`.
    pub uuid: Option<String>,
}

impl Welcome {
    fn of(body: &Value) -> Self {
        let text = |key: &str| body[key].as_str().map(str::to_owned);
        Self { version: text("version"), uuid: text("uuid") }
    }
}

/// The version of a CouchDB, e.g. 3.5.0.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Its numbers, the first one in front.
    pub numbers: [u64; 3],
    /// The version as CouchDB reports it.
    pub text: String,
}

impl Version {
    /// Reads `3.5.0`, `3.5.0-RC1` and the like; what is missing counts as 0.
    pub fn parse(text: &str) -> Self {
        let mut numbers = text.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
        Self { numbers: std::array::from_fn(|_| numbers.next().unwrap_or(0)), text: text.to_owned() }
    }

    /// Whether it is at least this one.
    pub fn at_least(&self, major: u64, minor: u64) -> bool {
        (self.numbers[0], self.numbers[1]) >= (major, minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Which nodes a node knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Membership {
    /// Those that it is connected to, itself included.
    pub connected: BTreeSet<String>,
    /// Those that belong to the cluster.
    pub cluster: BTreeSet<String>,
}

/// What `_dbs_info` reports about a database that could be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseInfo {
    /// Documents that exist.
    pub docs: u64,
    /// Documents that are deleted.
    pub deleted: u64,
}

/// The shards of a database, as a node's shard map names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedMap {
    /// The database's name.
    pub name: String,
    /// What follows it in file names.
    pub suffix: String,
    /// Its ranges.
    pub ranges: Vec<String>,
    /// The nodes that hold a copy of each range, in the order of the ranges.
    pub holders: Vec<Vec<String>>,
    /// Whether documents are placed by partition.
    pub partitioned: bool,
}

impl ListedMap {
    /// Reads a document of `_dbs`; `None` if it is not a shard map.
    fn parse(id: &str, document: &Value) -> Option<Self> {
        let suffix = match &document["shard_suffix"] {
            Value::String(suffix) => suffix.clone(),
            // A list of characters.
            Value::Array(codes) => codes
                .iter()
                .map(|code| code.as_u64().and_then(|code| u8::try_from(code).ok()).map(char::from))
                .collect::<Option<_>>()?,
            _ => String::new(),
        };
        let by_range = document["by_range"].as_object()?;
        let names = |nodes: &Value| {
            nodes.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Some(Self {
            name: id.to_owned(),
            suffix,
            ranges: by_range.keys().cloned().collect(),
            holders: by_range.values().map(names).collect(),
            partitioned: document["props"]["partitioned"] == true,
        })
    }
}

impl Http {
    pub(super) fn nonsense(&self, asked: &str, answer: &Value) -> NodeError {
        let mut problem = answer.to_string();
        if problem.len() > 200 {
            problem = problem.chars().take(200).chain("…".chars()).collect();
        }
        NodeError::Answer { node: self.node.clone(), asked: asked.to_owned(), problem }
    }

    /// Whether CouchDB answers and says that it is up; it answers otherwise in maintenance mode and while it is seeded.
    pub fn is_up(&self) -> Result<bool> {
        Ok(self.up_within(ANSWER)?.is_none())
    }

    /// [`Self::is_up`] with a short time limit: for a node that is just starting, which is queried repeatedly.
    pub fn is_up_soon(&self) -> Result<bool> {
        Ok(self.why_not_up_soon()?.is_none())
    }

    /// Why a node that answers is not up: `maintenance_mode`, `nolb`, `seeding`; `None` if it is up.
    pub fn why_not_up_soon(&self) -> Result<Option<String>> {
        self.up_within(SOON)
    }

    fn up_within(&self, limit: Duration) -> Result<Option<String>> {
        let answer = self.ask_within(Method::GET, "/_up", None, limit)?;
        if answer.status == 404
            && let Some(status) = answer.body["status"].as_str()
        {
            return Ok(Some(status.to_owned()));
        }
        self.success("GET /_up", answer).map(|_| None)
    }

    /// Names that `/_node/_local` reports on this many separate connections: one name, unless a load balancer sends the
    /// connections to different nodes.
    pub fn names_told(&self, times: usize) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for _ in 0..times {
            let body = self.success("GET /_node/_local", self.ask_afresh("/_node/_local", true, SOON)?)?;
            names.extend(body["name"].as_str().map(str::to_owned));
        }
        Ok(names)
    }

    /// The answer of CouchDB to `GET /` without name and password; `None` if it requires them.
    pub fn welcome(&self) -> Result<Option<Welcome>> {
        let answer = self.ask_afresh("/", false, SOON)?;
        Ok(Some(answer.body).filter(|body| body["couchdb"].is_string()).map(|body| Welcome::of(&body)))
    }

    /// The answer of CouchDB to `GET /` with name and password.
    pub fn own_welcome(&self) -> Result<Welcome> {
        let answer = self.ask_within(Method::GET, "/", None, SOON)?;
        Ok(Welcome::of(&self.success("GET /", answer)?))
    }

    /// How long CouchDB has been running, in seconds, rounded down.
    pub fn uptime(&self) -> Result<Duration> {
        let answer = self.get("/_node/_local/_system")?;
        let seconds = answer["uptime"].as_u64();
        seconds.map(Duration::from_secs).ok_or_else(|| self.nonsense("GET /_node/_local/_system", &answer))
    }

    /// The revision of a node's document in the list of the cluster's nodes; `None` if it has none.
    pub fn revision_of_member(&self, name: &str) -> Result<Option<String>> {
        let member = self.get_if_there(&format!("/_node/_local/_nodes/{}", encode(name)))?;
        Ok(member.and_then(|member| member["_rev"].as_str().map(str::to_owned)))
    }

    /// CouchDB's version.
    pub fn version(&self) -> Result<Version> {
        let answer = self.get("/")?;
        match (&answer["couchdb"], answer["version"].as_str()) {
            (Value::String(_), Some(version)) => Ok(Version::parse(version)),
            _ => Err(self.nonsense("GET /", &answer)),
        }
    }

    /// The node's name. CouchDB 3.0 and later report it.
    pub fn node_name(&self) -> Result<String> {
        let answer = self.get("/_node/_local")?;
        answer["name"].as_str().map(str::to_owned).ok_or_else(|| self.nonsense("GET /_node/_local", &answer))
    }

    /// The nodes that it knows.
    pub fn membership(&self) -> Result<Membership> {
        let answer = self.get("/_membership")?;
        let names = |list: &str| -> Option<BTreeSet<String>> {
            answer[list].as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
        };
        match (names("all_nodes"), names("cluster_nodes")) {
            (Some(connected), Some(cluster)) => Ok(Membership { connected, cluster }),
            _ => Err(self.nonsense("GET /_membership", &answer)),
        }
    }

    /// A value of the node's configuration; `None` if it is not set.
    pub fn config(&self, section: &str, key: &str) -> Result<Option<String>> {
        let value =
            self.get_if_there(&format!("/_node/_local/_config/{}/{}", encode(section), encode(key)))?;
        Ok(value.and_then(|value| value.as_str().map(str::to_owned)))
    }

    /// The changes that the node still has to send to others, as far as it counts them: of a shard, once it has sent a hundred and
    /// more are left (`mem3_sync.erl`, `get_backlog`). 0 does not mean that no copy is behind.
    pub fn replication_jobs(&self) -> Result<u64> {
        let answer = self.get("/_node/_local/_system")?;
        answer["internal_replication_jobs"]
            .as_u64()
            .ok_or_else(|| self.nonsense("GET /_node/_local/_system", &answer))
    }

    /// The names of all databases.
    pub fn databases(&self) -> Result<Vec<String>> {
        let answer = self.get("/_all_dbs")?;
        let names = answer.as_array().and_then(|names| {
            names.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        names.ok_or_else(|| self.nonsense("GET /_all_dbs", &answer))
    }

    /// Opens databases and reports on each; `None` for those that do not open. They go in as many requests as the node's limit
    /// asks for (`[chttpd] max_db_number_for_dbs_info_req`).
    pub fn dbs_info(&self, names: &[&str]) -> Result<Vec<Option<DatabaseInfo>>> {
        let mut infos = Vec::with_capacity(names.len());
        while infos.len() < names.len() {
            let portion = self.dbs_info_portion.load(Ordering::Relaxed).max(1);
            let next = &names[infos.len()..names.len().min(infos.len() + portion)];
            let answer = self.ask_again(&Method::POST, "/_dbs_info", Some(&json!({"keys": next})))?;
            if answer.status == 400 && next.len() > 1 {
                // Too many for this node. Its limit may be changed while it runs.
                self.dbs_info_portion.store(self.smaller_portion(next.len()), Ordering::Relaxed);
                continue;
            }
            let answer = self.success("POST /_dbs_info", answer)?;
            let rows = answer.as_array().filter(|rows| rows.len() == next.len());
            let rows = rows.ok_or_else(|| self.nonsense("POST /_dbs_info", &answer))?;
            infos.extend(rows.iter().map(|row| {
                let count = |key: &str| row["info"][key].as_u64();
                Some(DatabaseInfo { docs: count("doc_count")?, deleted: count("doc_del_count")? })
            }));
        }
        Ok(infos)
    }

    /// How many databases to ask for at a time where so many were refused.
    fn smaller_portion(&self, refused: usize) -> usize {
        let limit = self.config("chttpd", "max_db_number_for_dbs_info_req").ok().flatten();
        let limit = limit.and_then(|limit| limit.trim().parse().ok());
        limit.filter(|limit| (1..refused).contains(limit)).unwrap_or(refused / 2)
    }

    /// Calls `each` with every shard map of the node. Documents of its `_dbs` that are none are left out.
    pub fn for_each_shard_map(&self, mut each: impl FnMut(ListedMap)) -> Result<()> {
        const BATCH: usize = 1000;
        let mut after = String::new();
        loop {
            let path = format!("/_node/_local/_dbs/_all_docs?include_docs=true&limit={BATCH}{after}");
            let answer = self.get(&path)?;
            let rows =
                answer["rows"].as_array().ok_or_else(|| self.nonsense("GET _dbs/_all_docs", &answer))?;
            for row in rows {
                let id = row["id"].as_str().ok_or_else(|| self.nonsense("GET _dbs/_all_docs", row))?;
                if let Some(map) = ListedMap::parse(id, &row["doc"]) {
                    each(map);
                }
            }
            match rows.last() {
                Some(last) if rows.len() == BATCH => {
                    after = format!("&skip=1&startkey={}", encode(&last["id"].to_string()));
                }
                _ => return Ok(()),
            }
        }
    }

    /// Shard maps of the node: id and revision of at most `limit` documents of its `_dbs`, from `start` on.
    pub fn shard_map_revisions(&self, start: Option<&str>, limit: usize) -> Result<Vec<(String, String)>> {
        let mut path = format!("/_node/_local/_dbs/_all_docs?limit={limit}");
        if let Some(start) = start {
            path.push_str("&startkey=");
            path.push_str(&encode(&json!(start).to_string()));
        }
        let answer = self.get(&path)?;
        let rows = answer["rows"].as_array().ok_or_else(|| self.nonsense("GET _dbs/_all_docs", &answer))?;
        rows.iter()
            .map(|row| Some((row["id"].as_str()?.to_owned(), row["value"]["rev"].as_str()?.to_owned())))
            .collect::<Option<_>>()
            .ok_or_else(|| self.nonsense("GET _dbs/_all_docs", &answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shard_maps_are_read_from_documents() {
        let document = json!({"shard_suffix": [46, 49, 55], "by_range": {"00000000-ffffffff": ["a@b"]}});
        let map = ListedMap::parse("a/b", &document).unwrap();
        assert_eq!((map.suffix.as_str(), map.ranges.len()), (".17", 1));
        assert_eq!((map.holders, map.partitioned), (vec![vec!["a@b".to_owned()]], false));
        let document = json!({"shard_suffix": [], "by_range": {}});
        assert_eq!(ListedMap::parse("old", &document).unwrap().suffix, "");
        assert_eq!(ListedMap::parse("_design/x", &json!({"views": {}})), None);
    }

    #[test]
    fn versions_compare() {
        assert!(Version::parse("3.4.1").at_least(3, 4));
        assert!(!Version::parse("3.3.3").at_least(3, 4));
        assert!(Version::parse("4.0.0-RC1").at_least(3, 4));
        assert_eq!(Version::parse("3.5").numbers, [3, 5, 0]);
    }
}
