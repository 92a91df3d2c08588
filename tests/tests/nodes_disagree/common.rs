//! Documents, and what couchcopy says.

use std::path::Path;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Cluster, Ended, Http, couchcopy, wait_for};
use serde_json::{Value, json};

/// Writes documents `PREFIX0` and so on; gives their ids and revisions.
pub(super) fn write(http: &Http, db: &str, prefix: &str, count: usize) -> Result<Vec<(String, String)>> {
    let docs: Vec<Value> = (0..count).map(|i| json!({"_id": format!("{prefix}{i:05}"), "n": i})).collect();
    let written = http.post(&format!("/{db}/_bulk_docs"), &json!({"docs": docs}))?;
    let row = |row: &Value| Some((row["id"].as_str()?.to_owned(), row["rev"].as_str()?.to_owned()));
    Ok(written.as_array().into_iter().flatten().filter_map(row).collect())
}

/// Purges documents.
pub(super) fn purge(http: &Http, db: &str, documents: &[(String, String)]) -> Result<()> {
    for some in documents.chunks(50) {
        let wanted: Value =
            some.iter().map(|(id, rev)| (id.clone(), json!([rev]))).collect::<serde_json::Map<_, _>>().into();
        http.post(&format!("/{db}/_purge"), &wanted)?;
    }
    Ok(())
}

/// Saves the data folders of a cluster, the first `nodes` of them, in this order or backwards.
pub(super) fn back_up(cluster: &Cluster, archive: &Path, backwards: bool, more: &[&str]) -> Result<Ended> {
    let mut folders: Vec<String> =
        cluster.nodes.iter().map(|node| format!("localhost,{}", node.data.display())).collect();
    if backwards {
        folders.reverse();
    }
    let mut arguments = vec!["backup".to_owned(), "--json".to_owned(), "--overwrite".to_owned()];
    arguments.extend(more.iter().map(|&word| word.to_owned()));
    arguments.extend(folders);
    arguments.push(archive.display().to_string());
    Ok(couchcopy(&arguments)?.unwrapped())
}

/// What a command prints as JSON.
pub(super) fn told(ended: &Ended) -> Result<Value> {
    serde_json::from_str(&ended.stdout).map_err(|e| format!("{e}: {ended:?}").into())
}

/// What `ls --json` says of a database: documents and deleted ones.
pub(super) fn listed(archive: &Path, db: &str) -> Result<(u64, u64)> {
    let ended = couchcopy(&["ls".as_ref(), "--json".as_ref(), archive.as_os_str()])?;
    let list: Value = serde_json::from_str(&ended.success()?)?;
    let databases = list.as_array().or(list["databases"].as_array()).ok_or("no list")?;
    let found = databases.iter().find(|entry| entry["name"] == db).ok_or("it is not listed")?;
    Ok((found["documents"].as_u64().unwrap_or(0), found["deleted"].as_u64().unwrap_or(0)))
}

/// Number of lines that `dump` prints.
pub(super) fn dumped(archive: &Path, db: &str) -> Result<usize> {
    Ok(couchcopy(&["dump".as_ref(), archive.as_os_str(), db.as_ref()])?.success()?.lines().count())
}

/// Restores an archive for one node and starts it; gives its HTTP interface to `check`.
pub(super) fn restored(
    archive: &Path,
    target: &mut Cluster,
    check: impl Fn(&Http) -> Result<()>,
) -> Result<()> {
    let mut arguments = vec!["restore".to_owned(), "--offline".to_owned(), archive.display().to_string()];
    arguments.extend(target.nodes.iter().map(|node| format!("{},{}", node.data.display(), node.name)));
    couchcopy(&arguments)?.success()?;
    target.start()?;
    target.nodes.iter().try_for_each(|node| check(&node.http))
}

/// Splits a range on a node, and waits until that is done.
pub(super) fn split(http: &Http, db: &str, node: &str, range: &str) -> Result<()> {
    let job = json!({"type": "split", "db": db, "node": node, "range": range});
    http.post("/_reshard/jobs", &job)?;
    wait_for("the shard to be split", || {
        let jobs = http.get("/_reshard/jobs")?;
        let jobs = jobs["jobs"].as_array().cloned().unwrap_or_default();
        match jobs.iter().find(|job| job["job_state"] == "failed") {
            Some(failed) => Err(failed.to_string().into()),
            None => {
                Ok((!jobs.is_empty() && jobs.iter().all(|job| job["job_state"] == "completed")).then_some(()))
            }
        }
    })
}
