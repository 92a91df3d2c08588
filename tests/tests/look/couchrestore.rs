//! Dumps in couchbackup's format, restored by its own couchrestore to a real CouchDB.

use std::process::{Command, Stdio};

use couchcopy_tests::Result;
use couchcopy_tests::compare::{compare, with_numbers_of_javascript};
use couchcopy_tests::lab::{
    Cluster, Installation, PASSWORD, Size, USER, binary, npm_packages, read_over_http,
};
use serde_json::{Map, Value, json};

use super::samples;

/// couchrestore sends attachments without their type, so that CouchDB does not compress them.
fn without_types_of_attachments(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(without_types_of_attachments),
        Value::Object(members) => {
            if members.contains_key("content_type") && members.contains_key("data") {
                members.shift_remove("digest");
                members.shift_remove("content_type");
            }
            members.values_mut().for_each(without_types_of_attachments);
        }
        _ => {}
    }
}

/// What of a database a dump does not hold.
const NOT_DUMPED: [&str; 5] = ["local", "props", "ranges", "revs_limit", "security"];

#[test]
fn couchrestore_brings_back_every_leaf() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let Some(node) = npm_packages(&["@cloudant/couchbackup@2.11"])? else { return Ok(()) };
    let program = node.join("node_modules/.bin/couchrestore");
    let sample = samples()?.swap_remove(0);
    let cluster = Cluster::fresh(&couchdb, Size { nodes: 1, q: 2, n: 1 })?;
    let url = cluster.nodes[0].url().replace("://", &format!("://{USER}:{PASSWORD}@"));
    let mut expected = Map::new();
    for db in ["plain", "atts", "conflicts", "deleted", "revslimit", "parts", "empty"] {
        let partitioned = if db == "parts" { "?partitioned=true" } else { "" };
        cluster.http().put(&format!("/{db}{partitioned}"), &Value::Null)?;
        let mut dump = Command::new(binary()?)
            .args(["dump", &sample.archive, db, "--format", "couchbackup"])
            .args(["--attachments", "--conflicts", "--deleted"])
            .stdout(Stdio::piped())
            .spawn()?;
        let input = dump.stdout.take().ok_or("no output")?;
        let restored = Command::new(&program)
            .args(["--url", &url, "--db", db, "--attachments"])
            .stdin(input)
            .output()?;
        assert!(dump.wait()?.success(), "{db}");
        assert!(restored.status.success(), "{db}: {}", String::from_utf8_lossy(&restored.stderr));
        expected.insert(db.to_owned(), sample.expected[db].clone());
    }
    let mut found = read_over_http(cluster.http())?;
    let found = found.as_object_mut().ok_or("no object")?;
    found.retain(|db, _| expected.contains_key(db));
    for databases in [&mut expected, found] {
        for database in databases.values_mut().filter_map(Value::as_object_mut) {
            for key in NOT_DUMPED {
                database.shift_remove(key);
            }
            for value in database.values_mut() {
                with_numbers_of_javascript(value);
                without_types_of_attachments(value);
            }
        }
    }
    assert_eq!(compare(&json!(expected), &json!(found)), Vec::<String>::new());
    Ok(())
}
