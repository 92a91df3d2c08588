//! Data that has moved half way, as a cut connection leaves it, and a CouchDB that somebody starts on it.

use std::fs;

use couchcopy_tests::Result;
use couchcopy_tests::live::Reach;
use serde_json::Value;

use super::arena::{Arena, Remedy};
use super::killed::KILL;

/// Kills it when it has written down what is to change places and CouchDB has stopped, and then moves these to the old data
/// by hand.
fn check(remedy: Remedy, maps: &str, moved: &[&str]) -> Result<()> {
    let Some(mut arena) = Arena::of(1, Reach::Here)? else { return Ok(()) };
    let stopped = arena.step_before("exchanged")?;
    let ended = arena.restore(&["--maps", maps], &[(KILL, &stopped)])?;
    assert_eq!(ended.code, None, "{ended:#?}");
    for step in ["decided", "stopped"] {
        assert!(ended.stderr.contains(&format!(": {step} on")), "{ended:#?}");
    }
    let data = arena.site.nodes[0].data.clone();
    for name in moved {
        fs::rename(data.join(name), data.join(".couchcopy/old").join(name))?;
    }
    assert_eq!(arena.site.situations()?, [if moved.is_empty() { "staged" } else { "swapping" }]);
    let refused = arena.couchcopy(&["clean"], &[])?;
    assert_eq!(refused.code, Some(5), "{refused:#?}");
    arena.site.start_nodes()?;
    // It is CouchDB that now makes what is missing, and a database that nobody wants to keep.
    if !moved.is_empty() {
        arena.site.http().put("/in-between", &Value::Null)?;
    }
    for name in moved {
        assert!(data.join(name).exists(), "{name}");
    }
    arena.mend(remedy)
}

#[test]
fn a_couchdb_without_its_maps_does_no_harm() -> Result<()> {
    check(Remedy::Resume, "file", &["_dbs.couch"])?;
    check(Remedy::RollBack, "file", &["_dbs.couch"])
}

#[test]
fn a_couchdb_without_maps_and_shards_does_no_harm() -> Result<()> {
    check(Remedy::Resume, "http", &["_dbs.couch", "shards"])?;
    check(Remedy::RollBack, "http", &["_dbs.couch", "shards"])
}

/// What it makes is part of the old data, and comes back with it.
#[test]
fn a_couchdb_with_all_of_its_old_data_goes_on_with_it() -> Result<()> {
    check(Remedy::Resume, "file", &[])?;
    let Some(mut arena) = Arena::of(1, Reach::Here)? else { return Ok(()) };
    let stopped = arena.step_before("exchanged")?;
    let ended = arena.restore(&[], &[(KILL, &stopped)])?;
    assert_eq!(ended.code, None, "{ended:#?}");
    arena.site.start_nodes()?;
    let data = &arena.site.nodes[0].data;
    fs::create_dir_all(data.join(".shards/made"))?;
    fs::write(data.join(".shards/made/later"), "")?;
    let ended = arena.couchcopy(&["restore", "-y", "-v", "--resume", "--keep-old"], &[])?;
    ended.success()?;
    arena.couchcopy(&["restore", "-y", "--roll-back"], &[])?.success()?;
    assert!(arena.site.nodes[0].data.join(".shards/made/later").exists());
    arena.mended(Remedy::RollBack, &arena.couchcopy(&["status"], &[])?)
}
