//! What lies in a data folder and belongs to no database: a restore keeps it, or names it and refuses.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use couchcopy_tests::lab::{Size, back_up, read_over_http, run, skipped, wait_for};
use couchcopy_tests::live::{Plan, Reach, Site};
use couchcopy_tests::{Result, fixtures};
use couchfile::writer::{DatabaseWriter, Settings, random_uuid};
use rustix::process::getuid;
use serde_json::{Value, json};

/// Files below `shards` of a data folder whose paths have this in them.
fn having(data: &Path, what: &str) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = fixtures::files_below(data)?
        .into_iter()
        .filter(|path| path.starts_with("shards/") && path.contains(what))
        .map(PathBuf::from)
        .collect();
    found.sort();
    Ok(found)
}

fn deleted_with_recovery(site: &Site) -> Result<()> {
    for node in &site.nodes {
        node.http.put("/_node/_local/_config/couchdb/enable_database_recovery", &json!("true"))?;
    }
    for db in ["gone", "team%2Fgone"] {
        site.http().put(&format!("/{db}?q=5"), &Value::Null)?;
        site.http().put(&format!("/{db}/doc"), &json!({"last": "copy"}))?;
        site.http().delete(&format!("/{db}"))?;
    }
    wait_for("CouchDB to keep the files", || {
        let kept = having(&site.nodes[0].data, ".deleted.couch")?;
        Ok((kept.len() == 10 && having(&site.nodes[0].data, "gone")?.len() == 10).then_some(()))
    })
}

fn deleted_databases_stay(reach: Reach) -> Result<()> {
    let plan = Plan { size: Size { nodes: 2, q: 2, n: 2 }, reach };
    let Some(site) = Site::start(plan)? else { return Ok(()) };
    deleted_with_recovery(&site)?;
    let archive = site.path("one.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    let contents = || -> Result<Vec<(PathBuf, Vec<u8>)>> {
        let data = &site.nodes[0].data;
        let kept = having(data, ".deleted.couch")?;
        kept.into_iter().map(|path| Ok((path.clone(), fs::read(data.join(path))?))).collect()
    };
    let before = contents()?;
    assert_eq!(before.len(), 10);

    let told = site.couchcopy(&["check"])?.success()?;
    assert!(told.contains("10 files of deleted databases stay in place"), "{told}");
    let archived = archive.display().to_string();
    let told = site.couchcopy(&["restore", "--dry-run", &archived])?.success()?;
    assert!(told.contains("KEPT, files of deleted databases: 10"), "{told}");
    let told = site.couchcopy(&["restore", "--dry-run", "--json", &archived])?.success()?;
    let told: Value = serde_json::from_str(&told)?;
    assert_eq!(told["nodes"][0]["kept"].as_array().map(Vec::len), Some(10), "{told:#}");

    site.restore(&archive, &[])?.success()?;
    assert_eq!(contents()?, before);
    site.check_content(&fixtures::oracle("single-node")?)?;
    // Kept for a while, brought back, and removed at last.
    site.restore(&archive, &["--keep-old"])?.success()?;
    site.couchcopy(&["restore", "-y", "--roll-back"])?.success()?;
    assert_eq!(contents()?, before);
    site.restore(&archive, &["--keep-old"])?.success()?;
    site.couchcopy(&["clean"])?.success()?;
    assert_eq!(contents()?, before);
    site.check_content(&fixtures::oracle("single-node")?)?;
    site.check_nothing_left()?;

    // CouchDB can still be given one of them back, and can make files beside them.
    site.http().put("/later?q=5", &Value::Null)?;
    site.http().put("/later/doc", &json!({}))?;
    Ok(())
}

#[test]
fn files_of_deleted_databases_stay_in_place() -> Result<()> {
    deleted_databases_stay(Reach::Here)
}

#[test]
fn files_of_deleted_databases_stay_in_place_on_other_machines() -> Result<()> {
    deleted_databases_stay(Reach::Ssh)
}

#[test]
fn files_that_no_shard_map_names_are_named_before_they_are_removed() -> Result<()> {
    let plan = Plan { size: Size { nodes: 1, q: 2, n: 1 }, reach: Reach::Here };
    let Some(site) = Site::start(plan)? else { return Ok(()) };
    site.http().put("/precious", &Value::Null)?;
    site.http().put("/precious/doc", &json!({"only": "here"}))?;
    let archive = site.path("one.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    let archived = archive.display().to_string();
    // A database of CouchDB 1.x, which no restore touches.
    let data = site.nodes[0].data.clone();
    fs::write(data.join("ancient.couch"), "from CouchDB 1.x")?;

    // The shard maps are lost: CouchDB makes empty ones.
    site.control(0, "stop")?.success()?;
    fs::File::create(data.join("_dbs.couch"))?;
    site.start_nodes()?;
    let shards = having(&data, "precious")?;
    assert_eq!(shards.len(), 2);
    for command in [&["check"][..], &["restore", "-y", &archived]] {
        let ended = site.couchcopy(command)?;
        let told = format!("{}{}", ended.stdout, ended.stderr);
        for words in ["belong to no database", "precious", "name no database at all", "--remove-orphans"] {
            assert!(told.contains(words), "{words}: {ended:#?}");
        }
        assert_eq!(ended.code, Some(if command[0] == "check" { 3 } else { 5 }), "{ended:#?}");
    }
    assert_eq!(having(&data, "precious")?, shards);
    let told = site.couchcopy(&["restore", "--dry-run", "--remove-orphans", &archived])?.success()?;
    assert!(told.contains("REMOVED, files that belong to no database"), "{told}");
    site.restore(&archive, &["--remove-orphans"])?.success()?;
    assert_eq!(having(&data, "precious")?, Vec::<PathBuf>::new());
    assert_eq!(fs::read_to_string(data.join("ancient.couch"))?, "from CouchDB 1.x");
    site.check_content(&fixtures::oracle("single-node")?)
}

#[test]
fn an_archive_that_names_no_database_replaces_nothing() -> Result<()> {
    let plan = Plan { size: Size { nodes: 1, q: 2, n: 1 }, reach: Reach::Here };
    let Some(site) = Site::start(plan)? else { return Ok(()) };
    site.wait_until_settled(|_| Ok(()))?;
    let content = read_over_http(site.http())?;
    // A data folder without any database, as tar packs it.
    let folder = site.path("empty");
    fs::create_dir_all(folder.join("data"))?;
    let maps = DatabaseWriter::new(Vec::new(), Settings::new(random_uuid()?, "couchdb@127.0.0.1"))?;
    fs::write(folder.join("data/_dbs.couch"), maps.finish()?)?;
    let archive = site.path("empty.tar.gz").display().to_string();
    run(Command::new("tar").args(["czf", &archive, "-C"]).arg(&folder).arg("data"))?.success()?;
    let refused = site.couchcopy(&["restore", "-y", &archive])?;
    assert_eq!(refused.code, Some(6), "{refused:#?}");
    assert!(refused.stderr.contains("--allow-empty"), "{refused:#?}");
    site.check_content(&content)?;
    site.check_nothing_left()?;
    site.couchcopy(&["restore", "-y", "--allow-empty", &archive])?.success()?;
    assert_eq!(site.http().get("/_all_dbs")?, json!([]));
    Ok(())
}

fn refused_for(site: &Site, archive: &str, what: &str, path: &Path) -> Result<()> {
    let path = path.display().to_string();
    for command in [&["check"][..], &["restore", "-y", archive]] {
        let ended = site.couchcopy(command)?;
        // Messages are broken into lines, paths among them.
        let plain = |text: &str| text.split_whitespace().collect::<String>();
        let told = plain(&format!("{}{}", ended.stdout, ended.stderr));
        assert!(told.contains(&plain(what)) && told.contains(&path), "{what} {path}: {ended:#?}");
        assert_ne!(ended.code, Some(0), "{ended:#?}");
    }
    assert_eq!(site.situations()?, ["untouched"]);
    Ok(())
}

fn links_and_mounts(reach: Reach) -> Result<()> {
    let plan = Plan { size: Size { nodes: 1, q: 2, n: 1 }, reach };
    let Some(site) = Site::start(plan)? else { return Ok(()) };
    site.wait_until_settled(|_| Ok(()))?;
    site.http().put("/shop", &Value::Null)?;
    let archive = fixtures::path("couchcopy-0.2.4.tar.gz").display().to_string();
    let data = site.nodes[0].data.clone();
    let elsewhere = site.path("other-disk");
    fs::create_dir_all(&elsewhere)?;
    let range = data.join("shards/80000000-ffffffff");
    site.couchcopy(&["check"])?.success()?;

    // A range on another disk, and the folder of all indexes.
    let away = elsewhere.join("80000000-ffffffff");
    run(Command::new("cp").arg("-a").args([&range, &elsewhere]))?.success()?;
    fs::rename(&range, elsewhere.join("unused"))?;
    symlink(&away, &range)?;
    refused_for(&site, &archive, "symbolic links", &range)?;
    fs::remove_file(&range)?;
    fs::rename(elsewhere.join("unused"), &range)?;
    let indexes = data.join(".shards");
    if indexes.exists() {
        fs::rename(&indexes, elsewhere.join("indexes"))?;
    } else {
        fs::create_dir(elsewhere.join("indexes"))?;
    }
    symlink(elsewhere.join("indexes"), &indexes)?;
    refused_for(&site, &archive, "symbolic links", &indexes)?;
    fs::remove_file(&indexes)?;
    site.couchcopy(&["check"])?.success()?;

    if !getuid().is_root() {
        skipped("it takes root to mount something");
        return Ok(());
    }
    for (kind, arguments) in [
        ("a folder of the same file system", vec!["--bind".into(), away.display().to_string()]),
        ("another file system", ["-t", "tmpfs", "none"].map(String::from).to_vec()),
    ] {
        let mounted = run(site.beside("mount").args(&arguments).arg(&range))?;
        if mounted.code != Some(0) {
            skipped(&format!("{kind} cannot be mounted here: {}", mounted.stderr));
            continue;
        }
        let refused = refused_for(&site, &archive, "mount points", &range);
        run(site.beside("umount").arg(&range))?.success()?;
        refused?;
    }
    site.couchcopy(&["check"])?.success()?;
    site.check_nothing_left()
}

#[test]
fn links_and_mounts_in_the_data_folder_are_found_before_anything_is_touched() -> Result<()> {
    links_and_mounts(Reach::Here)
}

#[test]
fn links_and_mounts_are_found_on_other_machines() -> Result<()> {
    links_and_mounts(Reach::Ssh)
}
