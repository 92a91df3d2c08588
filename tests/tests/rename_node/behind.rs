//! A node was down while databases were created and deleted, and other things that shard maps and the list of nodes hold.

use couchcopy_tests::Result;
use couchcopy_tests::lab::read_over_http;
use couchcopy_tests::live::Reach;
use serde_json::{Value, json};

use super::arena::Arena;

#[test]
fn the_newest_shard_maps_win() -> Result<()> {
    let Some(mut arena) = Arena::new(3, Reach::Here)? else { return Ok(()) };
    let name = arena.names().0[1].clone();
    let path = format!("/_node/_local/_nodes/{name}");
    let mut zone = arena.site.http().get(&path)?;
    zone["zone"] = json!("rack-2");
    arena.site.http().put(&path, &zone)?;
    arena.site.http().put("/gone", &Value::Null)?;
    arena.site.wait_until_settled(|_| Ok(()))?;
    arena.site.control(2, "stop")?.success()?;
    arena.site.http().delete("/gone")?;
    arena.site.http().put("/came", &Value::Null)?;
    arena.site.http().put("/came/doc", &json!({"written": "meanwhile"}))?;
    arena.stop()?;
    arena.configure_other()?;
    let pairs = arena.pairs();
    let pairs: Vec<&str> = pairs.iter().map(String::as_str).collect();
    let told =
        arena.couchcopy(&[&["rename-node", "--dry-run"], pairs.as_slice()].concat(), &[])?.success()?;
    assert!(told.contains("not the same on all nodes"), "{told}");
    arena.rename(&[], &[])?.success()?;
    for node in &arena.site.nodes {
        let names = node.http.get("/_all_dbs")?;
        let names = names.as_array().ok_or("no list")?;
        assert!(names.contains(&json!("came")) && !names.contains(&json!("gone")), "{names:?}");
    }
    // The database that came is part of what is there.
    arena.site.http().delete("/came")?;
    let new = arena.names().1[1].clone();
    arena.check_new()?;
    let kept = arena.site.http().get(&format!("/_node/_local/_nodes/{new}"))?;
    assert_eq!(kept["zone"], json!("rack-2"), "{kept}");
    read_over_http(arena.site.http()).map(|_| ())
}
