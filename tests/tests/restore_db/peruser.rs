//! Databases that a CouchDB keeps for single users; empty databases that are there already.

use couchcopy_tests::Result;
use couchcopy_tests::lab::wait_for;
use serde_json::{Value, json};

use super::arena::Arena;

#[test]
fn a_database_of_a_user_who_is_gone_comes_with_a_warning() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    let http = arena.http();
    // That of bob.
    let name = "userdb-626f62";
    http.put(&format!("/{name}"), &Value::Null)?;
    http.put(&format!("/{name}/doc"), &json!({}))?;
    let archive = arena.back_up()?;
    let flag = format!("--db={name}");
    let again = || -> Result<String> {
        http.ask("DELETE", &format!("/{name}"), None)?;
        let ended = arena.restore(&archive, &[&flag])?;
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        Ok(ended.stderr)
    };
    assert_eq!(again()?, "");
    // A user that was deleted before the databases of users are kept.
    let user = json!({"name": "bob", "password": "s3cret", "roles": [], "type": "user"});
    let made = http.put("/_users/org.couchdb.user:bob", &user)?;
    let rev = made["rev"].as_str().ok_or("no rev")?;
    http.delete(&format!("/_users/org.couchdb.user:bob?rev={rev}"))?;
    let configure = |key: &str, value: &str| {
        http.put(&format!("/_node/_local/_config/couch_peruser/{key}"), &json!(value))
    };
    configure("cluster_start_period", "1")?;
    configure("cluster_quiet_period", "1")?;
    configure("delete_dbs", "true")?;
    configure("enable", "true")?;
    // What the warning is about.
    wait_for("the database of a deleted user to be deleted", || {
        Ok((http.ask("GET", &format!("/{name}"), None)?.status == 404).then_some(()))
    })?;
    let plan = arena.restore(&archive, &["--dry-run", &format!("--db={name}=userdb-616c69")])?;
    assert!(plan.stdout.contains("org.couchdb.user:ali does not exist"), "{plan:#?}");
    let told = again()?;
    for words in
        ["org.couchdb.user:bob is deleted", "CouchDB deletes userdb-626f62 again", "curl -u ADMIN -X PUT"]
    {
        assert!(told.contains(words), "{words}: {told}");
    }
    Ok(())
}

#[test]
fn an_empty_database_keeps_its_ranges_and_that_is_said() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    let http = arena.http();
    http.put("/source?q=4", &Value::Null)?;
    http.put("/source/doc", &json!({}))?;
    let archive = arena.back_up()?;
    http.put("/there?q=1", &Value::Null)?;
    let ended = arena.restore(&archive, &["--db=source=there"])?;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.contains("1 ranges") && ended.stderr.contains("4 ranges"), "{ended:#?}");
    assert_eq!(http.get("/there")?["cluster"]["q"], 1);
    Ok(())
}
