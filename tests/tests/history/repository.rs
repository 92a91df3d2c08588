//! Backups of a repository as moments.

use couchcopy_tests::Result;
use serde_json::{Value, json};
use std::time::Duration;

use super::arena::{Arena, Changes, Content, content};

/// A backup, and what the database was when it was made.
struct Saved {
    id: String,
    begun: String,
    content: Content,
}

/// Adds a backup of the cluster to a repository.
fn save(arena: &Arena, repository: &str) -> Result<Saved> {
    let data = format!("localhost,{}", arena.cluster.nodes[0].data.display());
    let content = content(arena.http(), "shop")?;
    // Two backups of the same second could not be distinguished by a time.
    std::thread::sleep(Duration::from_millis(1100));
    arena.couchcopy(&["backup", "--repo", repository, &data])?.success()?;
    let listed: Value =
        serde_json::from_str(&arena.couchcopy(&["repo", "list", repository, "--json"])?.success()?)?;
    let backups = listed["backups"].as_array().ok_or("no backups")?;
    let newest = backups.iter().max_by_key(|backup| backup["id"].as_str()).ok_or("no backup")?;
    let text = |key: &str| newest[key].as_str().map(str::to_owned).ok_or("no text");
    Ok(Saved { id: text("id")?, begun: text("begun")?, content })
}

#[test]
fn the_backups_of_a_repository_show_when_a_state_was() -> Result<()> {
    let Some(arena) = Arena::new(2)? else { return Ok(()) };
    let http = arena.http();
    http.put("/shop", &Value::Null)?;
    let repository = arena.path("repository");
    let repository = repository.to_str().ok_or("a path that is no text")?;
    arena.couchcopy(&["repo", "init", repository])?.success()?;
    let mut changes = Changes::new(5, 60);
    changes.fill(http, "shop")?;
    let mut saved = Vec::new();
    for round in 0..4 {
        let rev = http.ask("GET", "/shop/doc", None)?.body["_rev"].clone();
        let mut document = json!({"round": round});
        if rev.is_string() {
            document["_rev"] = rev;
        }
        http.put("/shop/doc", &document)?;
        changes.round(http, "shop", 30)?;
        saved.push(save(&arena, repository)?);
        // The first two are of one file, the others of the file that the compaction wrote.
        if round == 1 {
            arena.compact("shop")?;
        }
    }
    // Every backup is the newest state of a file once for each shard, and the file is read only once.
    let lines = arena.lines(&["history", repository, "shop", "--json"])?;
    for Saved { id, begun, .. } in &saved {
        let marked = lines.iter().filter(|line| {
            line["saved"].as_array().into_iter().flatten().any(|saved| {
                saved["begun"] == **begun && saved["backup"].as_str().is_some_and(|name| name.ends_with(id))
            })
        });
        assert_eq!(marked.count(), 2, "{id}");
    }
    let ends: Vec<&str> = lines
        .iter()
        .filter(|line| line.get("begins_with").is_some())
        .filter_map(|line| line["begins_with"].as_str())
        .collect();
    assert_eq!(ends, ["compaction", "creation", "compaction", "creation"], "two files of each shard");

    // A time is the newest backup before it.
    for Saved { id, begun, content } in &saved {
        let path = std::path::Path::new(repository);
        assert!(arena.dumped(path, "shop", &["--at", begun])? == *content, "{id} of {begun}");
    }
    let early = arena.couchcopy(&["dump", repository, "shop", "--at", "2001-01-01"])?;
    assert_eq!(early.code, Some(5), "{early:#?}");

    // The revisions of a document, each with the first and the last backup that has it as the newest.
    let lines = arena.lines(&["history", repository, "shop", "doc", "--json"])?;
    assert_eq!(lines.len(), 4, "{lines:#?}");
    for (line, saved) in lines.iter().rev().zip(&saved) {
        assert_eq!(line["first"]["begun"], saved.begun, "{line}");
        let backup = line["backup"].as_str().ok_or("no backup")?;
        let rev = line["rev"].as_str().ok_or("no revision")?;
        let read = arena.lines(&["get", backup, "shop", "doc", "--rev", rev, "--json"])?;
        assert_eq!(read[0]["_rev"], rev);
    }
    Ok(())
}
