//! Into databases that have documents already.

use couchcopy_tests::Result;
use serde_json::{Value, json};

use super::arena::Arena;

fn write(arena: &Arena, path: &str, document: &Value) -> Result<String> {
    let written = arena.http().put(path, document)?;
    Ok(written["rev"].as_str().ok_or("no revision")?.to_owned())
}

#[test]
fn documents_are_added_where_that_is_asked_for_and_agreed_to() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    let http = arena.http();
    http.put("/shop", &Value::Null)?;
    let common = write(&arena, "/shop/common", &json!({"v": 0}))?;
    write(&arena, "/shop/lost", &json!({"v": "only in the archive"}))?;
    let before = write(&arena, &format!("/shop/common?rev={common}"), &json!({"v": "archive"}))?;
    let gone = write(&arena, "/shop/gone", &json!({"v": 0}))?;
    http.put("/shop/_revs_limit", &json!(500))?;
    let archive = arena.back_up()?;

    // Since then: another branch of one document, one deleted, one new, one gone without a trace, other settings.
    let docs = json!({"new_edits": false, "docs": [
        {"_id": "common", "_rev": "2-ffff", "_revisions": {"start": 2, "ids": ["ffff", common.split_once('-').ok_or("-")?.1]}, "v": "now"},
    ]});
    http.post("/shop/_bulk_docs", &docs)?;
    http.delete(&format!("/shop/gone?rev={gone}"))?;
    write(&arena, "/shop/new", &json!({"v": "only now"}))?;
    let lost = http.get("/shop/lost")?["_rev"].clone();
    http.post("/shop/_purge", &json!({"lost": [lost]}))?;
    http.put("/shop/_revs_limit", &json!(600))?;
    let security = json!({"admins": {"names": ["eve"]}, "members": {"names": []}});
    http.put("/shop/_security", &security)?;
    let now = arena.read(&["shop"])?;

    let refused = arena.restore(&archive, &["--db=shop"])?;
    assert_eq!(refused.code, Some(5), "{refused:#?}");
    for words in ["shop exists already, with 2 documents and 1 deleted one", "--merge", "NEWNAME"] {
        assert!(refused.stderr.contains(words), "{words}: {refused:#?}");
    }
    let refused = arena.restore(&archive, &["--db=shop", "--merge"])?;
    assert_eq!(refused.code, Some(5), "{refused:#?}");
    assert!(refused.stderr.contains("confirmation required"), "{refused:#?}");
    let told = arena.restore(&archive, &["--db=shop", "--merge", "--dry-run"])?.success()?;
    assert!(told.contains("ADDED to the documents that are there"), "{told}");
    arena.check(&now)?;

    let told = arena.json(0, &archive, &["--db=shop", "--merge", "-y"])?;
    assert_eq!(told["databases"][0]["found"], "documents", "{told}");
    assert_eq!(told["databases"][0]["revisions"], 2 - 1, "only what was missing is sent: {told}");
    let merged = &arena.read(&["shop"])?["shop"];
    let mut expected = now["shop"].clone();
    expected["doc_count"] = json!(3);
    expected["docs"]["lost"] = merged["docs"]["lost"].clone();
    assert_eq!(merged["docs"]["lost"][0]["v"], "only in the archive");
    assert_eq!(*merged, expected);
    assert_eq!(merged["docs"]["common"].as_array().map(Vec::len), Some(2));
    assert!(merged["docs"]["common"].to_string().contains(&before));
    assert_eq!((&merged["security"], &merged["revs_limit"]), (&security, &json!(600)));

    // Once more there is nothing to do.
    let told = arena.json(0, &archive, &["--db=shop", "--merge", "-y"])?;
    assert_eq!(told["databases"][0]["revisions"], 0, "{told}");
    Ok(())
}

/// A function that validates documents has its say where it was there before.
#[test]
fn what_a_database_does_not_take_is_told() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    let http = arena.http();
    http.put("/shop?q=1", &Value::Null)?;
    let docs: Vec<Value> = (0..50).map(|i| json!({"_id": format!("{i:02}"), "bad": i % 10 == 3})).collect();
    http.post("/shop/_bulk_docs", &json!({"docs": docs}))?;
    let attachment = json!({"a": {"content_type": "text/plain", "data": "aGVsbG8g"}});
    http.put("/shop/with", &json!({"bad": true, "_attachments": attachment}))?;
    let archive = arena.back_up()?;
    http.put("/other", &Value::Null)?;
    let refuse = "fun({New}, Old, User, Security) -> case proplists:get_value(<<\"bad\">>, New) of true -> \
                  throw({[{<<\"forbidden\">>, <<\"bad\">>}]}); _ -> true end end.";
    http.put("/other/_design/strict", &json!({"language": "erlang", "validate_doc_update": refuse}))?;
    let told = arena.json(3, &archive, &["--db=shop=other", "--merge", "-y"])?;
    let database = &told["databases"][0];
    let refused = database["refused"].as_array().ok_or("nothing refused")?;
    let ids: Vec<&str> = refused.iter().filter_map(|row| row["id"].as_str()).collect();
    assert_eq!(ids, ["03", "13", "23", "33", "43", "with"]);
    assert!(
        refused.iter().all(|row| row["reason"].as_str().is_some_and(|text| text.contains("bad"))),
        "{told}"
    );
    assert_eq!((&database["refused_revisions"], &database["revisions"]), (&json!(6), &json!(45)));
    let text = arena.restore(&archive, &["--db=shop=other"])?;
    assert_eq!(text.code, Some(3), "{text:#?}");
    assert!(text.stdout.contains("NOT RESTORED: 6 revisions"), "{text:#?}");
    // When the reason is gone the same command ends it.
    let rev = http.get("/other/_design/strict")?["_rev"].as_str().unwrap_or_default().to_owned();
    http.delete(&format!("/other/_design/strict?rev={rev}"))?;
    let told = arena.json(0, &archive, &["--db=shop=other"])?;
    assert_eq!(told["databases"][0]["revisions"], 6, "{told}");
    assert_eq!(http.get("/other")?["doc_count"], 51);
    Ok(())
}

/// A limit of the cluster that was none when the backup was made.
#[test]
fn a_document_that_is_too_large_does_not_keep_the_others_out() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    let http = arena.http();
    http.put("/shop?q=1", &Value::Null)?;
    let size = |i: usize| if i % 30 == 7 { 20_000 } else { 100 };
    let docs: Vec<Value> =
        (0..100).map(|i| json!({"_id": format!("{i:02}"), "text": "x".repeat(size(i))})).collect();
    http.post("/shop/_bulk_docs", &json!({"docs": docs}))?;
    let oracle = arena.read(&["shop"])?;
    let archive = arena.back_up()?;
    let limit = "/_node/_local/_config/couchdb/max_document_size";
    http.put(limit, &json!("10000"))?;
    let told = arena.json(3, &archive, &["--db=shop=small"])?;
    let refused = told["databases"][0]["refused"].as_array().ok_or("nothing refused")?;
    let ids: Vec<&str> = refused.iter().filter_map(|row| row["id"].as_str()).collect();
    assert_eq!(ids, ["07", "37", "67", "97"], "{told}");
    http.put(limit, &json!("8000000"))?;
    let told = arena.json(0, &archive, &["--db=shop=small"])?;
    assert_eq!(told["databases"][0]["revisions"], 4, "{told}");
    arena.check(&super::arena::renamed(&oracle, [("shop", "small")])?)
}
