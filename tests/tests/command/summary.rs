//! What `info` takes from the record of a backup is what counting gives.

use std::path::Path;

use contents::Contents;
use couchcopy_tests::{Result, fixtures};
use inspect::overview::{Overview, overview, recorded};
use outcome::report::Silent;
use scale_data::build;
use serde_json::Value;

use super::run::{backup, json, plan, text};

fn counted(archive: &Path) -> Result<Overview> {
    Ok(overview(&Contents::open(&archive.into(), 2, &Silent)?)?)
}

/// Fails unless the record, the count and the command agree; gives the command's answer.
fn agree(archive: &Path) -> Result<Value> {
    let counted = serde_json::to_value(counted(archive)?)?;
    let recorded =
        recorded(&*contents::open(&archive.into())?)?.ok_or("the archive does not record everything")?;
    assert_eq!(serde_json::to_value(recorded)?, counted);
    let answered = json(0, &["info", text(archive)])?;
    assert_eq!(answered, counted);
    Ok(answered)
}

#[test]
fn of_one_node() -> Result<()> {
    let (cluster, dir) = (fixtures::single_node()?, tempfile::tempdir()?);
    let archive = dir.path().join("a.tar.gz");
    backup(0, &cluster.folders(), &archive)?;
    let info = agree(&archive)?;
    assert!(info["documents"].as_u64() > Some(100) && info["deleted"].as_u64() > Some(0), "{info}");
    Ok(())
}

#[test]
fn of_one_node_without_one_file() -> Result<()> {
    let (cluster, dir) = (fixtures::single_node()?, tempfile::tempdir()?);
    let folder = cluster.folders()[0].to_owned();
    let shards = fixtures::files_ending(&folder, "couch")?;
    let lost = shards.iter().find(|path| path.contains("shards/")).ok_or("no shard")?;
    std::fs::remove_file(folder.join(lost))?;
    let archive = dir.path().join("a.tar.gz");
    backup(3, &[&folder], &archive)?;
    let info = agree(&archive)?;
    assert_eq!(info["problems"], 1, "{info}");
    Ok(())
}

#[test]
fn of_an_unbranded_archive() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let built = build::build(&plan(20, 30, 2), &dir.path().join("nodes"))?;
    let (archive, unbranded) = (dir.path().join("a.tar.gz"), dir.path().join("b.tar.gz"));
    backup(0, &[built.folders[0].path.as_path()], &archive)?;
    let info = agree(&archive)?;
    assert_eq!(info["documents"], 20 * 30);
    json(0, &["unbrand", text(&archive), text(&unbranded)])?;
    assert_eq!(agree(&unbranded)?["documents"], info["documents"]);
    Ok(())
}
