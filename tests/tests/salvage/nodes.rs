//! Data directories of several nodes, each damaged elsewhere, with the command.

use std::fs;
use std::path::Path;

use couchcopy_tests::lab::couchcopy;
use couchcopy_tests::random::SplitMix;
use couchcopy_tests::{Result, content, fixtures};
use serde_json::Value;

use super::damage::damage;

/// Damages every shard of a node.
pub(crate) fn damage_shards(data: &Path, seed: u64) -> Result<()> {
    let mut random = SplitMix(seed);
    for path in fixtures::files_ending(data, "couch")? {
        if path.starts_with("shards/") {
            let file = data.join(&path);
            fs::write(&file, damage(&fs::read(&file)?, &mut random))?;
        }
    }
    Ok(())
}

/// The documents of the databases that are the same, or differ, in two contents.
pub(crate) fn same_documents(found: &Value, right: &Value) -> (u64, Vec<String>) {
    let mut same = 0;
    let mut differ = Vec::new();
    for (db, right) in right.as_object().into_iter().flatten() {
        for (id, leaves) in right["docs"].as_object().into_iter().flatten() {
            if found[db]["docs"][id] == *leaves {
                same += 1;
            } else {
                differ.push(format!("{db}/{id}: {} instead of {leaves}", found[db]["docs"][id]));
            }
        }
    }
    (same, differ)
}

#[test]
fn what_one_node_lost_another_node_has() -> Result<()> {
    let cluster = fixtures::four_nodes()?;
    let right = content::read_cluster(&cluster.folders())?;
    // Every shard is on two nodes: those of one node per pair are damaged.
    let mut arguments = vec!["salvage".to_owned()];
    for (i, node) in cluster.nodes.iter().enumerate() {
        if i % 2 == 0 {
            damage_shards(&node.data, i as u64)?;
        }
        arguments.push(node.data.display().to_string());
    }
    let to = cluster.dir().join("rescued");
    arguments.extend(["--to".to_owned(), to.display().to_string()]);
    let ended = couchcopy(&arguments)?;
    assert!(matches!(ended.code, Some(0 | 3)), "{ended:?}");
    let found = content::read_cluster(&[&to.join("data")])?;
    let (same, differ) = same_documents(&found, &right);
    assert!(same > 1000, "{same}");
    assert!(differ.len() <= 2, "{} differ: {:?}", differ.len(), differ.first());
    Ok(())
}

#[test]
fn a_backup_and_a_leftover_are_copies_too() -> Result<()> {
    let cluster = fixtures::single_node()?;
    let node = &cluster.nodes[0];
    let right = content::read_cluster(&cluster.folders())?;
    let archive = cluster.dir().join("backup.tar.gz");
    couchcopy_tests::lab::back_up(&[&node.data], &archive)?;
    // Half of the files have become leftovers of a compaction, the others are gone but for the backup.
    for (i, path) in fixtures::files_ending(&node.data, "couch")?.iter().enumerate() {
        let file = node.data.join(path);
        if path.starts_with("shards/") {
            if i % 2 == 0 {
                fs::rename(&file, node.data.join(format!("{path}.compact.data")))?;
            } else {
                fs::write(&file, "nothing of it is left")?;
            }
        }
    }
    let (data, archive) = (node.data.display().to_string(), archive.display().to_string());
    let to = cluster.dir().join("rescued").display().to_string();
    let ended = couchcopy(&["salvage", &data, &archive, "--to", &to])?;
    assert!(matches!(ended.code, Some(0 | 3)), "{ended:?}");
    let found = content::read_cluster(&[&Path::new(&to).join("data")])?;
    let (same, differ) = same_documents(&found, &right);
    assert!(same > 1000 && differ.len() <= 2, "{same} are the same: {differ:?}");

    let again = couchcopy(&["salvage", &data, "--to", &to])?;
    assert_eq!(again.code, Some(5), "{again:?}");
    assert!(again.stderr.contains("CC-W01"), "{again:?}");
    let nothing = cluster.dir().join("empty");
    fs::create_dir(&nothing)?;
    fs::write(nothing.join("a.txt"), "text")?;
    let report = couchcopy(&["salvage", &data, "--dry-run", "--json"])?;
    let last: Value = serde_json::from_str(report.stdout.lines().last().unwrap_or_default())?;
    assert!(last["summary"]["documents"]["whole"].as_u64() > Some(100), "{last}");
    let database = couchcopy(&["salvage", &data, "--dry-run", "--db", "no-such-database"])?;
    assert_eq!(database.code, Some(5));
    assert!(database.stderr.contains("CC-W02"), "{database:?}");
    Ok(())
}
