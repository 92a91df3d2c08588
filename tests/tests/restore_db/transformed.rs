//! Documents that pass through a plugin on their way into a running cluster.

use couchcopy_tests::compare::compare;
use couchcopy_tests::lab::back_up;
use couchcopy_tests::{Result, fixtures};
use serde_json::Value;

use super::arena::Arena;

/// What is left of documents whose members all go, and whose attachments stay or go.
fn emptied(documents: &Value, attachments_stay: bool) -> Value {
    let mut left = documents.clone();
    for (id, leaves) in left.as_object_mut().into_iter().flatten() {
        for leaf in leaves.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            if !id.starts_with("_design/") {
                leaf.retain(|name, _| name.starts_with('_') && (attachments_stay || name != "_attachments"));
            }
        }
    }
    left
}

#[test]
fn documents_are_sent_as_the_plugin_gives_them() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let archive = dir.path().join("a.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    let oracle = fixtures::oracle("single-node")?;
    let names = ["atts", "conflicts", "deleted", "parts", "views"];
    for (suffix, more, attachments_stay) in
        [("kept", "", true), ("dropped", "drop-attachments = true\n", false)]
    {
        let file = dir.path().join("settings.toml");
        std::fs::write(&file, format!("key = \"a key for tests only\"\nremove = [\"*\"]\n{more}"))?;
        let file = file.to_str().ok_or("no text")?;
        let databases: Vec<String> =
            names.iter().map(|name| format!("--db={name}={name}-{suffix}")).collect();
        let mut arguments: Vec<&str> = databases.iter().map(String::as_str).collect();
        arguments.extend(["--transform", "anonymise", "--transform-settings", file]);
        let told = arena.json(0, &archive, &arguments)?;
        for database in told["databases"].as_array().into_iter().flatten() {
            assert_eq!(
                (&database["finished"], &database["refused_revisions"]),
                (&true.into(), &0.into()),
                "{told}"
            );
        }
        for name in names {
            let new = format!("{name}-{suffix}");
            let found = arena.read(&[&new])?[&new]["docs"].clone();
            let expected = emptied(&oracle[name]["docs"], attachments_stay);
            assert_eq!(compare(&expected, &found), [""; 0], "{new}");
        }
    }
    Ok(())
}

#[test]
fn a_plugin_that_takes_no_settings_makes_no_database() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let archive = dir.path().join("a.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    let told = arena.json(8, &archive, &["--db=plain", "--transform", "anonymise:key=short"])?;
    assert_eq!(told["error"]["code"], "CC-P23", "{told}");
    assert!(arena.http().get("/plain").is_err());
    Ok(())
}
