//! A running CouchDB takes over the databases of a CouchDB 1.x.

use couchcopy_tests::Result;
use couchcopy_tests::compare::compare;
use couchcopy_tests::lab::{Size, read_databases_over_http, wait_until_synchronised};
use couchcopy_tests::live::{Plan, Reach, Site};
use serde_json::json;

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
