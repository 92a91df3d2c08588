//! CouchDB does not really stop, something starts it again, or another CouchDB takes its place.

use std::fs;
use std::net::TcpStream;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Ended, Installation, Node, Place, Size};
use couchcopy_tests::live::{Forwarder, Reach};

use super::arena::Arena;

fn told(ended: &Ended, texts: &[&str]) {
    for text in texts {
        assert!(ended.stderr.contains(text), "{text}: {ended:#?}");
    }
}

/// Runs couchcopy with a cluster file in which one text stands in place of another.
fn restore_with(arena: &Arena, from: &str, to: &str) -> Result<Ended> {
    let file = arena.site.cluster_file();
    let usual = fs::read_to_string(&file)?;
    assert!(usual.contains(from), "{from}: {usual}");
    fs::write(&file, usual.replace(from, to))?;
    let ended = arena.restore(&[], &[]);
    fs::write(&file, usual)?;
    ended
}

/// The service's stop ends well and its status says that it has stopped, while CouchDB runs on.
fn nothing_moves_under_a_couchdb_that_answers(reach: Reach) -> Result<()> {
    let Some(arena) = Arena::new(reach)? else { return Ok(()) };
    for control in &arena.site.controls {
        control.lie(true)?;
    }
    let ended = arena.restore(&[], &[])?;
    assert_eq!(ended.code, Some(8), "{ended:#?}");
    told(
        &ended,
        &[
            "CouchDB of",
            "was stopped by",
            "answers with status",
            "before anything was stopped or replaced",
            "--service",
        ],
    );
    assert!(!ended.stderr.contains(": exchanged on"), "{ended:#?}");
    assert_eq!(arena.site.controls[0].calls("start"), 1, "none was stopped, so none is started");
    for control in &arena.site.controls {
        control.lie(false)?;
    }
    arena.check_old()?;
    // One of them stops.
    arena.site.controls[1].lie(true)?;
    let ended = arena.restore(&[], &[])?;
    assert_eq!(ended.code, Some(8), "{ended:#?}");
    told(&ended, &["was stopped by", "the old data is back in place"]);
    assert!(!ended.stderr.contains(": exchanged on"), "{ended:#?}");
    arena.site.controls[1].lie(false)?;
    arena.check_old()
}

#[test]
fn nothing_moves_under_a_couchdb_that_answers_directly() -> Result<()> {
    nothing_moves_under_a_couchdb_that_answers(Reach::Here)
}

#[test]
fn nothing_moves_under_a_couchdb_that_answers_through_a_tunnel() -> Result<()> {
    let Some(mut arena) = Arena::new(Reach::Ssh)? else { return Ok(()) };
    let tunnel = ["--tunnel", "always"];
    let ended = arena.restore(&tunnel, &[])?;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    arena.check_new()?;
    arena.site.controls[1].lie(true)?;
    let ended = arena.restore(&tunnel, &[])?;
    assert_eq!(ended.code, Some(8), "{ended:#?}");
    told(&ended, &["was stopped by", "answers with status", "the old data is back in place"]);
    assert!(!ended.stderr.contains(": exchanged on"), "{ended:#?}");
    arena.site.controls[1].lie(false)?;
    arena.check_old()
}

/// It runs on, and the address at which it is asked refuses connections meanwhile.
#[test]
fn a_couchdb_that_ran_while_its_data_changed_places_is_not_accepted() -> Result<()> {
    let Some(arena) = Arena::new(Reach::Here)? else { return Ok(()) };
    let (node, control) = (&arena.site.nodes[1], &arena.site.controls[1]);
    let url = node.url();
    let forwarder = Forwarder::start(vec![url.trim_start_matches("http://").parse()?], control.lied())?;
    control.lie(true)?;
    let ended = restore_with(&arena, &url, &format!("http://{}", forwarder.address))?;
    assert_eq!(ended.code, Some(8), "{ended:#?}");
    told(&ended, &["has been running for", "but its data was swapped", "--roll-back"]);
    // What the second has open is of both, and must not come to the first.
    let first = &arena.site.nodes[0];
    assert!(TcpStream::connect(first.url().trim_start_matches("http://")).is_err(), "{first:?} runs");
    control.lie(false)?;
    arena.site.control(1, "stop")?.success()?;
    arena.site.control(1, "start")?.success()?;
    if ended.stderr.contains("rolling back failed too: the old data is back in place on every node") {
        told(&ended, &["the other nodes were not started"]);
        arena.couchcopy(&["restore", "-y", "--roll-back"], &[])?.success()?;
        arena.site.wait_until_up()?;
        return arena.check_old();
    }
    // The first came up on the new data before the second was found to run, and the second wrote some of it into the old data,
    // which it had open all the time.
    told(&ended, &["rolling back failed too", "_dbs.couch of", "instead of _dbs.couch of"]);
    assert!(!ended.stderr.contains("is back in place"), "{ended:#?}");
    Ok(())
}

/// Something starts it again as soon as it has stopped, and the service plugin cannot say whether it runs.
#[test]
fn a_couchdb_that_is_started_by_something_else_has_all_old_or_all_new_data() -> Result<()> {
    let Some(mut arena) = Arena::of(1, Reach::Here)? else { return Ok(()) };
    arena.site.controls[0].watchdog(true)?;
    let status = format!(",status={} status", arena.site.controls[0].script().display());
    let ended = restore_with(&arena, &status, "")?;
    arena.site.controls[0].watchdog(false)?;
    match ended.code {
        Some(8) => {
            told(&ended, &["answers with status"]);
            arena.site.wait_until_up()?;
            arena.check_old()
        }
        // It came up late enough.
        Some(0) => arena.check_new(),
        _ => Err(format!("{ended:#?}").into()),
    }
}

#[test]
fn another_couchdb_at_the_nodes_address_is_named() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let Some(arena) = Arena::new(Reach::Here)? else { return Ok(()) };
    let (node, control) = (&arena.site.nodes[1], &arena.site.controls[1]);
    let name = node.name.replace("x2@", "x9@");
    let address = node.url().trim_start_matches("http://").parse()?;
    let place = Place { name: name.clone(), address, folder: control.folder().join("usurper") };
    let other = Node::configure(&couchdb, place, Size { nodes: 1, q: 1, n: 1 })?;
    control.usurp(&other)?;
    let ended = arena.restore(&[], &[])?;
    assert_eq!(ended.code, Some(8), "{ended:#?}");
    told(
        &ended,
        &[&name, &other.data.display().to_string(), "answers in its place", "the old data is back in place"],
    );
    assert!(!ended.stderr.contains(": exchanged on"), "{ended:#?}");
    arena.site.control(1, "depose")?.success()?;
    arena.site.control(1, "start")?.success()?;
    arena.site.wait_until_up()?;
    arena.check_old()
}

#[test]
fn the_address_of_another_node_is_refused() -> Result<()> {
    let Some(arena) = Arena::new(Reach::Here)? else { return Ok(()) };
    let control = &arena.site.controls[1];
    let urls: Vec<String> = arena.site.nodes.iter().map(Node::url).collect();
    let to = urls[0].trim_start_matches("http://").parse()?;
    let forwarder = Forwarder::start(vec![to], control.folder().join("nothing"))?;
    let file = arena.site.cluster_file();
    let usual = fs::read_to_string(&file)?;
    fs::write(&file, usual.replace(&urls[1], &format!("http://{}", forwarder.address)))?;
    let refused = arena.restore(&[], &[])?;
    fs::write(&file, &usual)?;
    assert_eq!(refused.code, Some(5), "{refused:#?}");
    told(&refused, &[&format!("is {}, not {}", arena.site.nodes[0].name, arena.site.nodes[1].name)]);
    arena.check_old()
}
