//! Data directories of several nodes, each damaged elsewhere, with the command.

use std::fs;
use std::path::Path;
use std::process::Command;

use couchcopy_tests::lab::{self, couchcopy};
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
    lab::back_up(&[&node.data], &archive)?;
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

#[test]
fn damaged_archives_give_what_is_left_of_them() -> Result<()> {
    let cluster = fixtures::single_node()?;
    let data = &cluster.nodes[0].data;
    let archive = cluster.dir().join("backup.tar.gz");
    lab::back_up(&[data], &archive)?;
    let bytes = fs::read(&archive)?;
    let mut holed = bytes.clone();
    let half = bytes.len() / 2;
    holed[half..half + 20_000].fill(0);
    let cut = bytes[..bytes.len() * 3 / 4].to_vec();
    for (name, content) in [("holed", holed), ("cut", cut)] {
        let path = cluster.dir().join(format!("{name}.tar.gz"));
        fs::write(&path, content)?;
        let ended = couchcopy(&["salvage", &path.display().to_string(), "--dry-run", "--json"])?;
        assert_eq!(ended.code, Some(3), "{ended:?}");
        let last: Value = serde_json::from_str(ended.stdout.lines().last().unwrap_or_default())?;
        let whole = last["summary"]["documents"]["whole"].as_u64();
        assert!(whole > Some(1000) && whole < Some(3857), "{name}: {last}");
    }
    // Nothing is left, so nothing is wrong with any document; the command must not call that whole.
    let lost = cluster.dir().join("lost.couch");
    fs::write(&lost, vec![0; 100_000])?;
    let ended = couchcopy(&["salvage", &lost.display().to_string(), "--dry-run"])?;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    Ok(())
}

#[test]
fn a_repository_is_an_input_like_any_other() -> Result<()> {
    let cluster = fixtures::single_node()?;
    let data = format!("localhost,{}", cluster.nodes[0].data.display());
    let repository = cluster.dir().join("repository").display().to_string();
    // The keys of repositories lie in the user's configuration.
    let with_keys = |arguments: &[&str]| {
        let mut command = Command::new(lab::binary()?);
        for name in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"] {
            command.env(name, cluster.dir().join(name));
        }
        lab::run(command.args(arguments))
    };
    with_keys(&["repo", "init", &repository])?.success()?;
    with_keys(&["backup", &data, "--repo", &repository])?.success()?;
    let right = couchcopy(&["salvage", &cluster.nodes[0].data.display().to_string(), "--dry-run", "--json"])?;
    let found = with_keys(&["salvage", &repository, "--dry-run", "--json"])?;
    let documents = |ended: &lab::Ended| -> Result<Value> {
        let last: Value = serde_json::from_str(ended.stdout.lines().last().unwrap_or_default())?;
        Ok(last["summary"]["documents"].clone())
    };
    assert_eq!(documents(&found)?, documents(&right)?);
    assert!(documents(&found)?["whole"].as_u64() > Some(3000));
    Ok(())
}
