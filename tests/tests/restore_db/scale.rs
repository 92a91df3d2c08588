//! Databases that do not fit into the memory that the command may have.

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Cluster, Installation, Size, run};
use scale_data::build;
use scale_data::plan::{Attachments, Plan};
use serde_json::{Value, json};

use super::arena::{Arena, within_memory};

/// The generated database.
const DB: &str = "bulk-000001";
/// One of so many documents is compared with all its revisions.
const COMPARED: usize = 97;

/// A running node with a generated database.
fn arena(docs: u64, doc_size: u64, revisions: u64, q: u32) -> Result<Option<Arena>> {
    let Some(couchdb) = Installation::find() else { return Ok(None) };
    let mut cluster = Cluster::prepare(&couchdb, Size { nodes: 1, q, n: 1 })?;
    let plan = Plan {
        databases: 1,
        empty: 0,
        docs,
        doc_size,
        revisions,
        q,
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
    let winner =
        |row: &Value| Some((row["id"].as_str()?.to_owned(), row["value"]["rev"].as_str()?.to_owned()));
    Ok(rows.iter().map(winner).collect::<Option<_>>().ok_or("a row without id or revision")?)
}

/// Fails unless a copy has all documents of the generated database.
fn check_copy(arena: &Arena, docs: u64, revisions: u64) -> Result<()> {
    let found = winners(arena, "copy")?;
    assert_eq!(found.len() as u64, docs);
    assert_eq!(found, winners(arena, DB)?);
    for (id, _) in found.iter().step_by(COMPARED) {
        let read = |db: &str| arena.http().get(&format!("/{db}/{id}?revs=true"));
        let copy = read("copy")?;
        assert_eq!(copy["_revisions"]["start"], json!(revisions));
        assert_eq!(copy["_revisions"]["ids"].as_array().map(Vec::len), Some(revisions as usize));
        assert_eq!(copy, read(DB)?);
    }
    Ok(())
}

#[test]
fn a_thousand_revisions_of_each_of_many_documents_in_little_memory() -> Result<()> {
    let (docs, revisions) = (7000, 1000);
    let Some(arena) = arena(docs, 200, revisions, 1)? else { return Ok(()) };
    let archive = arena.back_up()?;
    within_memory(&mut arena.command(&archive, &[&format!("--db={DB}=copy")])?)?;
    check_copy(&arena, docs, revisions)
}

/// Files that are too large to be read in the order of the ids as they are, and cannot be unpacked.
#[test]
fn without_room_to_unpack_it_takes_longer() -> Result<()> {
    let docs = 30_000;
    let Some(arena) = arena(docs, 3000, 1, 2)? else { return Ok(()) };
    let archive = arena.back_up()?;
    let mut command = arena.command(&archive, &["-v", &format!("--db={DB}=copy")])?;
    let ended = run(command.env("TMPDIR", arena.path("nowhere")))?;
    let told = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("nowhere has 0 MiB free, which is not enough to unpack"), "{ended:?}");
    ended.success()?;
    check_copy(&arena, docs, 1)
}
