//! Some of a database's documents: by a selector, without deletions, design documents only, without views.

use std::path::Path;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{PASSWORD, USER};
use serde_json::{Value, json};

use super::arena::Arena;

const SELECTOR: &str = r#"{"type": "order", "total": {"$gte": 10}}"#;

/// A database with orders and customers, conflicts and deletions with and without a body, and design documents.
fn fill(arena: &Arena) -> Result<()> {
    let http = arena.http();
    http.put("/shop", &Value::Null)?;
    let docs: Vec<Value> = (0..60)
        .map(|i| {
            let kind = if i % 3 == 0 { "customer" } else { "order" };
            json!({"_id": format!("doc-{i:03}"), "type": kind, "total": i % 20})
        })
        .collect();
    http.post("/shop/_bulk_docs", &json!({ "docs": docs }))?;
    // Two branches of one document: one is an order of 15, the other one of 5.
    let branch = |rev: &str, total: u64| {
        json!({"_id": "both", "_rev": format!("2-{rev}"), "type": "order", "total": total,
               "_revisions": {"start": 2, "ids": [rev, "aa"]}})
    };
    // Deleted as an order and as nothing at all, and a conflict whose other branch is deleted.
    let deleted = |id: &str, rev: &str, body: &Value| {
        let mut document = json!({"_id": id, "_rev": format!("2-{rev}"), "_deleted": true,
                                  "_revisions": {"start": 2, "ids": [rev, "aa"]}});
        for (key, value) in body.as_object().into_iter().flatten() {
            document[key] = value.clone();
        }
        document
    };
    let order = json!({"type": "order", "total": 12});
    let docs = json!({"new_edits": false, "docs": [
        branch("bb", 15), branch("cc", 5), deleted("gone-order", "dd", &order), deleted("gone", "ee", &json!({})),
        {"_id": "half", "_rev": "2-ff", "type": "order", "total": 18, "_revisions": {"start": 2, "ids": ["ff", "aa"]}},
        deleted("half", "fe", &json!({})),
    ]});
    http.post("/shop/_bulk_docs", &docs)?;
    let attached = json!({"type": "order", "total": 19, "_attachments": {
        "bill.txt": {"content_type": "text/plain", "data": "aGVsbG8="}}});
    http.put("/shop/attached", &attached)?;
    http.put("/shop/_design/views", &json!({"views": {"by": {"map": "function(doc) { emit(doc.total) }"}}}))?;
    http.put("/shop/_design/checks", &json!({"validate_doc_update": "function() {}"}))?;
    http.put("/shop/_design/orders", &json!({"type": "order", "total": 11}))?;
    Ok(())
}

/// The leaf revisions of a database, as HTTP shows them.
fn documents(arena: &Arena, name: &str) -> Result<Value> {
    Ok(arena.read(&[name])?[name]["docs"].clone())
}

fn restored(arena: &Arena, archive: &Path, name: &str, options: &[&str]) -> Result<Value> {
    let database = format!("--db=shop={name}");
    let told = arena.json(0, archive, &[&[database.as_str()], options].concat())?;
    assert_eq!(told["databases"][0]["finished"], true, "{told}");
    // Once more: nothing is left to do.
    assert!(arena.http().get(&format!("/{name}/_local/couchcopy-restore")).is_err());
    documents(arena, name)
}

fn without(documents: &Value, leave_out: impl Fn(&str, &Value) -> bool) -> Value {
    let mut left = serde_json::Map::new();
    for (id, leaves) in documents.as_object().into_iter().flatten() {
        let leaves: Vec<Value> =
            leaves.as_array().into_iter().flatten().filter(|leaf| !leave_out(id, leaf)).cloned().collect();
        if !leaves.is_empty() {
            left.insert(id.clone(), leaves.into());
        }
    }
    left.into()
}

#[test]
fn a_selector_chooses_what_a_replication_with_it_brings() -> Result<()> {
    let Some(arena) = Arena::new(2, 4, 2)? else { return Ok(()) };
    fill(&arena)?;
    let archive = arena.back_up()?;
    let address = arena.node();
    let url = |name: &str| format!("http://{USER}:{PASSWORD}@{address}/{name}");
    let selector: Value = serde_json::from_str(SELECTOR)?;
    arena.http().post(
        "/_replicate",
        &json!({"source": url("shop"), "target": url("replica"), "create_target": true, "selector": selector}),
    )?;
    let chosen = restored(&arena, &archive, "chosen", &["--selector", SELECTOR])?;
    assert_eq!(chosen, documents(&arena, "replica")?);
    let ids: Vec<&str> = chosen.as_object().into_iter().flatten().map(|(id, _)| id.as_str()).collect();
    for id in ["both", "half", "gone-order", "attached", "_design/orders"] {
        assert!(ids.contains(&id), "{id}: {ids:?}");
    }
    assert!(ids.len() > 15 && !ids.contains(&"gone") && !ids.contains(&"doc-000"), "{ids:?}");
    assert_eq!(chosen["both"].as_array().map(Vec::len), Some(1));
    let attachment = arena.http().text("/chosen/attached/bill.txt")?;
    assert_eq!(attachment, "hello");
    Ok(())
}

#[test]
fn deletions_and_design_documents_stay_behind_where_that_is_wanted() -> Result<()> {
    let Some(arena) = Arena::new(1, 3, 1)? else { return Ok(()) };
    fill(&arena)?;
    let archive = arena.back_up()?;
    let all = documents(&arena, "shop")?;
    let is_deleted = |leaf: &Value| leaf["_deleted"] == true;
    let is_design = |id: &str| id.starts_with("_design/");
    assert!(all["half"].as_array().is_some_and(|leaves| leaves.iter().any(is_deleted)), "{all}");

    let alive = restored(&arena, &archive, "alive", &["--without-deleted"])?;
    assert_eq!(alive, without(&all, |_, leaf| is_deleted(leaf)));
    let designs = restored(&arena, &archive, "designs", &["--design-docs-only"])?;
    assert_eq!(designs, without(&all, |id, _| !is_design(id)));
    assert_eq!(designs.as_object().map(serde_json::Map::len), Some(3));
    let unviewed = restored(&arena, &archive, "unviewed", &["--no-views"])?;
    assert_eq!(unviewed, without(&all, |id, _| id == "_design/views"));
    let both = restored(&arena, &archive, "both", &["--no-views", "--without-deleted", "--selector", "{}"])?;
    assert_eq!(both, without(&all, |id, leaf| id == "_design/views" || is_deleted(leaf)));
    Ok(())
}

/// An unfinished restore is finished only by the same choice.
#[test]
fn another_choice_does_not_finish_what_was_begun() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    fill(&arena)?;
    let archive = arena.back_up()?;
    let choice = ["--db=shop=part", "--without-deleted"];
    let mut killed = arena.command(&archive, &choice)?;
    let status = killed.env("COUCHCOPY_TEST_KILL_AFTER_STEP", "4").status()?;
    assert!(!status.success());
    let refused = arena.restore(&archive, &["--db=shop=part"])?;
    assert_eq!(refused.code, Some(5), "{refused:#?}");
    assert!(refused.stderr.contains("with --without-deleted"), "{refused:#?}");
    let told = arena.json(0, &archive, &choice)?;
    assert_eq!(told["databases"][0]["found"], "unfinished", "{told}");
    let expected = without(&documents(&arena, "shop")?, |_, leaf| leaf["_deleted"] == true);
    assert_eq!(documents(&arena, "part")?, expected);
    Ok(())
}

#[test]
fn what_a_choice_means_is_said_before() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    fill(&arena)?;
    let archive = arena.back_up()?;
    let told =
        arena.restore(&archive, &["--db=shop=part", "--selector", SELECTOR, "--dry-run"])?.success()?;
    for words in
        ["Not all documents are restored", "--selector {\"type\": \"order\"", "brings the others back"]
    {
        assert!(told.contains(words), "{words}: {told}");
    }
    let refused = arena.restore(&archive, &["--db=shop=part", "--selector", "{\"$nosuch\": 1}"])?;
    assert_eq!(refused.code, Some(5), "{refused:#?}");
    assert!(refused.stderr.contains("Invalid operator: $nosuch"), "{refused:#?}");
    Ok(())
}
