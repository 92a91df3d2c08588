//! The content of a cluster as HTTP tells it, in the shape of [`crate::content::read_cluster`].

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Map, Value, json};

use super::http::{Http, encode};
use crate::Result;

/// Documents asked for at once.
const PIECE: usize = 500;
/// Databases read at a time.
const THREADS: usize = 4;
/// Local documents that are CouchDB's own.
const INTERNAL_LOCALS: [&str; 2] = ["_local/shard-sync", "_local/purge-"];

/// Reads everything.
pub fn read(http: &Http) -> Result<Value> {
    let names: Vec<String> = serde_json::from_value(http.get("/_all_dbs")?)?;
    read_databases(http, &names)
}

/// Reads these databases.
pub fn read_databases(http: &Http, names: &[String]) -> Result<Value> {
    let todo = Mutex::new(names.iter());
    let next = || todo.lock().ok().and_then(|mut names| names.next());
    let read: Vec<Result<Vec<(String, Value)>>> = std::thread::scope(|scope| {
        let work = || -> Result<Vec<(String, Value)>> {
            let mut found = Vec::new();
            while let Some(name) = next() {
                let content = database(http, name).map_err(|e| format!("{name}: {e}"))?;
                found.push((name.clone(), content));
            }
            Ok(found)
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let ended = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err("a reader panicked".into()))
        };
        threads.into_iter().map(ended).collect()
    });
    let mut databases = BTreeMap::new();
    for found in read {
        databases.extend(found?);
    }
    Ok(databases.into_iter().collect::<Map<_, _>>().into())
}

fn database(http: &Http, name: &str) -> Result<Value> {
    let db = format!("/{}", encode(name));
    let info = http.get(&db)?;
    let shards = http.get(&format!("{db}/_shards"))?;
    let mut ranges: Vec<&String> = shards["shards"].as_object().ok_or("no shards")?.keys().collect();
    ranges.sort();
    Ok(json!({
        "doc_count": info["doc_count"],
        "doc_del_count": info["doc_del_count"],
        "props": info["props"],
        "security": http.get(&format!("{db}/_security"))?,
        "revs_limit": http.get(&format!("{db}/_revs_limit"))?,
        "ranges": ranges,
        "local": locals(http, &db)?,
        "docs": documents(http, &db)?,
    }))
}

fn locals(http: &Http, db: &str) -> Result<Value> {
    let answer = http.get(&format!("{db}/_local_docs?include_docs=true"))?;
    let mut found = BTreeMap::new();
    for row in rows(&answer, "rows")? {
        let id = row["id"].as_str().ok_or("a row without id")?;
        if INTERNAL_LOCALS.iter().any(|prefix| id.starts_with(prefix)) {
            continue;
        }
        let mut doc = row["doc"].as_object().ok_or("a row without document")?.clone();
        doc.shift_remove("_rev");
        found.insert(id.to_owned(), doc);
    }
    Ok(found.into_iter().map(|(id, doc)| json!([id, doc])).collect())
}

/// The leaf revisions of every document.
fn documents(http: &Http, db: &str) -> Result<Value> {
    let changes = http.get(&format!("{db}/_changes?style=all_docs"))?;
    let mut wanted = Vec::new();
    for row in rows(&changes, "results")? {
        for change in rows(row, "changes")? {
            wanted.push(json!({"id": row["id"], "rev": change["rev"], "atts_since": []}));
        }
    }
    let mut docs: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for piece in wanted.chunks(PIECE) {
        let asked = json!({"docs": piece});
        let answer = http.post(&format!("{db}/_bulk_get?revs=true&attachments=true"), &asked)?;
        for result in rows(&answer, "results")? {
            let id = result["id"].as_str().ok_or("a result without id")?;
            for doc in rows(result, "docs")? {
                let leaf = &doc["ok"];
                let rev = leaf["_rev"].as_str().ok_or_else(|| format!("{id}: {doc}"))?;
                docs.entry(id.to_owned()).or_default().insert(rev.to_owned(), leaf.clone());
            }
        }
    }
    let leaves = |leaves: BTreeMap<String, Value>| Value::from(leaves.into_values().collect::<Vec<_>>());
    Ok(docs.into_iter().map(|(id, revs)| (id, leaves(revs))).collect::<Map<_, _>>().into())
}

fn rows<'v>(answer: &'v Value, list: &str) -> Result<&'v Vec<Value>> {
    answer[list].as_array().ok_or_else(|| format!("no {list} in {answer}").into())
}
