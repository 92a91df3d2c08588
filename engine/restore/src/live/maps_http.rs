//! Creates the shard maps through CouchDB's own interface on one node, which replicates them to the others.

use contents::Contents;
use couchfile::ejson::write_json;
use couchfile::term::Decoder;
use couchfile::writer::NewDocument;
use node::{Method, Node, NodeError, encode};
use outcome::report::Reporter;
use outcome::{Failure, Result, parallel};
use serde_json::{Value, json};

use crate::folders::RestoreOptions;
use crate::folders::maps::rewritten;
use crate::folders::plan::Plan;

/// Documents sent at a time.
const BATCH: usize = 500;
const DBS: &str = "/_node/_local/_dbs";

/// Creates every map with the same revisions as the files would have. Can be repeated.
pub(super) fn write(
    contents: &Contents,
    plan: &Plan,
    options: &RestoreOptions,
    node: &Node,
    reporter: &dyn Reporter,
) -> Result<()> {
    reporter.phase("creating the shard maps", Some(plan.databases));
    let nodes = options.node_names();
    let mut batch: Vec<Value> = Vec::with_capacity(BATCH);
    let mut done = 0;
    contents.maps.convert(
        parallel::threads(options.threads),
        |document| rewritten(document, plan, &nodes),
        |document| {
            let Some(document) = document? else { return Ok(()) };
            batch.push(as_json(&document)?);
            if batch.len() == BATCH {
                send(node, &std::mem::take(&mut batch))?;
                done += BATCH as u64;
                reporter.advance(done, 0);
            }
            Ok(())
        },
    )?;
    if batch.is_empty() { Ok(()) } else { send(node, &batch) }
}

/// The document with its revision and ancestors, as replication sends it.
fn as_json(document: &NewDocument) -> Result<Value> {
    let id = String::from_utf8_lossy(&document.id).into_owned();
    let unusable = |problem: String| Failure::bug(format!("the shard map of {id}: {problem}"));
    let leaf = document.revisions.last().ok_or_else(|| unusable("no revision".into()))?;
    let body = leaf.body.as_ref().ok_or_else(|| unusable("no body".into()))?;
    let mut text = Vec::new();
    write_json(&mut Decoder::new(&body.term), &mut text).map_err(|e| unusable(e.to_string()))?;
    let mut json: Value = serde_json::from_slice(&text).map_err(|e| unusable(e.to_string()))?;
    let ids: Vec<String> =
        document.revisions.iter().rev().map(|revision| hex::encode(&revision.id)).collect();
    json["_id"] = json!(id);
    json["_rev"] = json!(format!("{}-{}", leaf.generation, ids[0]));
    json["_revisions"] = json!({"start": leaf.generation, "ids": ids});
    Ok(json)
}

fn send(node: &Node, documents: &[Value]) -> Result<()> {
    let body = json!({"docs": documents, "new_edits": false});
    let path = format!("{DBS}/_bulk_docs");
    let answer = node.http.ask(Method::POST, &path, Some(&body))?;
    match answer.status {
        // Something between us and CouchDB, or an older CouchDB, has no such thing.
        404 | 405 => documents.iter().try_for_each(|document| put(node, document)),
        _ if answer.is_success() => {
            let refused = answer.body.as_array().into_iter().flatten().find(|row| row["error"].is_string());
            refused.map_or(Ok(()), |row| Err(http_error(node, &path, 200, row.to_string())))
        }
        status => Err(http_error(node, &path, status, answer.reason())),
    }
}

fn put(node: &Node, document: &Value) -> Result<()> {
    let id = document["_id"].as_str().unwrap_or_default();
    let path = format!("{DBS}/{}?new_edits=false", encode(id));
    let answer = node.http.ask(Method::PUT, &path, Some(document))?;
    if answer.is_success() { Ok(()) } else { Err(http_error(node, &path, answer.status, answer.reason())) }
}

fn http_error(node: &Node, path: &str, status: u16, reason: String) -> Failure {
    let request = format!("writing shard maps to {path}");
    NodeError::Http { node: node.shown(), request, status, reason }.into()
}
