//! What killed loads leave goes with the next one; what others need stays.

use std::collections::BTreeSet;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Installation, Load, command_line, group, is_alive, wait_until_gone};
use rustix::process::{Pid, Signal, kill_process};

use super::archives::{LAB_ADMIN, private_folders, single_node};

#[test]
fn of_a_killed_load() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let archive = single_node(dir.path())?;
    let mut killed = Load::start(&couchdb, dir.path(), &archive, &[])?;
    let told = killed.wait_until_up()?;
    killed.signal(Signal::KILL)?;
    killed.wait()?;
    wait_until_gone(told.pid)?;
    assert!(told.folder.exists());

    let mut next = Load::start(&couchdb, dir.path(), &archive, &[])?;
    let told_next = next.wait_until_up()?;
    assert!(!told.folder.exists());
    next.signal(Signal::TERM)?;
    let ended = next.wait()?;
    assert!(ended.stderr.contains(&told.folder.display().to_string()), "{ended:?}");
    assert!(!told_next.folder.exists());
    assert_eq!(private_folders(dir.path())?, [""; 0]);
    Ok(())
}

/// Even what guards CouchDB was killed: the next load ends it.
#[test]
fn with_a_couchdb_that_still_runs() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let archive = single_node(dir.path())?;
    let mut killed = Load::start(&couchdb, dir.path(), &archive, &[])?;
    let told = killed.wait_until_up()?;
    let guards: Vec<i32> =
        group(told.pid)?.into_iter().filter(|pid| command_line(*pid).starts_with("sh ")).collect();
    assert_eq!(guards.len(), 1);
    for pid in guards.into_iter().chain([killed.pid()]) {
        kill_process(Pid::from_raw(pid).ok_or("a process with the number 0")?, Signal::KILL)?;
    }
    killed.wait()?;
    assert!(is_alive(told.pid));
    let mut next = Load::start(&couchdb, dir.path(), &archive, &[])?;
    next.wait_until_up()?;
    assert!(!is_alive(told.pid));
    assert!(!told.folder.exists());
    Ok(())
}

/// Loads that are started at once have ports, nodes and folders of their own, and leave each other's alone.
#[test]
fn at_once() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let archive = single_node(dir.path())?;
    let mut loads = Vec::new();
    for _ in 0..3 {
        loads.push(Load::start(&couchdb, dir.path(), &archive, &LAB_ADMIN)?);
    }
    let told: Vec<_> = loads.iter_mut().map(Load::wait_until_up).collect::<Result<_>>()?;
    let different = |what: fn(&couchcopy_tests::lab::LoadTold) -> String| {
        told.iter().map(what).collect::<BTreeSet<_>>().len()
    };
    assert_eq!(different(|told| told.address.to_string()), 3);
    assert_eq!(different(|told| told.json["node"].to_string()), 3);
    assert_eq!(different(|told| told.folder.display().to_string()), 3);
    let first = told[0].http().get("/_all_dbs")?;
    for told in &told {
        assert!(told.folder.exists());
        assert_eq!(told.http().get("/_all_dbs")?, first);
        assert_eq!(told.http().get("/_node/_local")?["name"], told.json["node"]);
    }
    Ok(())
}
