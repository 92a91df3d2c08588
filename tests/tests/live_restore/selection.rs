//! Some of an archive's databases replace all of a cluster's.

use std::path::Path;

use couchcopy_tests::lab::{Ended, Size, back_up, run};
use couchcopy_tests::live::{Plan, Reach, Site};
use couchcopy_tests::{Result, fixtures};
use serde_json::{Map, Value, json};

const SELECTION: [&str; 5] =
    ["--only=*s", "--only=q8", "--except=_*", "--rename=views=new/views$", "--rename=atts=q8-atts"];

fn name(db: &str) -> Option<&str> {
    match db {
        "views" => Some("new/views$"),
        "atts" => Some("q8-atts"),
        "conflicts" | "locals" | "parts" | "q8" => Some(db),
        _ => None,
    }
}

/// Number of the first step of this name.
fn step(told: &Ended, what: &str) -> Result<String> {
    let mut steps = told.stderr.lines().filter_map(|line| line.strip_prefix("step ")?.split_once(": "));
    let found = steps.find(|(_, name)| name.starts_with(what)).map(|(number, _)| number.to_owned());
    Ok(found.ok_or_else(|| format!("no step {what}: {told:#?}"))?)
}

fn restore(site: &Site, archive: &Path, more: &[&str], killed_after: &str) -> Result<Ended> {
    let archive = archive.to_str().ok_or("a path that is no text")?;
    let mut command = site.command(&[&["restore", "-v", archive], &SELECTION[..], more].concat())?;
    command.env("COUCHCOPY_TEST_KILL_AFTER_STEP", killed_after);
    Ok(run(&mut command)?.unwrapped())
}

#[test]
fn what_is_not_chosen_is_gone_as_was_said_and_a_killed_restore_remembers_the_choice() -> Result<()> {
    let plan = Plan { size: Size { nodes: 2, q: 2, n: 2 }, reach: Reach::Here };
    let Some(site) = Site::start(plan)? else { return Ok(()) };
    let archive = site.path("one.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    site.http().put("/here-before", &Value::Null)?;
    site.http().put("/q8", &Value::Null)?;
    site.wait_until_settled(|_| Ok(()))?;
    let oracle = fixtures::oracle("single-node")?;
    let databases = oracle.as_object().ok_or("no databases")?;
    let expected: Value = databases
        .iter()
        .filter_map(|(db, content)| Some((name(db)?.to_owned(), content.clone())))
        .collect::<Map<_, _>>()
        .into();
    assert_eq!(expected.as_object().map(Map::len), Some(6));

    let told = restore(&site, &archive, &["--dry-run"], "")?.success()?;
    for words in [
        "6 databases",
        "10 databases of the archive",
        "views to new/views$",
        "LOST: 3 databases of the cluster will be GONE",
        "_replicator, _users, here-before",
        "couchcopy restore --db",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let told = restore(&site, &archive, &["--dry-run", "--json"], "")?.success()?;
    let told: Value = serde_json::from_str(&told)?;
    assert_eq!(told["selection"]["gone"], json!(["_replicator", "_users", "here-before"]));
    assert_eq!(told["selection"]["not_chosen"], 10);
    assert_eq!(told["selection"]["only"], json!(["*s", "q8"]));
    let refused = restore(&site, &archive, &["-y", "--only=nosuch"], "")?;
    assert_eq!(refused.code, Some(5), "{refused:#?}");

    let ended = restore(&site, &archive, &["-y"], "")?;
    let steps = [step(&ended, "begun")?, step(&ended, "exchanged")?];
    ended.success()?;
    site.check_content(&expected)?;
    site.check_nothing_left()?;
    for killed_after in steps {
        let killed = restore(&site, &archive, &["-y"], &killed_after)?;
        assert_eq!(killed.code, None, "{killed:#?}");
        println!("killed after step {killed_after}: {:?}", site.situations()?);
        let resumed = site.couchcopy(&["restore", "-y", "--resume", "--json"])?.success()?;
        let resumed: Value = serde_json::from_str(&resumed)?;
        assert_eq!((&resumed["databases"], &resumed["not_chosen"]), (&json!(6), &json!(10)), "{resumed}");
        assert_eq!(resumed["renamed"][0]["to"], "new/views$");
        site.check_content(&expected)?;
        site.check_nothing_left()?;
    }
    Ok(())
}

/// Renamed databases' view indexes are taken by CouchDB (the fixture has one, that of the Mango index), and shard maps made over HTTP are those of the files.
#[test]
fn a_renamed_database_needs_nothing_built_anew() -> Result<()> {
    let plan = Plan { size: Size { nodes: 1, q: 2, n: 1 }, reach: Reach::Here };
    let Some(site) = Site::start(plan)? else { return Ok(()) };
    let archive = site.path("one.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    for maps in ["file", "http"] {
        site.restore(&archive, &["--rename=views=z/v", "--maps", maps])?.success()?;
        let log = site.nodes[0].log().len();
        let index = site.http().post("/z%2Fv/_find", &json!({"selector": {"k": 3}, "limit": 1}))?;
        assert_eq!(index["docs"].as_array().map(Vec::len), Some(1), "{index}");
        let log = site.nodes[0].log().split_off(log);
        assert!(!log.contains("Starting index update"), "{log}");
    }
    Ok(())
}
