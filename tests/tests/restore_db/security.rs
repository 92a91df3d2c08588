//! Who may use a database while it is being restored, and afterwards.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Http, run, wait_for};
use serde_json::{Value, json};

use super::arena::Arena;

const EDITABLE: &str = "/_node/_local/_config/couchdb/users_db_security_editable";
const DEFAULT: &str = "/_node/_local/_config/couchdb/default_security";

fn anonymous(arena: &Arena) -> Result<Http> {
    let address: SocketAddr = arena.cluster.nodes[0].url().trim_start_matches("http://").parse()?;
    Ok(Http::anonymous(address))
}

/// A database of users that its security object would open to everybody, and a user in it.
fn with_open_users(arena: &Arena) -> Result<std::path::PathBuf> {
    let http = arena.http();
    http.put(EDITABLE, &json!("true"))?;
    http.put("/_users/_security", &json!({}))?;
    let alice = json!({"name": "alice", "password": "s3cret", "roles": [], "type": "user"});
    http.put("/_users/org.couchdb.user:alice", &alice)?;
    let archive = arena.back_up()?;
    http.put(EDITABLE, &json!("false"))?;
    Ok(archive)
}

#[test]
fn password_hashes_under_another_name_are_for_admins_only() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    let archive = with_open_users(&arena)?;
    let plan = arena.restore(&archive, &["--dry-run", "--db=_users=users-old"])?;
    assert!(plan.success()?.contains("accessible to server admins only"));
    let told = arena.json(0, &archive, &["--db=_users=users-old"])?;
    assert_eq!(told["databases"][0]["security"], json!({"is": "closed", "archive": "{}"}), "{told}");
    let path = "/users-old/org.couchdb.user%3Aalice";
    assert_eq!(anonymous(&arena)?.ask("GET", path, None)?.status, 401);
    assert!(arena.http().get(path)?["derived_key"].is_string());
    let ended = arena.restore(&archive, &["--db=_users=x/_users"])?;
    assert!(ended.stdout.contains("CLOSED"), "{ended:#?}");
    assert_eq!(anonymous(&arena)?.ask("GET", "/x%2F_users/org.couchdb.user%3Aalice", None)?.status, 401);
    // Nor are they added to what everybody may read.
    arena.http().put("/open", &Value::Null)?;
    arena.http().put("/open/doc", &json!({}))?;
    arena.http().put("/open/_security", &json!({}))?;
    let ended = arena.restore(&archive, &["--db=_users=open", "--merge", "-y"])?;
    assert_eq!(ended.code, Some(5), "{ended:#?}");
    assert!(ended.stderr.contains("everybody may read open"), "{ended:#?}");
    assert_eq!(arena.http().get("/open")?["doc_count"], 1);
    Ok(())
}

#[test]
fn users_come_back_where_their_security_object_may_not_be_set() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    let archive = with_open_users(&arena)?;
    let http = arena.http();
    http.delete("/_users")?;
    let ended = arena.restore(&archive, &["--db=_users"])?;
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert!(ended.stdout.contains("NOT SET: the security object"), "{ended:#?}");
    assert!(ended.stderr.contains("users_db_security_editable"), "{ended:#?}");
    assert!(!ended.stderr.contains("name and password"), "{ended:#?}");
    assert_eq!(http.get("/_users/org.couchdb.user:alice")?["name"], "alice");
    // What the message advises.
    http.put(EDITABLE, &json!("true"))?;
    let told = arena.json(0, &archive, &["--db=_users"])?;
    assert_eq!(told["databases"][0]["security"], json!({"is": "restored"}), "{told}");
    assert_eq!(http.get("/_users/_security")?, json!({}));
    assert_eq!(http.ask("GET", "/_users/_local/couchcopy-restore", None)?.status, 404);
    Ok(())
}

#[test]
fn a_database_of_users_that_couchdb_has_just_made_counts_as_empty() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    let archive = with_open_users(&arena)?;
    let http = arena.http();
    http.put(EDITABLE, &json!("true"))?;
    http.delete("/_users")?;
    http.put("/_users", &Value::Null)?;
    // It makes a design document there by itself, some seconds later.
    wait_for("the design document of _users", || Ok(http.get("/_users/_design/_auth").ok()))?;
    let told = arena.json(0, &archive, &["--db=_users"])?;
    assert_eq!(told["databases"][0]["found"], "empty", "{told}");
    Ok(())
}

const DOCUMENTS: usize = 4000;

/// An archive with a database that everybody may read.
fn with_open_database(arena: &Arena) -> Result<std::path::PathBuf> {
    let http = arena.http();
    http.put("/source", &Value::Null)?;
    for part in (0..DOCUMENTS).collect::<Vec<_>>().chunks(2000) {
        let docs: Vec<Value> =
            part.iter().map(|i| json!({"_id": format!("d{i}"), "v": "x".repeat(500)})).collect();
        http.post("/source/_bulk_docs", &json!({"docs": docs}))?;
    }
    http.put("/source/_security", &json!({}))?;
    let archive = arena.back_up()?;
    http.put(DEFAULT, &json!("everyone"))?;
    http.put("/there", &Value::Null)?;
    assert_eq!(http.get("/there/_security")?, json!({}));
    Ok(archive)
}

#[test]
fn nobody_sees_a_part_of_a_database() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    let archive = with_open_database(&arena)?;
    let anonymous = anonymous(&arena)?;
    for target in ["new", "there"] {
        let mut command = arena.command(&archive, &[&format!("--db=source={target}")])?;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut refused = 0;
        loop {
            let ended = child.try_wait()?;
            let answer = anonymous.ask("GET", &format!("/{target}/_all_docs?limit=0"), None)?;
            match answer.status {
                401 => refused += 1,
                404 => {}
                // Before it began, or when it is complete.
                200 => {
                    let count = answer.body["total_rows"].as_u64().unwrap_or(u64::MAX);
                    assert!(count == 0 && refused == 0 || count == DOCUMENTS as u64, "{target}: {answer:?}");
                }
                _ => return Err(format!("{target}: {answer:?}").into()),
            }
            if let Some(status) = ended {
                assert!(status.success(), "{status}");
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(refused > 5, "{target}: asked in vain {refused} times");
        assert_eq!(arena.http().get(&format!("/{target}/_security"))?, json!({}));
    }
    Ok(())
}

#[test]
fn what_was_killed_stays_closed() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    let archive = with_open_database(&arena)?;
    let anonymous = anonymous(&arena)?;
    for step in [2, 3, 4, 6, 8] {
        let name = format!("killed-{step}");
        let mut command = arena.command(&archive, &[&format!("--db=source={name}")])?;
        command.env("COUCHCOPY_TEST_KILL_AFTER_STEP", step.to_string());
        assert_eq!(run(&mut command)?.code, None, "step {step}");
        let answer = anonymous.ask("GET", &format!("/{name}/_all_docs"), None)?;
        assert_eq!(answer.status, 401, "step {step}: {answer:?}");
        arena.json(0, &archive, &[&format!("--db=source={name}")])?;
        let answer = anonymous.ask("GET", &format!("/{name}/_all_docs?limit=0"), None)?;
        assert_eq!(answer.body["total_rows"], DOCUMENTS, "step {step}: {answer:?}");
    }
    Ok(())
}
