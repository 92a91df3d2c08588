//! The host name has changed.

use couchcopy_tests::Result;
use couchcopy_tests::live::Reach;
use serde_json::{Value, json};

use super::arena::Arena;

fn after_the_host_name_has_changed(reach: Reach) -> Result<()> {
    let Some(mut arena) = Arena::new(3, reach)? else { return Ok(()) };
    let http = arena.site.nodes[1].http.clone();
    let seq = http.get("/shop/_changes")?["last_seq"].as_str().unwrap_or_default().to_owned();
    arena.stop()?;
    arena.configure_other()?;
    arena.site.start_nodes()?;
    // What the administrator sees: CouchDB runs, and its databases do not open.
    let answer = http.ask("GET", "/shop/doc1", None)?;
    assert!(answer.status >= 400, "{answer:?}");

    let pairs = arena.pairs();
    let mut arguments = vec!["rename-node", "--dry-run"];
    arguments.extend(pairs.iter().map(String::as_str));
    let told = arena.couchcopy(&arguments, &[])?.success()?;
    let (old, new) = arena.names();
    for text in [format!("{} becomes {}", old[0], new[0]), format!("CouchDB answers as {}", new[2])] {
        assert!(told.contains(&text), "{text}: {told}");
    }
    arguments.insert(2, "--json");
    let plan: Value = serde_json::from_str(&arena.couchcopy(&arguments, &[])?.success()?)?;
    assert_eq!(plan["databases"], json!(5), "{plan:#}");
    assert_eq!(plan["maps"], json!(5), "{plan:#}");

    let told = arena.rename(&[], &[])?.success()?;
    assert!(told.contains("All nodes agree"), "{told}");
    arena.check_new()?;
    // Consumers of changes go on: at most they read something again.
    let rows = http.get(&format!("/shop/_changes?since={seq}"))?;
    let rows = rows["results"].as_array().ok_or("no results")?.iter();
    for i in 0..3 {
        assert!(rows.clone().any(|row| row["id"] == json!(format!("later1-{i}"))), "later1-{i}");
    }
    println!("{} rows since before", rows.count());

    // Back again, from nodes that run under the names that they have.
    arena.configure_other()?;
    arena.rename(&["--keep-old"], &[])?.success()?;
    assert_eq!(arena.site.couchcopy(&["status", "--json"])?.code, Some(0));
    arena.check_new()
}

#[test]
fn after_the_host_name_has_changed_here() -> Result<()> {
    after_the_host_name_has_changed(Reach::Here)
}

#[test]
fn after_the_host_name_has_changed_on_other_machines() -> Result<()> {
    after_the_host_name_has_changed(Reach::Ssh)
}

/// The configuration still has the old names: the old files come back, and the message says what to change.
#[test]
fn a_node_that_starts_under_its_old_name_is_named() -> Result<()> {
    let Some(mut arena) = Arena::new(2, Reach::Here)? else { return Ok(()) };
    let ended = arena.rename(&[], &[])?;
    assert_eq!(ended.code, Some(9), "{ended:#?}");
    for text in ["its name is still", "-name", "vm.args", "the old data is back in place", "CC-R79"] {
        assert!(ended.stderr.contains(text), "{text}: {ended:#?}");
    }
    arena.check_old()
}

/// Kept old files come back on request.
#[test]
fn it_can_be_undone() -> Result<()> {
    let Some(mut arena) = Arena::new(2, Reach::Here)? else { return Ok(()) };
    arena.configure_other()?;
    arena.rename(&["--keep-old"], &[])?.success()?;
    assert_eq!(arena.site.situations()?, ["done", "done"]);
    let refused = arena.couchcopy(&["restore", "-y", "--resume"], &[])?;
    assert_eq!(refused.code, Some(5), "{refused:#?}");
    assert!(refused.stderr.contains("rename-node --resume"), "{refused:#?}");
    arena.configure_current()?;
    arena.couchcopy(&["rename-node", "-y", "-v", "--roll-back"], &[])?.success()?;
    arena.check_old()
}
