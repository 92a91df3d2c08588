//! PouchDB replicates from `couchcopy serve`.

use std::path::Path;
use std::process::Command;

use couchcopy_tests::compare::compare;
use couchcopy_tests::lab::{encode, npm_packages, run};
use couchcopy_tests::{Result, fixtures};
use serde_json::Value;

use crate::oracle::backup;
use crate::served::Served;

/// Databases that PouchDB can hold: their documents have ids that it allows.
const DATABASES: [&str; 8] = [
    "atts",
    "conflicts",
    "deleted",
    "empty",
    "parts",
    "revslimit",
    "views",
    "name_with-all$(chars)+and/slash",
];

#[test]
fn everything_arrives() -> Result<()> {
    let Some(home) = npm_packages(&["pouchdb@9"])? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let served = Served::start(&[&backup(&fixtures::single_node()?, dir.path())?], &[])?;
    let expected = fixtures::oracle("single-node")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/serve/pouchdb.mjs");
    for (number, name) in DATABASES.iter().enumerate() {
        let folder = dir.path().join(number.to_string());
        std::fs::create_dir(&folder)?;
        let url = format!("http://{}/{}", served.address, encode(name));
        let mut command = Command::new("node");
        command.arg(&script).arg(&home).arg(url).arg(&folder);
        let told = run(&mut command)?.success().map_err(|e| format!("{name}: {e}"))?;
        let found: Value = serde_json::from_str(&told)?;
        let docs = |value: &Value| without_digests(value["docs"].clone());
        let differences = compare(&docs(&expected[name]), &docs(&found));
        assert_eq!(differences, Vec::<String>::new(), "{name}");
    }
    Ok(())
}

/// PouchDB keeps attachments as they are, so the MD5 of a gzipped one is another; and it counts their generations anew.
fn without_digests(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(key, _)| !["digest", "revpos"].contains(&key.as_str()));
            Value::Object(kept.map(|(key, value)| (key, without_digests(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_digests).collect()),
        other => other,
    }
}
