//! What must be true of restored folders once CouchDB runs on them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use couchcopy_tests::Result;
use couchcopy_tests::compare::compare;
use couchcopy_tests::lab::{
    Cluster, Http, ShardState, ViewState, check_untouched, couchcopy, encode, read_over_http, shards, views,
    wait_for,
};
use serde_json::{Value, json};

/// Restores an archive into the folders of a cluster that has not been started.
pub(super) fn restore(archive: &Path, cluster: &Cluster) -> Result<()> {
    let mut arguments = vec!["restore".to_owned(), "--offline".to_owned(), archive.display().to_string()];
    arguments.extend(cluster.nodes.iter().map(|node| format!("{},{}", node.data.display(), node.name)));
    couchcopy(&arguments)?.success()?;
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
    let before = files(cluster)?;
    cluster.start()?;
    wait_for_internal_replication(cluster, &before)?;
    for node in &cluster.nodes {
        let told = read_over_http(&node.http).map_err(|e| format!("{}: {e}", node.name))?;
        assert_eq!(compare(expected, &told), [""; 0], "on {}", node.name);
        check_indexes(&node.http)?;
        check_login(&node.http)?;
    }
    cluster.wait_until_synchronised()?;
    for ((node, before), after) in cluster.nodes.iter().zip(before).zip(files(cluster)?) {
        let named = |e| format!("{}: {e}", node.name);
        check_untouched(&before.0, &after.0).map_err(named)?;
        check_untouched(&before.1, &after.1).map_err(named)?;
        check_log(&node.log()).map_err(|e| format!("{}: {e}", node.name))?;
    }
    Ok(())
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

/// Fails where a log tells of an error, of a repair or of an index being built.
pub(super) fn check_log(log: &str) -> Result<()> {
    let suspicious =
        ["[error]", "[critical]", "[alert]", "[emergency]", "Bad security", "Starting index update"];
    let found: Vec<&str> = log.lines().filter(|line| suspicious.iter().any(|s| line.contains(s))).collect();
    if found.is_empty() { Ok(()) } else { Err(format!("the log tells:\n{}", found.join("\n")).into()) }
}
