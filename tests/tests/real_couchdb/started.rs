//! What must be true of restored folders once CouchDB runs on them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use couchcopy_tests::compare::compare;
use couchcopy_tests::lab::{
    Cluster, Http, ShardState, ViewState, check_untouched, couchcopy, encode, read_over_http, shards, views,
    wait_for,
};
use couchcopy_tests::{Result, fixtures};
use serde_json::{Value, json};

/// Restores an archive into the folders of a cluster that has not been started, with so many copies of each range, or as
/// many as there were.
pub(super) fn restore(archive: &Path, cluster: &Cluster, copies: Option<u8>) -> Result<()> {
    let mut arguments = vec!["restore".to_owned(), "--offline".to_owned(), archive.display().to_string()];
    arguments.extend(copies.map(|n| format!("--n={n}")));
    arguments.extend(cluster.nodes.iter().map(|node| format!("{},{}", node.data.display(), node.name)));
    couchcopy(&arguments)?.success()?;
    Ok(())
}

/// Saves the data folders of a cluster, running or not, and proves the archive whole.
pub(super) fn backup(nodes: &[fixtures::Node], archive: &Path) -> Result<()> {
    let mut arguments = vec!["backup".to_owned()];
    arguments.extend(nodes.iter().map(|node| format!("localhost,{}", node.data.display())));
    arguments.push(archive.display().to_string());
    couchcopy(&arguments)?.success()?;
    couchcopy(&["verify".as_ref(), archive.as_os_str()])?.success()?;
    Ok(())
}

/// The files of all nodes.
type Files = (BTreeMap<String, ShardState>, BTreeMap<String, ViewState>);

fn files(cluster: &Cluster) -> Result<Vec<Files>> {
    cluster.nodes.iter().map(|node| Ok((shards(&node.data)?, views(&node.data)?))).collect()
}

/// Starts restored folders as a cluster, and fails unless every node tells what is expected over HTTP and CouchDB found
/// nothing to repair, to create or to build in them.
pub(super) fn start_and_check(cluster: &mut Cluster, expected: &Value) -> Result<()> {
    let found = start_and_examine(cluster, expected)?;
    assert!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

/// The same, but tells everything that is wrong.
pub(super) fn start_and_examine(cluster: &mut Cluster, expected: &Value) -> Result<Vec<String>> {
    let before = files(cluster)?;
    cluster.start()?;
    wait_for_internal_replication(cluster, &before)?;
    let joined: Vec<usize> = cluster.nodes.iter().map(|node| node.log().len()).collect();
    let mut found = Vec::new();
    for node in &cluster.nodes {
        let told = read_over_http(&node.http).map_err(|e| format!("{}: {e}", node.name))?;
        found.extend(compare(expected, &told).iter().map(|wrong| format!("{}: {wrong}", node.name)));
        check_indexes(&node.http)?;
        check_login(&node.http)?;
    }
    cluster.wait_until_synchronised()?;
    for (((node, joined), before), after) in cluster.nodes.iter().zip(joined).zip(before).zip(files(cluster)?)
    {
        let checks = [
            check_untouched(&before.0, &after.0),
            check_untouched(&before.1, &after.1),
            check_log(&node.log(), joined),
        ];
        let wrong = checks.into_iter().filter_map(Result::err);
        found.extend(wrong.map(|wrong| format!("{}: {wrong}", node.name)));
    }
    Ok(found)
}

/// Waits until every two copies of a range with documents have compared themselves: only then has CouchDB seen all that
/// it could find wrong.
fn wait_for_internal_replication(cluster: &Cluster, files: &[Files]) -> Result<()> {
    for (node, (shards, _)) in cluster.nodes.iter().zip(files) {
        for (path, state) in shards {
            let copies = files.iter().filter(|(others, _)| others.contains_key(path)).count();
            let counted = state.counts != (0, 0);
            if copies < 2 || !counted {
                continue;
            }
            let shard = path.strip_suffix(".couch").unwrap_or(path);
            let locals = format!("/_node/_local/{}/_local_docs", encode(shard));
            wait_for(&format!("{} to synchronise {path}", node.name), Duration::from_secs(60), || {
                let told = node.http.get(&locals)?;
                let ids = told["rows"].as_array().into_iter().flatten().filter_map(|row| row["id"].as_str());
                // One for each direction.
                let checkpoints = ids.filter(|id| id.starts_with("_local/shard-sync-")).count();
                Ok((checkpoints >= 2 * (copies - 1)).then_some(()))
            })?;
        }
    }
    Ok(())
}

/// Queries both indexes of the database `views`.
fn check_indexes(http: &Http) -> Result<()> {
    let query = json!({"selector": {"k": 3}, "fields": ["_id"], "limit": 100});
    let explained = http.post("/views/_explain", &query)?;
    assert_eq!(explained["index"]["name"], "k");
    let found = http.post("/views/_find", &query)?;
    let mut ids: Vec<&str> =
        found["docs"].as_array().into_iter().flatten().filter_map(|doc| doc["_id"].as_str()).collect();
    ids.sort_unstable();
    let mut expected: Vec<String> = (0..500).filter(|i| i % 17 == 3).map(|i| format!("v{i}")).collect();
    expected.sort();
    assert_eq!(ids, expected);
    Ok(())
}

/// A user of the database `_users` can log in, and with a wrong password cannot.
fn check_login(http: &Http) -> Result<()> {
    let session = http.post("/_session", &json!({"name": "alice", "password": "s3cret"}))?;
    assert_eq!(session["roles"], json!(["staff"]));
    let refused = http.ask("POST", "/_session", Some(&json!({"name": "alice", "password": "wrong"})))?;
    assert_eq!(refused.status, 401);
    Ok(())
}

/// What CouchDB logs at these levels is worth a test's failure.
const LEVELS: [&str; 4] = ["[error]", "[critical]", "[alert]", "[emergency]"];
/// Whatever the level, these tell of a repair, or of an index being built.
const SUSPICIOUS: [&str; 3] = ["Bad security", "Starting index update", "creating missing database: shards"];
/// What every cluster logs whose nodes start before they know each other: that others cannot be reached, nor shards on them,
/// and that there is no database of users beside the clustered one.
const LONELY: [&str; 6] = [
    "nodedown,<<\"progress not possible\">>",
    "{rexi_DOWN,",
    "noconnection",
    "shard in cluster with",
    "shards in cluster with",
    "/_users.couch: no such",
];

/// What two processes of CouchDB log that open the same shard at once for internal replication, and try again: each of them
/// would create it. Had one done so, its file would not be untouched.
const RACE: &str = "{file_exists,[{mem3_rpc,rexi_call";

/// Fails where a log tells of an error, of a repair or of an index being built. Of what was logged before the node had
/// joined its cluster, so many bytes, what comes of being alone is excused.
fn check_log(log: &str, joined: usize) -> Result<()> {
    let wrong = |entry: &str| {
        LEVELS.iter().any(|level| entry.starts_with(level)) || SUSPICIOUS.iter().any(|s| entry.contains(s))
    };
    let excused = |entry: &str| LONELY.iter().any(|reason| entry.contains(reason));
    let mut found = Vec::new();
    let mut at = 0;
    // An entry may have several lines; its first begins with the level.
    for entry in log.split_inclusive("\n[") {
        let text = format!("[{}", entry.trim_start_matches('[').trim_end_matches("\n["));
        if wrong(&text) && !(at < joined && excused(&text)) && !text.contains(RACE) {
            found.push(text);
        }
        at += entry.len();
    }
    if found.is_empty() { Ok(()) } else { Err(format!("the log tells:\n{}", found.join("\n")).into()) }
}
