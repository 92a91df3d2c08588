//! Everything of a database comes back, and nothing else changes.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use couchcopy_tests::compare::compare;
use couchcopy_tests::content::read_cluster;
use couchcopy_tests::lab::{back_up, fill_zoo};
use couchcopy_tests::{Result, fixtures};
use serde_json::{Map, Value, json};

use super::arena::{Arena, renamed};

/// Writes to a database until it is told to stop; gives how many documents.
fn write(arena: &Arena, stop: &AtomicBool) -> Result<u64> {
    arena.http().put("/elsewhere", &Value::Null)?;
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        let docs: Vec<Value> =
            (0..20).map(|i| json!({"_id": format!("{:09}", written + i), "text": "x".repeat(300)})).collect();
        arena.http().post("/elsewhere/_bulk_docs", &json!({"docs": docs}))?;
        written += 20;
    }
    Ok(written)
}

/// Brings every database of an archive back under other names while somebody writes elsewhere.
fn check_all(arena: &Arena, archive: &Path, oracle: &Value, prefix: &str) -> Result<()> {
    let names: Vec<(String, String)> = oracle
        .as_object()
        .ok_or("no databases")?
        .keys()
        .map(|name| (name.clone(), format!("{prefix}$(1)+/{}", name.trim_start_matches('_'))))
        .collect();
    let mut arguments: Vec<String> = names.iter().map(|(from, to)| format!("--db={from}={to}")).collect();
    arguments.push("--local".into());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let told = arena.json(0, archive, &arguments)?;
    let databases = told["databases"].as_array().ok_or("no databases")?;
    assert_eq!(databases.len(), names.len());
    for database in databases {
        assert_eq!((&database["found"], &database["refused"]), (&json!("nothing"), &json!([])), "{told}");
    }
    arena.check(&renamed(oracle, names.iter().map(|(from, to)| (from.as_str(), to.as_str())))?)
}

#[test]
fn every_database_of_every_fixture_under_another_name_while_others_are_written() -> Result<()> {
    let Some(arena) = Arena::new(2, 2, 2)? else { return Ok(()) };
    fill_zoo(arena.http())?;
    arena.cluster.wait_until_settled(couchcopy_tests::lab::query_zoo)?;
    let bystanders: Vec<String> = serde_json::from_value(arena.http().get("/_all_dbs")?)?;
    let bystanders: Vec<&str> = bystanders.iter().map(String::as_str).collect();
    let before = arena.read(&bystanders)?;
    let (one, four, files) = (fixtures::single_node()?, fixtures::four_nodes()?, fixtures::couch_files()?);
    let archives = ["one", "four", "pre", "post"].map(|name| arena.path(&format!("{name}.tar.gz")));
    back_up(&one.nodes, &archives[0])?;
    back_up(&four.nodes, &archives[1])?;
    for (moment, archive) in [("pre", &archives[2]), ("post", &archives[3])] {
        back_up(&[fixtures::Node { name: String::new(), data: files.data(moment) }], archive)?;
    }
    let stop = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(&arena, &stop));
        let restored = || -> Result<()> {
            check_all(&arena, &archives[0], &fixtures::oracle("single-node")?, "one")?;
            check_all(&arena, &archives[1], &fixtures::oracle("four-nodes-n2")?, "four")?;
            // What HTTP said of these is compared with what is read where the reader is tested.
            check_all(&arena, &archives[2], &read_cluster(&[&files.data("pre")])?, "pre")?;
            check_all(&arena, &archives[3], &read_cluster(&[&files.data("post")])?, "post")?;
            check_all(
                &arena,
                &fixtures::path("couchcopy-0.2.4.tar.gz"),
                &fixtures::oracle("single-node")?,
                "python",
            )
        };
        let restored = restored();
        stop.store(true, Ordering::Relaxed);
        let written = writer.join().unwrap_or_else(|_| Err("the writer panicked".into()));
        restored.and(written)
    })?;
    assert_eq!(arena.http().get("/elsewhere")?["doc_count"], written);
    assert_eq!(compare(&before, &arena.read(&bystanders)?), [""; 0]);
    Ok(())
}

/// Under their own names into a cluster that has lost them, users among them, who can log in then.
#[test]
fn databases_that_were_deleted() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    fill_zoo(arena.http())?;
    let views = json!({"map": "fun({Doc}) -> Emit(proplists:get_value(<<\"n\">>, Doc), 1) end."});
    let refuse = "fun(New, Old, User, Security) -> throw({[{<<\"forbidden\">>, <<\"nothing is good enough\">>}]}) end.";
    arena.http().put(
        "/plain/_design/strict",
        &json!({"language": "erlang", "views": {"n": views}, "validate_doc_update": refuse}),
    )?;
    arena.cluster.wait_until_settled(couchcopy_tests::lab::query_zoo)?;
    let archive = arena.back_up()?;
    let names =
        ["plain", "atts", "parts", "secure", "revslimit", "_users", "name_with-all$(chars)+and/slash"];
    let before = arena.read(&names)?;
    for name in names {
        arena.http().delete(&format!("/{}", couchcopy_tests::lab::encode(name)))?;
    }
    let flags: Vec<String> = names.iter().map(|name| format!("--db={name}")).collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let told = arena.restore(&archive, &[&["--dry-run"], &flags[..]].concat())?.success()?;
    for words in ["plain: 1001 documents and 0 deleted documents", "2 ranges, 1 copy of each, partitioned"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert_eq!(arena.http().ask("GET", "/plain", None)?.status, 404);
    let told = arena.restore(&archive, &flags)?.success()?;
    assert!(told.contains("nothing is missing") && !told.contains("NOT"), "{told}");
    arena.check(&before)?;
    couchcopy_tests::lab::check_login(arena.http())?;
    // The design document is at work again.
    let refused = arena.http().ask("PUT", "/plain/new", Some(&json!({})))?;
    assert_eq!(refused.status, 403, "{refused:?}");
    Ok(())
}

/// As many copies as before, or as told.
#[test]
fn copies() -> Result<()> {
    let Some(arena) = Arena::new(3, 2, 3)? else { return Ok(()) };
    arena.http().put("/two?n=2&q=3", &Value::Null)?;
    arena.http().put("/two/doc", &json!({}))?;
    let archive = arena.back_up()?;
    let copies = |db: &str| -> Result<(usize, Vec<usize>)> {
        let shards = arena.http().get(&format!("/{db}/_shards"))?["shards"].clone();
        let shards: Map<String, Value> = serde_json::from_value(shards)?;
        Ok((shards.len(), shards.values().map(|nodes| nodes.as_array().map_or(0, Vec::len)).collect()))
    };
    arena.restore(&archive, &["--db=two=same"])?.success()?;
    assert_eq!(copies("same")?, (3, vec![2, 2, 2]));
    arena.restore(&archive, &["--db=two=more", "--n=3"])?.success()?;
    assert_eq!(copies("more")?, (3, vec![3, 3, 3]));
    Ok(())
}
