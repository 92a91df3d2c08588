//! What would not bring the node back.

use couchcopy_tests::Result;
use couchcopy_tests::live::Reach;
use serde_json::{Value, json};

use super::arena::{Arena, LOST};

#[test]
fn what_would_lose_something_is_refused_before_anything_changes() -> Result<()> {
    let Some(arena) = Arena::new(Reach::Here)? else { return Ok(()) };
    let archive = arena.archive.display().to_string();
    let refused = |arguments: &[&str], code: &str| -> Result<()> {
        let ended = arena.couchcopy(&[&["restore", "-y"], arguments].concat(), &[])?;
        assert!(matches!(ended.code, Some(5 | 6)), "{arguments:?}: {ended:#?}");
        assert!(ended.stderr.contains(code), "{code}: {ended:#?}");
        Ok(())
    };
    refused(&["--node", "couchdb@nowhere", &archive], "CC-R90")?;
    refused(&["--node", arena.name(), &archive, arena.name()], "CC-R91")?;
    let first = arena.site.nodes[0].name.clone();
    // One of the others is not given.
    refused(&["--node", arena.name(), &archive, arena.name(), &first], "its cluster is")?;
    arena.site.control(2, "stop")?.success()?;
    refused(&["--node", arena.name(), &archive], "all other nodes have to run")?;
    arena.site.control(2, "start")?.success()?;
    arena.site.wait_until_up()?;
    // A database of which nobody else has anything, and which is not in the archive.
    let name = arena.name().to_owned();
    let http = arena.site.http();
    let mut only = 0;
    while only == 0 {
        http.put("/alone?n=1&q=8", &Value::Null)?;
        let shards = http.get("/alone/_shards")?;
        let all = shards["shards"].as_object().ok_or("no shards")?;
        only = all.values().filter(|holders| **holders == json!([name])).count();
    }
    couchcopy_tests::lab::wait_until_synchronised(&arena.site.nodes)?;
    refused(&["--node", &name, &archive], "CC-R92")?;
    http.delete("/alone")?;
    arena.site.check_nothing_left()?;
    assert_eq!(arena.site.controls[LOST].calls("stop"), 0);
    Ok(())
}
