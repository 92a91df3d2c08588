//! What was deleted or changed is listed and brought back.

use couchcopy_tests::Result;
use serde_json::{Value, json};

use super::arena::{Arena, winners};

#[test]
fn deleted_documents_are_listed_and_brought_back() -> Result<()> {
    let Some(arena) = Arena::new(1)? else { return Ok(()) };
    let http = arena.http();
    http.put("/shop", &Value::Null)?;
    let data = couchcopy_tests::random::text(1, 600_000).replace(|c: char| !c.is_ascii_alphanumeric(), "A");
    for id in ["a", "b", "c", "d", "e", "kept"] {
        let attachments = json!({
            "small.txt": {"content_type": "text/plain", "data": "aGVsbG8g"},
            "large.bin": {"content_type": "application/octet-stream", "data": data[..data.len() / 4 * 4]},
        });
        http.put(&format!("/shop/{id}"), &json!({"v": 1, "_attachments": attachments}))?;
    }
    let sequence = || -> Result<String> {
        Ok(http.get("/shop")?["update_seq"].as_str().ok_or("no sequence")?.to_owned())
    };
    let rev = |id: &str| -> Result<String> {
        Ok(http.get(&format!("/shop/{id}"))?["_rev"].as_str().ok_or("no revision")?.to_owned())
    };
    let then = winners(http, "shop")?;
    let before = sequence()?;
    // What went wrong.
    http.delete(&format!("/shop/a?rev={}", rev("a")?))?;
    http.delete(&format!("/shop/b?rev={}", rev("b")?))?;
    http.post("/shop/_purge", &json!({"c": [rev("c")?]}))?;
    http.put(&format!("/shop/d?rev={}", rev("d")?), &json!({"v": "wrong"}))?;
    let after = sequence()?;
    // What was meant, later.
    http.put("/shop/b", &json!({"v": "again"}))?;
    http.delete(&format!("/shop/e?rev={}", rev("e")?))?;
    http.put("/shop/new", &json!({}))?;
    let archive = arena.back_up("backup.tar.gz")?;
    let (path, node) = (archive.to_str().ok_or("a path that is no text")?, arena.node());

    let list = |more: &[&str]| -> Result<Vec<String>> {
        let lines =
            arena.lines(&[&["undelete", path, "shop", "--json", "--at-seq", &before], more].concat())?;
        let word = |line: &Value| {
            format!("{} {}", line["id"].as_str().unwrap_or("?"), line["was"].as_str().unwrap_or("?"))
        };
        Ok(lines.iter().map(word).collect())
    };
    assert_eq!(list(&["--until-seq", &after])?, ["a deleted", "b deleted", "c gone", "d changed"]);
    assert_eq!(list(&[])?, ["a deleted", "b changed", "c gone", "d changed", "e deleted", "new new"]);
    assert_eq!(list(&["--prefix=e"])?, ["e deleted"]);
    arena.refused("CC-X29", &["undelete", path, "shop"])?;
    arena.refused("CC-X30", &["undelete", path, "shop", &node])?;

    let undelete = |code: i32, more: &[&str]| -> Result<Value> {
        let arguments = [&["undelete", path, "shop", &node, "--json", "--at-seq", &before], more].concat();
        let ended = arena.couchcopy(&arguments)?;
        assert_eq!(ended.code, Some(code), "{ended:#?}");
        Ok(serde_json::from_str(&ended.stdout)?)
    };
    let plan = undelete(0, &["--all", "--dry-run"])?;
    assert_eq!(
        (&plan["deleted"], &plan["gone"], &plan["changed"]),
        (&json!(2), &json!(1), &json!(0)),
        "{plan}"
    );
    assert_eq!(http.ask("GET", "/shop/a", None)?.status, 404);
    // Only what went wrong between the two moments, and not what was changed again after.
    let result = undelete(3, &["--all", "--changed", "--until-seq", &after, "-y"])?;
    assert_eq!(
        (&result["written"], &result["plan"]["changed_later"]),
        (&json!(3), &json!(["b"])),
        "{result}"
    );
    let same = |id: &str| -> Result<()> {
        let found = winners(http, "shop")?.remove(id).ok_or("it is missing")?;
        assert_eq!(found["v"], then[id]["v"]);
        for name in ["small.txt", "large.bin"] {
            let key = |document: &Value, key: &str| document["_attachments"][name][key].clone();
            for member in ["content_type", "digest", "data"] {
                assert_eq!(key(&found, member), key(&then[id], member), "{id} {name} {member}");
            }
        }
        Ok(())
    };
    for id in ["a", "c", "d"] {
        same(id)?;
    }
    assert_eq!(http.get("/shop/b")?["v"], "again");
    assert_eq!(http.ask("GET", "/shop/e", None)?.status, 404);
    let result = undelete(0, &["--doc=b", "--doc=e", "-y"])?;
    assert_eq!(result["written"], 2, "{result}");
    same("b")?;
    same("e")?;
    // The edits are on top: nothing has lost its history.
    assert!(rev("a")?.starts_with("3-") && rev("b")?.starts_with("4-"), "{} {}", rev("a")?, rev("b")?);
    let result = undelete(0, &["--all", "--changed", "-y"])?;
    assert_eq!(result["written"], 0, "{result}");
    Ok(())
}

/// CouchDB refuses an ordinary edit on top of a deletion if the content is that of the first revision.
#[test]
fn a_document_gets_the_content_of_its_first_revision_back() -> Result<()> {
    let Some(arena) = Arena::new(1)? else { return Ok(()) };
    let http = arena.http();
    http.put("/shop", &Value::Null)?;
    let with = json!({"v": 1, "_attachments": {"a": {"content_type": "text/plain", "data": "aGVsbG8g"}}});
    for (id, first) in [("plain", &json!({"v": 1})), ("with", &with)] {
        http.put(&format!("/shop/{id}"), first)?;
    }
    let archive = arena.back_up("backup.tar.gz")?;
    for id in ["plain", "with"] {
        let path = format!("/shop/{id}");
        let mut rev = http.get(&path)?["_rev"].clone();
        for v in 2..4 {
            rev = http.put(&path, &json!({"v": v, "_rev": rev}))?["rev"].clone();
        }
        http.delete(&format!("{path}?rev={}", rev.as_str().ok_or("no revision")?))?;
    }
    let (path, node) = (archive.to_str().ok_or("a path that is no text")?, arena.node());
    arena.couchcopy(&["undelete", path, "shop", &node, "--all", "-y"])?.success()?;
    for id in ["plain", "with"] {
        let found = http.get(&format!("/shop/{id}"))?;
        assert_eq!(found["v"], 1);
        assert!(found["_rev"].as_str().is_some_and(|rev| rev.starts_with("5-")), "{found}");
        assert_eq!(found["_attachments"].is_object(), id == "with");
    }
    Ok(())
}
