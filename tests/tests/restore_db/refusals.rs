//! Mistakes, before anything is changed.

use std::process::Command;

use couchcopy_tests::lab::{PASSWORD, back_up, binary, run};
use couchcopy_tests::{Result, fixtures};
use serde_json::{Value, json};

use super::arena::Arena;

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    let archive = arena.path("one.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    arena.http().put("/there", &Value::Null)?;
    arena.http().put("/there/doc", &json!({}))?;
    arena.http().put("/parted?partitioned=true", &Value::Null)?;
    let before = arena.http().get("/_all_dbs")?;
    for (arguments, words) in [
        (&["--db=nosuch"][..], &["holds no database nosuch", "couchcopy ls"][..]),
        (&["--db=plain=there"], &["there exists already, with 1 documents", "--merge", "NEWNAME"]),
        (&["--db=plain=Wrong"], &["\"Wrong\" is not a valid name"]),
        (&["--db=plain=_other"], &["is not a valid name"]),
        (&["--db=plain=_dbs"], &["list that every node keeps for itself"]),
        (&["--db=plain="], &["is not a database name"]),
        (&["--db=plain=x", "--db=q8=x"], &["two databases would be named x"]),
        (&["--db=plain", "--db=plain"], &["two databases would be named plain"]),
        (
            &["--db=plain=parted"],
            &["parted is partitioned in the cluster, but not partitioned in the archive"],
        ),
        (
            &["--db=parts=there", "--merge", "-y"],
            &["there is not partitioned in the cluster, but partitioned in"],
        ),
        // One that would do does not help.
        (&["--db=q8=good", "--db=nosuch"], &["nosuch"]),
    ] {
        let ended = arena.restore(&archive, arguments)?;
        assert_eq!(ended.code, Some(5), "{arguments:?}: {ended:#?}");
        for word in words {
            assert!(ended.stderr.contains(word), "{word}: {ended:#?}");
        }
        assert_eq!(ended.stdout, "");
    }
    for arguments in [
        &["--merge"][..],
        &["--local"],
        &["--db=plain", "--offline"],
        &["--db=plain", "--resume"],
        &["--db=plain", "--only=x"],
        &["--db=plain", "--keep-old"],
    ] {
        let ended = arena.restore(&archive, arguments)?;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:#?}");
    }
    let nodes = |nodes: &[&str], password: &str| -> Result<(Option<i32>, String)> {
        let mut command = Command::new(binary()?);
        command.args(["restore", "--db=plain"]).arg(&archive).args(nodes).env("COUCHCOPY_PASSWORD", password);
        let ended = run(&mut command)?.unwrapped();
        assert!(!format!("{ended:?}").contains("secret"), "{ended:?}");
        Ok((ended.code, ended.stderr))
    };
    let node = arena.node();
    let nobody = node.replace(":5984", ":1");
    for (given, password, code, words) in [
        (&[][..], PASSWORD, 5, "--db takes one node"),
        (&[&node, &node], PASSWORD, 5, "--db takes one node"),
        (&[&nobody], PASSWORD, 9, "does not answer"),
        (&[&node], "secret", 9, "name and password"),
    ] {
        let given: Vec<&str> = given.iter().map(|node| node.as_str()).collect();
        let (found, told) = nodes(&given, password)?;
        assert!(found == Some(code) && told.contains(words), "{given:?}: {found:?} {told}");
    }
    // Somebody who is no server admin.
    let user = json!({"name": "alice", "password": "s3cret", "roles": [], "type": "user"});
    arena.http().put("/_users/org.couchdb.user:alice", &user)?;
    let (code, told) = nodes(&[&node, "--user=alice"], "s3cret")?;
    assert!(code == Some(9) && told.contains("not a server admin"), "{code:?} {told}");
    assert_eq!(arena.http().get("/_all_dbs")?, before);
    Ok(())
}

#[test]
fn a_shard_that_is_missing_is_found_before_anything_is_made() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    let fixture = fixtures::single_node()?;
    let files = fixtures::files_below(&fixture.nodes[0].data)?;
    let shard =
        files.iter().rfind(|path| path.starts_with("shards") && path.contains("/atts.")).ok_or("none")?;
    std::fs::write(fixture.nodes[0].data.join(shard), "")?;
    let archive = arena.path("one.tar.gz");
    let source = format!("localhost,{}", fixture.nodes[0].data.display());
    let mut backup = Command::new(binary()?);
    assert_eq!(run(backup.args(["backup", &source]).arg(&archive))?.code, Some(3));
    let ended = arena.restore(&archive, &["--db=plain", "--db=atts"])?;
    assert_eq!(ended.code, Some(6), "{ended:#?}");
    assert!(ended.stderr.contains("atts"), "{ended:#?}");
    assert_eq!(arena.http().ask("GET", "/plain", None)?.status, 404);
    Ok(())
}
