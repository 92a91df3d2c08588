//! CouchDB in containers of docker and of podman, saved and restored through the plugins for them.
//!
//! It runs as the user of the official image, with its data on a volume, and couchcopy knows no more of it than the name of
//! its container. Nothing here takes the place of docker or podman.

use couchcopy_tests::Result;
use couchcopy_tests::compare::compare;
use couchcopy_tests::containers::{CouchContainer, Engine, USER_ID};
use couchcopy_tests::lab::{
    Ended, Installation, Load, PASSWORD, check_indexes, check_login, couchcopy, fill_zoo, read_over_http,
    wait_for,
};
use rustix::process::Signal;
use serde_json::{Value, json};

const DATA: &str = "/opt/couchdb/data";

#[test]
fn docker() -> Result<()> {
    check(Engine::docker)
}

#[test]
fn podman() -> Result<()> {
    check(Engine::podman)
}

fn check(engine: fn() -> Result<Option<Engine>>) -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let Some(engine) = engine()? else { return Ok(()) };
    let couch = CouchContainer::start(engine, &couchdb)?;
    let http = &couch.http;
    for db in ["_users", "_replicator"] {
        http.put(&format!("/{db}"), &Value::Null)?;
    }
    fill_zoo(http)?;
    wait_for("the design document of _users", || {
        Ok(http.ask("GET", "/_users/_design/_auth", None)?.is_success().then_some(()))
    })?;
    let saved = read_over_http(http)?;
    assert_eq!(saved.as_object().map(serde_json::Map::len), Some(16));
    let dir = tempfile::tempdir()?;
    let archive = dir.path().join("backup.tar.gz");
    let archive_text = archive.to_str().ok_or("a path that is no text")?;
    let node = couch.node();

    couch.couchcopy(true, &["backup", &node, archive_text])?.success()?;
    couchcopy(&["verify", archive_text])?.success()?;

    http.put("/newer", &Value::Null)?;
    http.put("/newer/doc", &json!({"newer": true}))?;
    let newer = read_over_http(http)?;
    let checked = couch.couchcopy(true, &["check", &node])?.success()?;
    assert!(!checked.contains("PROBLEM"), "{checked}");

    // There and back.
    let told = couch.couchcopy(true, &["restore", "-y", "--keep-old", archive_text, &node])?.success()?;
    assert!(told.contains("All nodes agree"), "{told}");
    is(&couch, &saved)?;
    check_indexes(http)?;
    check_login(http)?;
    check_owner(&couch)?;
    couch.couchcopy(true, &["restore", "-y", "--roll-back", &node])?.success()?;
    is(&couch, &newer)?;

    // There for good, under the same container.
    let before = couch.exec(&["cat", "/etc/hostname"])?;
    couch.couchcopy(true, &["restore", "-y", archive_text, &node])?.success()?;
    is(&couch, &saved)?;
    check_owner(&couch)?;
    assert_eq!(couch.exec(&["cat", "/etc/hostname"])?, before, "it is another container");
    let left = couch.exec(&["find", DATA, "-maxdepth", "1", "-name", ".couchcopy*"])?;
    assert_eq!(left, "", "a restore has left something");

    without_helper(&couch, archive_text, &saved)?;
    loaded(&couchdb, &archive, &saved)
}

/// Fails unless the container tells just that content, as soon as it answers.
fn is(couch: &CouchContainer, expected: &Value) -> Result<()> {
    wait_for("the content", || {
        let wrong = compare(expected, &read_over_http(&couch.http)?);
        if wrong.is_empty() { Ok(Some(())) } else { Err(wrong.join("\n").into()) }
    })
}

fn check_owner(couch: &CouchContainer) -> Result<()> {
    let user = USER_ID.to_string();
    let others = couch.exec(&["find", DATA, "!", "-uid", &user])?;
    assert_eq!(others, "", "files of others than {user}");
    let shards = couch.exec(&["find", DATA, "-name", "*.couch"])?.lines().count();
    assert!(shards > 16, "{shards}");
    Ok(())
}

/// Without an image there is no way to the volume of a container that is stopped: that is found out before anything stops.
fn without_helper(couch: &CouchContainer, archive: &str, saved: &Value) -> Result<()> {
    let started = started_at(couch)?;
    let node = couch.node();
    let refused = |ended: &Ended| {
        ended.code != Some(0) && ended.stderr.contains("image") || ended.stdout.contains("image")
    };
    let checked = couch.couchcopy(false, &["check", &node])?;
    assert!(refused(&checked), "{checked:?}");
    let restored = couch.couchcopy(false, &["restore", "-y", archive, &node])?;
    assert!(restored.code != Some(0) && refused(&restored), "{restored:?}");
    assert_eq!(started_at(couch)?, started, "it was stopped");
    is(couch, saved)
}

fn started_at(couch: &CouchContainer) -> Result<String> {
    couch.engine(&["inspect", "--format", "{{.State.StartedAt}}", &couch.name])?.success()
}

/// The archive is like any other.
fn loaded(couchdb: &Installation, archive: &std::path::Path, saved: &Value) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let admin = format!("admin:{PASSWORD}");
    let mut load = Load::start(couchdb, dir.path(), archive, &["--admin", &admin])?;
    let told = load.wait_until_up()?;
    assert_eq!(compare(saved, &read_over_http(&told.http())?), [""; 0]);
    load.signal(Signal::TERM)?;
    let ended = load.wait()?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    Ok(())
}
