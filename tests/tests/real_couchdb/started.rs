//! What must be true of restored folders once CouchDB runs on them.

use std::collections::BTreeMap;
use std::path::Path;

use couchcopy_tests::compare::compare;
use couchcopy_tests::lab::{
    Cluster, ShardState, ViewState, check_indexes, check_log, check_login, check_untouched, couchcopy,
    encode, read_over_http, shards, views, wait_for,
};
use couchcopy_tests::{Result, fixtures};
use serde_json::Value;

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
            wait_for(&format!("{} to synchronise {path}", node.name), || {
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
