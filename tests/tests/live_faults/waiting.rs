//! Nothing is waited for that cannot come.

use std::time::{Duration, Instant};

use couchcopy_tests::Result;
use couchcopy_tests::lab::wait_for;
use couchcopy_tests::live::Reach;
use serde_json::json;

use super::arena::Arena;

/// Well below the limit of half an hour that a restore has by default.
const SOON: Duration = Duration::from_secs(900);

#[test]
fn a_small_limit_for_infos_on_databases_makes_smaller_requests() -> Result<()> {
    let Some(mut arena) = Arena::new(Reach::Here)? else { return Ok(()) };
    for node in &arena.site.nodes {
        node.http.put("/_node/_local/_config/chttpd/max_db_number_for_dbs_info_req", &json!("1"))?;
    }
    let begun = Instant::now();
    let ended = arena.restore(&["--open", "all"], &[])?;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stdout.contains("Every database opens on every node"), "{ended:#?}");
    assert!(begun.elapsed() < SOON);
    arena.check_new()
}

/// Starts a node again, without waiting until it says that it is up.
fn start_again(arena: &Arena) -> Result<()> {
    let http = &arena.site.nodes[1].http;
    arena.site.control(1, "stop")?.success()?;
    arena.site.control(1, "start")?.success()?;
    wait_for("an answer", || {
        Ok(http.ask("GET", "/", None).ok().filter(couchcopy_tests::lab::Answer::is_success).map(|_| ()))
    })
}

#[test]
fn a_node_that_was_not_up_before_is_not_waited_for() -> Result<()> {
    let Some(mut arena) = Arena::new(Reach::Here)? else { return Ok(()) };
    let maintenance = "/_node/_local/_config/couchdb/maintenance_mode";
    let http = arena.site.nodes[1].http.clone();
    http.put(maintenance, &json!("nolb"))?;
    start_again(&arena)?;
    assert_eq!(http.ask("GET", "/_up", None)?.status, 404);
    let checked = arena.couchcopy(&["check"], &[])?.success()?;
    assert!(checked.contains("(nolb)") && checked.contains("does not wait for it"), "{checked}");
    let begun = Instant::now();
    let ended = arena.restore(&[], &[])?;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(begun.elapsed() < SOON);
    http.delete(maintenance)?;
    arena.site.wait_until_up()?;
    arena.check_new()
}

/// A host of the seedlist is a member of the cluster again after every start.
#[test]
fn a_dead_host_in_the_seedlist_is_refused_before_anything_is_stopped() -> Result<()> {
    let Some(arena) = Arena::new(Reach::Here)? else { return Ok(()) };
    let dead = "couchdb@127.255.255.1";
    arena.site.nodes[1].http.put("/_node/_local/_config/cluster/seedlist", &json!(dead))?;
    start_again(&arena)?;
    let stops = arena.site.controls[0].calls("stop");
    let refused = arena.restore(&[], &[])?;
    assert_eq!(refused.code, Some(5), "{refused:#?}");
    for text in ["seedlist", dead, "not up (seeding)"] {
        let told = arena.couchcopy(&["check"], &[])?.stdout;
        assert!(told.contains(text), "{text}: {told}");
    }
    assert_eq!(arena.site.controls[0].calls("stop"), stops);
    Ok(())
}

/// A node that is lost after its start: who does not see it is said while it is waited for, and its plugin's word ends the wait.
#[test]
fn a_node_that_is_lost_is_named_and_not_waited_for_in_vain() -> Result<()> {
    // The plugin there takes the start's word for it.
    let Some(arena) = Arena::new(Reach::Ssh)? else { return Ok(()) };
    arena.site.controls[1].pretend(true)?;
    let begun = Instant::now();
    let ended = arena.restore(&[], &[])?;
    // It does not start on its old data either.
    assert_eq!(ended.code, Some(9), "{ended:#?}");
    assert!(begun.elapsed() < SOON + SOON, "{:?}", begun.elapsed());
    let name = &arena.site.nodes[1].name;
    for text in [
        "still waiting for the nodes to answer",
        "has stopped again",
        "cannot agree",
        "not all of them answer",
        name.as_str(),
    ] {
        assert!(ended.stderr.contains(text), "{text}: {ended:#?}");
    }
    arena.site.controls[1].pretend(false)?;
    arena.site.control(1, "start")?.success()?;
    arena.site.wait_until_up()?;
    arena.check_old()
}
