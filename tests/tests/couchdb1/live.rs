//! A running CouchDB takes over the databases of a CouchDB 1.x.

use std::process::Command;

use couchcopy_tests::Result;
use couchcopy_tests::compare::compare;
use couchcopy_tests::lab::{PASSWORD, Size, binary, read_databases_over_http, run, wait_until_synchronised};
use couchcopy_tests::live::{Plan, Reach, Site};
use serde_json::{Value, json};

use super::{back_up, expected};

#[test]
fn a_cluster_takes_over() -> Result<()> {
    let plan = Plan { size: Size { nodes: 2, q: 2, n: 2 }, reach: Reach::Here };
    let Some(site) = Site::start(plan)? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let (archive, _) = back_up(dir.path())?;
    site.restore(&archive, &["--n", "2", "--q", "2", "--q", "plain=3"])?.success()?;
    let wanted = expected(|name| if name == "plain" { 3 } else { 2 })?;
    wait_until_synchronised(&site.nodes)?;
    let http = site.http();
    // CouchDB adds its own design document to the database of users.
    let names: Vec<String> = ["plain", "oldest", "team/a", "empty"].map(str::to_owned).into();
    let found = read_databases_over_http(http, &names)?;
    let mut wanted = wanted;
    let users = wanted.as_object_mut().and_then(|all| all.remove("_users")).ok_or("no users")?;
    assert_eq!(compare(&wanted, &found), [""; 0]);
    let user = http.get("/_users/org.couchdb.user:jan")?;
    assert_eq!(user["password_sha"], users["docs"]["org.couchdb.user:jan"][0]["password_sha"]);
    // A password that CouchDB 1.2 hashed.
    for (password, status) in [("apple", 200), ("pear", 401)] {
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let body = format!("name=jan&password={password}");
        assert_eq!(http.bytes("POST", "/_session", &form, body.as_bytes())?.0, status, "{password}");
    }
    // A database goes on: a document is edited on top of its revision.
    let found = http.get("/oldest/doc-7919")?;
    let edited = json!({"_rev": found["_rev"], "edited": true});
    http.put("/oldest/doc-7919", &edited)?;
    assert!(http.get("/oldest/doc-7919")?["_rev"].as_str().is_some_and(|rev| rev.starts_with("2-")));
    site.check_nothing_left()
}

/// One file of CouchDB 1.x, and one shard of CouchDB 3, as new databases beside others.
#[test]
fn a_single_file_is_imported() -> Result<()> {
    let plan = Plan { size: Size { nodes: 1, q: 2, n: 1 }, reach: Reach::Here };
    let Some(site) = Site::start(plan)? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    super::write(dir.path())?;
    let node = site.nodes[0].url().replace("http://", "admin@");
    let import = |file: &str, more: &[&str]| -> Result<_> {
        let file = dir.path().join(file).display().to_string();
        let mut words = vec!["import", &file];
        words.extend(more);
        words.push(&node);
        Ok(run(Command::new(binary()?).args(&words).env("COUCHCOPY_PASSWORD", PASSWORD))?.unwrapped())
    };
    import("plain.couch", &["--q=3", "plain"])?.success()?;
    import("oldest.couch", &["--dry-run", "oldest"])?.success()?;
    import("oldest.couch", &["oldest"])?.success()?;
    import("team/a.couch", &["team/a"])?.success()?;
    let names: Vec<String> = ["plain", "oldest", "team/a"].map(str::to_owned).into();
    let mut wanted = expected(|name| if name == "plain" { 3 } else { 2 })?;
    wanted.as_object_mut().ok_or("no databases")?.retain(|name, _| names.contains(name));
    let normalised = |mut databases: Value| {
        for database in databases.as_object_mut().into_iter().flat_map(|all| all.values_mut()) {
            // Local documents are sent with --local.
            database["local"] = json!({});
            let documents = database["docs"].as_object_mut().into_iter().flat_map(|docs| docs.values_mut());
            for leaf in documents.flat_map(|leaves| leaves.as_array_mut().into_iter().flatten()) {
                // CouchDB compresses texts that come over HTTP, and the digest is that of the compressed content.
                let attachments = leaf["_attachments"].as_object_mut().into_iter();
                attachments.flat_map(|all| all.values_mut()).for_each(|one| one["digest"] = Value::Null);
            }
        }
        databases
    };
    let found = read_databases_over_http(site.http(), &names)?;
    assert_eq!(compare(&normalised(wanted), &normalised(found)), [""; 0]);

    let refused = import("plain.couch", &["plain"])?;
    assert_eq!(refused.code, Some(5), "{refused:#?}");
    assert!(refused.stderr.contains("plain exists already"), "{refused:#?}");
    let refused = import("couch.uri", &["plain"])?;
    assert_eq!(refused.code, Some(5), "{refused:#?}");
    assert!(refused.stderr.contains("is not the path of a .couch file"), "{refused:#?}");
    site.check_nothing_left()
}
