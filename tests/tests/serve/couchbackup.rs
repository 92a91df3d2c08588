//! couchbackup backs up from `couchcopy serve`.

use std::collections::BTreeMap;
use std::process::Command;

use couchcopy_tests::compare::with_numbers_of_javascript;
use couchcopy_tests::lab::{npm_packages, run};
use couchcopy_tests::{Result, fixtures};
use serde_json::Value;

use crate::oracle::backup;
use crate::served::Served;

#[test]
fn every_revision_arrives() -> Result<()> {
    let Some(home) = npm_packages(&["@cloudant/couchbackup@2.11"])? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let served = Served::start(&[&backup(&fixtures::single_node()?, dir.path())?], &[])?;
    let expected = fixtures::oracle("single-node")?;
    for (number, name) in ["conflicts", "plain", "name_with-all$(chars)+and/slash"].iter().enumerate() {
        let file = dir.path().join(format!("{number}.txt"));
        let mut command = Command::new(home.join("node_modules/.bin/couchbackup"));
        command.args(["--url", &format!("http://{}", served.address), "--db", name, "--output"]).arg(&file);
        run(&mut command)?.success().map_err(|e| format!("{name}: {e}"))?;
        let mut found = BTreeMap::new();
        for line in std::fs::read_to_string(&file)?.lines() {
            if let Value::Array(docs) = serde_json::from_str(line)? {
                found.extend(docs.into_iter().map(|doc| ((text(&doc, "_id"), text(&doc, "_rev")), doc)));
            }
        }
        let leaves = expected[*name]["docs"].as_object().ok_or("an oracle without documents")?;
        let mut wanted: BTreeMap<_, _> = leaves
            .values()
            .flat_map(|leaves| leaves.as_array().into_iter().flatten())
            .map(|doc| ((text(doc, "_id"), text(doc, "_rev")), doc.clone()))
            .collect();
        assert!(!wanted.is_empty(), "{name}");
        found.values_mut().chain(wanted.values_mut()).for_each(with_numbers_of_javascript);
        assert_eq!(found, wanted, "{name}");
    }
    Ok(())
}

fn text(doc: &Value, key: &str) -> String {
    doc[key].as_str().unwrap_or_default().to_owned()
}
