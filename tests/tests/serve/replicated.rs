//! A real CouchDB's replicator pulls from `couchcopy serve` everything that the archive holds.

use std::path::Path;

use couchcopy_tests::compare::compare;
use couchcopy_tests::lab::{Cluster, Installation, Size, encode, read_databases_over_http};
use couchcopy_tests::{Result, fixtures};
use serde_json::{Map, Value, json};

use crate::oracle::backup;
use crate::served::Served;

/// Members of the oracle that replication does not carry.
const NOT_REPLICATED: [&str; 5] = ["props", "security", "revs_limit", "ranges", "local"];

/// Pulls every database of an archive, and compares what arrived with the oracle.
fn check(archive: &Path, oracle: &str, credentials: Option<&[&str]>) -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let cluster = Cluster::fresh(&couchdb, Size { nodes: 1, q: 1, n: 1 })?;
    let served = Served::start(&[archive], credentials.unwrap_or_default())?;
    let http = cluster.http();
    let Value::Object(expected) = fixtures::oracle(oracle)? else { return Err("no oracle".into()) };
    let user = if credentials.is_some() { "admin:password@" } else { "" };
    let mut arrived = Map::new();
    for (number, (name, database)) in expected.iter().enumerate() {
        // CouchDB has databases of its own of some of these names.
        let target = format!("pulled{number}");
        let partitioned = database["props"]["partitioned"] == json!(true);
        let answer = http.post(
            "/_replicate",
            &json!({
                "source": format!("http://{user}{}/{}", served.address, encode(name)),
                "target": format!("{}/{target}", cluster.nodes[0].url().replace("http://", "http://admin:password@")),
                "create_target": true,
                "create_target_params": {"partitioned": partitioned},
            }),
        )?;
        assert_eq!(answer["ok"], json!(true), "{name}: {answer}");
        // Of an empty database there is nothing to tell.
        let nothing = answer["no_changes"] == json!(true);
        assert!(nothing || answer["history"][0]["doc_write_failures"] == json!(0), "{name}: {answer}");
        // A second time there is nothing left to do: the checkpoints are on both sides.
        let again = http.post(
            "/_replicate",
            &json!({
                "source": format!("http://{user}{}/{}", served.address, encode(name)),
                "target": format!("{}/{target}", cluster.nodes[0].url().replace("http://", "http://admin:password@")),
            }),
        )?;
        let nothing = again["no_changes"] == json!(true) || again["history"][0]["docs_written"] == json!(0);
        assert!(nothing, "{name}: {again}");
        let found = read_databases_over_http(http, std::slice::from_ref(&target))?;
        arrived.insert(name.clone(), found[&target].clone());
    }
    let replicated = |databases: Map<String, Value>| -> Value {
        let without = |mut database: Value| {
            if let Some(members) = database.as_object_mut() {
                members.retain(|key, _| !NOT_REPLICATED.contains(&key.as_str()));
            }
            database
        };
        databases.into_iter().map(|(name, database)| (name, without(database))).collect::<Map<_, _>>().into()
    };
    assert_eq!(compare(&replicated(expected), &replicated(arrived)), Vec::<String>::new());
    Ok(())
}

#[test]
fn from_an_archive_of_a_node() -> Result<()> {
    let dir = tempfile::tempdir()?;
    check(&backup(&fixtures::single_node()?, dir.path())?, "single-node", None)
}

#[test]
fn from_an_archive_of_a_cluster_with_a_password() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let archive = backup(&fixtures::four_nodes()?, dir.path())?;
    let file = dir.path().join("password");
    std::fs::write(&file, "password\n")?;
    let file = file.display().to_string();
    check(&archive, "four-nodes-n2", Some(&["--user", "admin", "--password-file", &file]))
}

#[test]
fn from_an_archive_of_the_python_couchcopy() -> Result<()> {
    check(&fixtures::path("couchcopy-0.2.4.tar.gz"), "single-node", None)
}
