//! Very many revisions of many documents, in little memory.

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Cluster, Installation, Size};
use scale_data::build;
use scale_data::plan::{Attachments, Plan};
use serde_json::{Value, json};

use super::arena::{Arena, within_memory};

const DOCS: u64 = 7000;
const REVISIONS: u64 = 1000;
/// One of so many documents is compared with all its revisions.
const COMPARED: usize = 97;

/// A running node with a database whose revision trees together take more than the command may have.
fn arena() -> Result<Option<Arena>> {
    let Some(couchdb) = Installation::find() else { return Ok(None) };
    let mut cluster = Cluster::prepare(&couchdb, Size { nodes: 1, q: 1, n: 1 })?;
    let plan = Plan {
        databases: 1,
        empty: 0,
        docs: DOCS,
        doc_size: 200,
        revisions: REVISIONS,
        q: 1,
        copies: 1,
        nodes: vec![cluster.nodes[0].name.clone()],
        seed: 17,
        attachments: Attachments::default(),
    };
    build::build(&plan, &cluster.nodes[0].data)?;
    cluster.start()?;
    for db in ["_users", "_replicator"] {
        cluster.http().put(&format!("/{db}"), &Value::Null)?;
    }
    Ok(Some(Arena { cluster }))
}

/// Ids and winning revisions, as CouchDB lists them.
fn winners(arena: &Arena, db: &str) -> Result<Vec<(String, String)>> {
    let told = arena.http().get(&format!("/{db}/_all_docs"))?;
    let rows = told["rows"].as_array().ok_or("no rows")?;
    let text = |value: &Value| Ok(value.as_str().ok_or("no text")?.to_owned());
    rows.iter().map(|row| Ok((text(&row["id"])?, text(&row["value"]["rev"])?))).collect()
}

#[test]
fn a_thousand_revisions_of_each_of_many_documents_in_little_memory() -> Result<()> {
    let Some(arena) = arena()? else { return Ok(()) };
    let db = "bulk-000001";
    let archive = arena.back_up()?;
    within_memory(&mut arena.command(&archive, &[&format!("--db={db}=copy")])?)?;
    let found = winners(&arena, "copy")?;
    assert_eq!(found.len() as u64, DOCS);
    assert_eq!(found, winners(&arena, db)?);
    for (id, _) in found.iter().step_by(COMPARED) {
        let read = |db: &str| arena.http().get(&format!("/{db}/{id}?revs=true"));
        let copy = read("copy")?;
        assert_eq!(copy["_revisions"]["start"], json!(REVISIONS));
        assert_eq!(copy["_revisions"]["ids"].as_array().map(Vec::len), Some(REVISIONS as usize));
        assert_eq!(copy, read(db)?);
    }
    Ok(())
}
