//! The revisions of a document that can still be read.

use couchcopy_tests::Result;
use serde_json::{Value, json};

use super::arena::Arena;

/// Every revision that was ever written is listed with when it was seen, and `get --rev` reads it: ancestors, deleted, purged and
/// conflicting ones.
#[test]
fn every_revision_that_a_file_holds_is_listed_and_read() -> Result<()> {
    let Some(arena) = Arena::new(2)? else { return Ok(()) };
    let http = arena.http();
    http.put("/shop", &Value::Null)?;
    let mut written: Vec<Value> = Vec::new();
    let mut put = |mut document: Value| -> Result<String> {
        let answer = http.put("/shop/doc", &document)?;
        let rev = answer["rev"].as_str().ok_or("no revision")?.to_owned();
        document["_rev"] = json!(rev);
        document["_id"] = json!("doc");
        written.push(document);
        Ok(rev)
    };
    let mut rev = put(json!({"v": 0}))?;
    for v in 1..5 {
        rev = put(json!({"v": v, "_rev": rev}))?;
        // Other documents have their own commits in between.
        http.put(&format!("/shop/other-{v}"), &json!({}))?;
    }
    http.post("/shop/_purge", &json!({"doc": [rev]}))?;
    http.put("/shop/other", &json!({}))?;
    let first = put(json!({"v": "again"}))?;
    let last = put(json!({"v": "last", "_rev": first}))?;
    let conflict = json!({"_id": "doc", "_rev": "1-00000000000000000000000000000001", "v": "other"});
    http.post("/shop/_bulk_docs", &json!({"new_edits": false, "docs": [conflict]}))?;
    written.push(conflict);
    let deleted = http.delete(&format!("/shop/doc?rev={last}"))?["rev"].clone();
    written.push(json!({"_id": "doc", "_rev": deleted, "_deleted": true}));

    let archive = arena.back_up("backup.tar.gz")?;
    let path = archive.to_str().ok_or("a path that is no text")?;
    let lines = arena.lines(&["history", path, "shop", "doc", "--json"])?;
    assert_eq!(lines.len(), written.len(), "{lines:#?}");
    for document in &written {
        let rev = document["_rev"].as_str().ok_or("no revision")?;
        let line = lines.iter().find(|line| line["rev"] == rev).ok_or_else(|| format!("{rev} is missing"))?;
        assert!(line["first"]["sequence"].as_u64() <= line["last"]["sequence"].as_u64(), "{line}");
        assert_eq!(line["written"], line["first"]["sequence"], "every commit had one change: {line}");
        let read = arena.lines(&["get", path, "shop", "doc", "--rev", rev, "--json"])?;
        assert_eq!(read, std::slice::from_ref(document));
        if let Some(seq) = line["at_seq"].as_u64() {
            let shard = line["shard"].as_str().ok_or("no shard")?;
            let [_, range, _] = shard.split('/').collect::<Vec<_>>()[..] else { return Err(shard.into()) };
            let (seq, next) = (format!("--at-seq={range}={seq}"), format!("--at-seq={range}={}", seq + 1));
            let read = arena.lines(&["get", path, "shop", "doc", "--rev", rev, "--json", &seq])?;
            assert_eq!(read, std::slice::from_ref(document));
            arena.refused("CC-C1", &["get", path, "shop", "doc", "--rev", rev, &next])?;
        }
    }
    let text = arena.couchcopy(&["history", path, "shop", "doc"])?.success()?;
    assert!(text.contains("(deleted)") && text.contains(&first), "{text}");
    arena.refused("CC-H10", &["history", path, "shop", "never"])?;
    arena.refused("CC-H09", &["history", path, "never", "doc"])?;
    arena.refused("CC-X26", &["history", path])?;
    arena.refused("CC-C14", &["get", path, "shop", "doc", "--rev", "9-ff"])?;

    // After a compaction, the purged ones and the ancestors are gone.
    arena.compact("shop")?;
    let compacted = arena.back_up("compacted.tar.gz")?;
    let path = compacted.to_str().ok_or("a path that is no text")?;
    let lines = arena.lines(&["history", path, "shop", "doc", "--json"])?;
    let revs: Vec<&Value> = lines.iter().map(|line| &line["rev"]).collect();
    assert_eq!(revs, [&deleted, &json!("1-00000000000000000000000000000001")]);
    arena.refused("CC-C11", &["get", path, "shop", "doc", "--rev", &first])?;
    arena.refused("CC-C14", &["get", path, "shop", "doc", "--rev", &rev])?;
    Ok(())
}
