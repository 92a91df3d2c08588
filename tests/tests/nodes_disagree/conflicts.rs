//! Shard maps in conflict, and security objects that differ.

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Cluster, Installation, Size};
use serde_json::{Value, json};

use super::common::{back_up, listed, restored, told, write};

#[test]
fn the_losing_shard_map_is_reported_with_what_its_files_hold() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let mut source = Cluster::fresh(&couchdb, Size { nodes: 2, q: 1, n: 2 })?;
    source.wait_until_settled(|_| Ok(()))?;
    // Each node makes the same database while the other one is away, more than a second apart.
    for number in [0, 1] {
        source.nodes[1 - number].stop()?;
        let http = &source.nodes[number].http;
        http.put("/twice", &Value::Null)?;
        write(http, "twice", "d", 10 + number)?;
        std::thread::sleep(std::time::Duration::from_millis(1100));
        source.nodes[number].stop()?;
        if number == 0 {
            source.nodes[1].start()?;
            source.nodes[1].wait_until_up()?;
        }
    }
    for backwards in [false, true] {
        let archive = source.dir().join("twice.tar.gz");
        let ended = back_up(&source, &archive, backwards, &[])?;
        assert_eq!(ended.code, Some(3), "{ended:?}");
        let told = told(&ended)?;
        let left = told["left_out"].as_array().into_iter().flatten();
        let losing = left.clone().find(|left| left["kind"] == "losing-shard-map").ok_or(format!("{told}"))?;
        let lost = losing["documents"].as_u64().ok_or("no count")?;
        assert_eq!(lost + listed(&archive, "twice")?.0, 21, "{told}");
        let suffix = losing["suffix"].as_str().ok_or("no suffix")?;
        assert!(ended.stderr.contains(&format!("twice{suffix}")), "{ended:?}");
    }
    Ok(())
}

/// Two copies, the second one of which missed that its database was closed.
#[test]
fn of_two_security_objects_the_more_closed_one_is_restored() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let mut source = Cluster::fresh(&couchdb, Size { nodes: 2, q: 1, n: 2 })?;
    source.http().put("/s", &Value::Null)?;
    source.http().put("/s/_security", &json!({}))?;
    write(source.http(), "s", "d", 10)?;
    source.wait_until_settled(|_| Ok(()))?;
    let closed = json!({"members": {"names": ["anna"], "roles": []}, "admins": {"names": [], "roles": []}});
    source.nodes[1].stop()?;
    // CouchDB answers that there is no majority, and has written it all the same.
    source.nodes[0].http.ask("PUT", "/s/_security", Some(&closed))?;
    assert_eq!(source.nodes[0].http.get("/s/_security")?, closed);
    // The one that is read last by its time is the open one.
    source.nodes[0].stop()?;
    source.nodes[1].start()?;
    source.nodes[1].wait_until_up()?;
    write(&source.nodes[1].http, "s", "late", 5)?;
    source.stop()?;
    for backwards in [false, true] {
        let archive = source.dir().join("s.tar.gz");
        let ended = back_up(&source, &archive, backwards, &[])?;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let told = told(&ended)?;
        assert_eq!(
            (&told["security"]["s"]["object"], &told["security"]["s"]["majority"]),
            (&closed, &json!(false)),
            "{told}"
        );
        assert!(ended.stderr.contains("different security objects"), "{ended:?}");
    }
    let mut target = Cluster::prepare(&couchdb, Size { nodes: 2, q: 1, n: 2 })?;
    restored(&source.dir().join("s.tar.gz"), &mut target, |http| {
        assert_eq!(http.get("/s/_security")?, closed);
        assert_eq!(http.get("/s")?["doc_count"], json!(15));
        Ok(())
    })
}
