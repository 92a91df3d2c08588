//! Databases that replace a newer state come back under a new suffix, so that indexes outside the data folder cannot take them
//! for what they knew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Http, Installation, Size, ViewState, encode, run, shards, views, wait_for};
use couchcopy_tests::live::{Plan, Reach, Site};
use serde_json::{Value, json};

use super::nouveau::Nouveau;

/// A cluster whose nodes have more settings than usual, and more lines in the script that starts them. `INDEX` in settings is a
/// folder beside the nodes, relative to the one that CouchDB is started in.
fn site(nodes: u8, settings: &str, script: &str) -> Result<Option<Site>> {
    let plan = Plan { size: Size { nodes, q: 2, n: nodes.into() }, reach: Reach::Here };
    let Some(site) = Site::prepare(plan)? else { return Ok(None) };
    let Some(couchdb) = Installation::find() else { return Ok(None) };
    let index = relative(&couchdb.home.canonicalize()?, &site.path("index"));
    let settings = settings.replace("INDEX", &index.display().to_string());
    for node in &site.nodes {
        let folder = node.data.parent().ok_or("a data folder without a folder")?;
        fs::write(folder.join("etc/local.d/more.ini"), &settings)?;
    }
    for control in &site.controls {
        let text = fs::read_to_string(control.script())?;
        let (first, rest) = text.split_once('\n').ok_or("an empty script")?;
        fs::write(control.script(), format!("{first}\n{script}\n{rest}"))?;
    }
    site.start_nodes()?;
    couchcopy_tests::lab::join(&site.nodes)?;
    for db in ["_users", "_replicator"] {
        site.http().put(&format!("/{db}"), &Value::Null)?;
    }
    Ok(Some(site))
}

fn add(http: &Http, kind: &str, count: usize) -> Result<()> {
    let docs: Vec<Value> = (0..count).map(|i| json!({"_id": format!("{kind}-{i:03}"), "k": i})).collect();
    let answer = http.post("/shop/_bulk_docs", &json!({"docs": docs}))?;
    assert_eq!(answer.as_array().map(Vec::len), Some(count));
    Ok(())
}

fn rows(http: &Http) -> Result<BTreeSet<String>> {
    let answer = http.get("/shop/_design/d/_view/by_k")?;
    let rows = answer["rows"].as_array().ok_or("no rows")?;
    let ids: BTreeSet<String> =
        rows.iter().filter_map(|row| row["id"].as_str().map(ToOwned::to_owned)).collect();
    assert_eq!(ids.len(), rows.len(), "a document is there twice");
    Ok(ids)
}

fn ids(kinds: &[(&str, usize)]) -> BTreeSet<String> {
    kinds.iter().flat_map(|(kind, count)| (0..*count).map(move |i| format!("{kind}-{i:03}"))).collect()
}

/// The suffix of a database in a node's shard map.
fn suffix(http: &Http, db: &str) -> Result<String> {
    let map = http.get(&format!("/_node/_local/_dbs/{}", encode(db)))?;
    let codes = map["shard_suffix"].as_array().ok_or("no suffix")?;
    Ok(codes
        .iter()
        .filter_map(Value::as_u64)
        .filter_map(|code| u8::try_from(code).ok())
        .map(char::from)
        .collect())
}

/// A path that leads from one folder to another one.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let up: PathBuf = from.components().skip(1).map(|_| "..").collect();
    up.join(to.strip_prefix("/").unwrap_or(to))
}

fn wait_for_commit(index: &Path, data: &Path) -> Result<()> {
    wait_for("the index of the view to be committed", || {
        let (shards, views) = (shards(data)?, views(index)?);
        let current = |view: &ViewState| shards.get(&view.shard).is_some_and(|shard| shard.seq == view.seq);
        // Those of the database before are still there.
        let is_of_shop =
            |view: &&ViewState| view.shard.contains("/shop.") && shards.contains_key(&view.shard);
        let of_shop: Vec<_> = views.values().filter(is_of_shop).collect();
        Ok((of_shop.len() == 2 && of_shop.into_iter().all(current)).then_some(()))
    })
}

#[test]
fn views_outside_the_data_folder_are_right_after_an_older_state_came_back() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let Some(site) = site(1, "[couchdb]\nview_index_dir = INDEX\n", "")? else { return Ok(()) };
    let index = site.path("index");
    let index = index.as_path();
    let http = site.http();
    http.put("/shop", &Value::Null)?;
    let map = "fun({Doc}) -> Emit(proplists:get_value(<<\"k\">>, Doc), null) end.";
    http.put("/shop/_design/d", &json!({"language": "erlang", "views": {"by_k": {"map": map}}}))?;
    add(http, "saved", 100)?;
    let archive = site.path("older.tar.gz");
    site.back_up(&archive)?;
    add(http, "newer", 50)?;
    assert_eq!(rows(http)?, ids(&[("saved", 100), ("newer", 50)]));
    wait_for_commit(index, &site.nodes[0].data)?;
    let old = suffix(http, "shop")?;

    let told = site.couchcopy(&["check"])?.success()?;
    assert!(told.contains("view_index_dir is"), "{told}");
    let archived = archive.display().to_string();
    let refused = site.couchcopy(&["restore", "-y", "--keep-suffix", &archived])?;
    assert_eq!(refused.code, Some(5), "{refused:#?}");
    assert!(refused.stderr.contains("--keep-suffix"), "{refused:#?}");
    let planned = site.couchcopy(&["restore", "--dry-run", "--json", &archived])?.success()?;
    let planned: Value = serde_json::from_str(&planned)?;
    assert_eq!(planned["left_behind"][0]["what"], "view indexes", "{planned:#}");

    let told = site.restore(&archive, &["--json"])?.success()?;
    let told: Value = serde_json::from_str(&told)?;
    let new = suffix(http, "shop")?;
    assert_eq!(told["new_suffix"], json!(new), "{told:#}");
    assert_ne!(new, old);
    add(http, "added", 20)?;
    assert_eq!(rows(http)?, ids(&[("saved", 100), ("added", 20)]));
    wait_for_commit(index, &site.nodes[0].data)?;

    let names = || -> Result<Vec<String>> { Ok(views(index)?.into_keys().collect()) };
    assert_eq!(names()?.iter().filter(|path| path.contains(&format!("/shop{old}_design"))).count(), 2);
    let remove = told["left_behind"][0]["remove"].as_str().ok_or("nothing to do")?;
    let (_, command) = remove.split_once(": ").ok_or("no command")?;
    run(Command::new("sh").args(["-c", command]).current_dir(&couchdb.home))?.success()?;
    let left = names()?;
    assert!(!left.is_empty() && left.iter().all(|path| path.contains(&new)), "{left:#?}");
    add(http, "later", 5)?;
    assert_eq!(rows(http)?, ids(&[("saved", 100), ("added", 20), ("later", 5)]));
    Ok(())
}

#[test]
fn search_indexes_of_a_newer_state_are_not_asked_again() -> Result<()> {
    if Installation::find().is_none() {
        return Ok(());
    }
    let nouveau = Nouveau::start()?;
    let server = nouveau.query_server()?;
    let settings = format!("[nouveau]\nenable = true\nurl = {}\n", nouveau.url());
    let script = format!("export COUCHDB_QUERY_SERVER_TEST='{}'", server.display());
    let Some(site) = site(2, &settings, &script)? else { return Ok(()) };
    let http = site.http();
    let search = |wanted: u64| -> Result<()> {
        wait_for("the hits", || {
            let found = http.get("/shop/_design/d/_nouveau/all?q=*:*")?;
            match found["total_hits"].as_u64() {
                Some(hits) if hits == wanted => Ok(Some(())),
                _ => Err(found.to_string().into()),
            }
        })
    };
    http.put("/shop?n=1", &Value::Null)?;
    http.put("/shop/_design/d", &json!({"language": "test", "nouveau": {"all": {"index": "everything"}}}))?;
    add(http, "saved", 50)?;
    let archive = site.path("older.tar.gz");
    site.back_up(&archive)?;
    add(http, "newer", 40)?;
    search(90)?;
    let old = suffix(http, "shop")?;
    assert!(
        nouveau.asked().iter().any(|path| path.contains(&format!("shop{old}"))),
        "{:#?}",
        nouveau.asked()
    );

    let before = nouveau.asked().len();
    let told = site.restore(&archive, &[])?.success()?;
    assert!(told.contains("search indexes of nouveau"), "{told}");
    let new = suffix(http, "shop")?;
    add(http, "added", 10)?;
    search(60)?;
    let asked = nouveau.asked().split_off(before);
    assert!(asked.iter().any(|path| path.contains(&format!("shop{new}"))), "{asked:#?}");
    assert!(!asked.iter().any(|path| path.contains(&format!("shop{old}"))), "{asked:#?}");

    // The command that is told removes what is left behind.
    assert!(nouveau.indexes().iter().any(|name| name.contains(&old)));
    for line in told.lines().filter(|line| line.contains("curl -X DELETE")) {
        let (_, command) = line.split_once(": curl").ok_or("no command")?;
        run(Command::new("sh").args(["-c", &format!("curl{command}")]))?.success()?;
    }
    assert_eq!(nouveau.indexes(), Vec::<String>::new());
    search(60)
}

/// All copies on all nodes have the same suffix, another one than ever before; views come along and answer as they are.
#[test]
fn a_new_suffix_is_the_same_everywhere_and_a_killed_restore_remembers_it() -> Result<()> {
    let Some(site) = site(2, "", "")? else { return Ok(()) };
    let http = site.http();
    http.put("/shop", &Value::Null)?;
    let map = "fun({Doc}) -> Emit(proplists:get_value(<<\"k\">>, Doc), null) end.";
    http.put("/shop/_design/d", &json!({"language": "erlang", "views": {"by_k": {"map": map}}}))?;
    add(http, "saved", 30)?;
    rows(http)?;
    site.wait_until_settled(|http| if rows(http).is_ok() { Ok(()) } else { Err("no rows".into()) })?;
    let archive = site.path("older.tar.gz");
    site.back_up(&archive)?;
    let databases = ["_users", "_replicator", "shop"];
    let of_nodes =
        || -> Result<BTreeSet<String>> {
            let mut all = BTreeSet::new();
            for node in &site.nodes {
                for db in databases {
                    all.insert(suffix(&node.http, db)?);
                }
                let found = shards(&node.data)?;
                assert_eq!(found.len(), 6, "{found:#?}");
                all.extend(found.into_keys().filter_map(|path| {
                    Some(format!(".{}", path.strip_suffix(".couch")?.rsplit_once('.')?.1))
                }));
            }
            Ok(all)
        };
    let mut seen = of_nodes()?;

    let archived = archive.display().to_string();
    let mut killed = site.command(&["restore", "-y", "-v", &archived])?;
    killed.env("COUCHCOPY_TEST_KILL_AFTER_STEP", "6");
    let killed = run(&mut killed)?.unwrapped();
    assert_eq!(killed.code, None, "{killed:#?}");
    let journal = fs::read(site.nodes[0].data.join(".couchcopy/journal.json"))?;
    let journal: Value = serde_json::from_slice(&journal)?;
    let chosen = journal["options"]["new_suffix"].as_str().ok_or("no suffix in the journal")?.to_owned();
    let resumed = site.couchcopy(&["restore", "-y", "--resume", "--json"])?.success()?;
    let resumed: Value = serde_json::from_str(&resumed)?;
    assert_eq!(resumed["new_suffix"], json!(chosen));
    assert_eq!(of_nodes()?, BTreeSet::from([chosen.clone()]));
    assert!(!seen.contains(&chosen));
    seen.insert(chosen);
    let log = site.nodes[0].log().len();
    assert_eq!(rows(http)?, ids(&[("saved", 30)]));
    let log = site.nodes[0].log().split_off(log);
    assert!(!log.contains("Starting index update"), "{log}");

    // Again, over HTTP, and back to what the archive has.
    site.restore(&archive, &["--maps", "http"])?.success()?;
    let again = of_nodes()?;
    assert_eq!(again.len(), 1, "{again:?}");
    assert!(seen.is_disjoint(&again), "{seen:?} {again:?}");
    site.restore(&archive, &["--keep-suffix"])?.success()?;
    assert!(of_nodes()?.is_subset(&seen));
    assert_eq!(rows(http)?, ids(&[("saved", 30)]));
    site.check_nothing_left()
}
