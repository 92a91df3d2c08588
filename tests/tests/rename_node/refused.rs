//! Names that do not fit the cluster.

use couchcopy_tests::Result;
use couchcopy_tests::lab::wait_for;
use couchcopy_tests::live::Reach;
use serde_json::json;

use super::arena::Arena;

#[test]
fn names_that_do_not_fit_are_refused_before_anything_is_stopped() -> Result<()> {
    let Some(mut arena) = Arena::new(2, Reach::Here)? else { return Ok(()) };
    let pairs = arena.pairs();
    let (old, new) = arena.names();
    let unknown = format!("couchdb@nowhere={}", new[0]);
    let taken = format!("{}={}", old[0], old[1]);
    let stops = || arena.site.controls.iter().map(|control| control.calls("stop")).sum::<usize>();
    for (arguments, code, text) in [
        (vec!["no-pair"], "CC-R70", "OLD=NEW"),
        (vec![unknown.as_str()], "CC-R75", "no shard map names couchdb@nowhere"),
        (vec![taken.as_str()], "CC-R76", "already"),
        // The other node is not given.
        (vec![pairs[0].as_str(), old[0].as_str()], "CC-R80", "none of the given nodes"),
        (vec!["--forget", old[1].as_str(), pairs[0].as_str()], "CC-R83", "shard maps name it"),
    ] {
        let ended = arena.couchcopy(&[&["rename-node", "-y"], arguments.as_slice()].concat(), &[])?;
        assert_eq!(ended.code, Some(5), "{arguments:?}: {ended:#?}");
        assert!(ended.stderr.contains(code) && ended.stderr.contains(text), "{code}: {ended:#?}");
    }
    assert_eq!(stops(), 0);
    arena.site.check_nothing_left()?;

    // A name under which CouchDB started once, and that nobody needs.
    let once = "/_node/_local/_nodes/couchdb@once";
    arena.site.http().put(once, &json!({}))?;
    wait_for("the other node to know it", || Ok(arena.site.nodes[1].http.get(once).ok()))?;
    arena.configure_other()?;
    let refused = arena.rename(&[], &[])?;
    assert!(
        refused.stderr.contains("CC-R82") && refused.stderr.contains("--forget couchdb@once"),
        "{refused:#?}"
    );
    arena.rename(&["--forget", "couchdb@once"], &[])?.success()?;
    arena.check_new()
}
