//! A cluster one of whose nodes was away and has not caught up.

use couchcopy_tests::Result;
use couchcopy_tests::content::read_cluster;
use couchcopy_tests::fixtures;
use couchcopy_tests::lab::{Cluster, Installation, Size};
use serde_json::{Value, json};

use super::started::{backup, restore};

/// Documents, spread over eight ranges.
const DOCUMENTS: usize = 200;

/// While one node is away, all documents are changed, one database is deleted and one is created: both nodes know as many
/// databases, with as many documents, but one node knows old ones.
fn check(away: usize) -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let mut source = Cluster::fresh(&couchdb, Size { nodes: 2, q: 8, n: 2 })?;
    source.http().put("/counters", &Value::Null)?;
    let docs: Vec<Value> = (0..DOCUMENTS).map(|i| json!({"_id": i.to_string(), "v": 1})).collect();
    let written = source.http().post("/counters/_bulk_docs", &json!({"docs": docs}))?;
    source.http().put("/doomed", &Value::Null)?;
    source.wait_until_settled(|_| Ok(()))?;

    source.nodes[away].stop()?;
    let again = |row: &Value| json!({"_id": row["id"], "_rev": row["rev"], "v": 2});
    let docs: Vec<Value> = written.as_array().into_iter().flatten().map(again).collect();
    let http = &source.nodes[1 - away].http;
    http.post("/counters/_bulk_docs", &json!({"docs": docs}))?;
    http.delete("/doomed")?;
    http.put("/newborn", &Value::Null)?;
    http.put("/newborn/only", &json!({}))?;
    source.stop()?;

    let mut folders: Vec<fixtures::Node> = source.folders();
    for order in ["forth", "back"] {
        let archive = source.dir().join(format!("{order}.tar.gz"));
        backup(&folders, &archive)?;
        folders.reverse();
        let target = Cluster::prepare(&couchdb, Size { nodes: 1, q: 2, n: 1 })?;
        restore(&archive, &target, None)?;
        let content = read_cluster(&[&target.nodes[0].data])?;
        let docs = content["counters"]["docs"].as_object().ok_or("no documents")?;
        assert_eq!(docs.len(), DOCUMENTS);
        let behind = docs.values().filter(|leaves| leaves[0]["v"] != json!(2)).count();
        assert_eq!(behind, 0, "documents of {DOCUMENTS} that are behind");
        assert_eq!(content.get("doomed"), None);
        assert_eq!(content["newborn"]["doc_count"], json!(1));
    }
    Ok(())
}

#[test]
fn the_first_node_was_away() -> Result<()> {
    check(0)
}

#[test]
fn the_second_node_was_away() -> Result<()> {
    check(1)
}
