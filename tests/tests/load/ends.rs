//! How a load ends: CouchDB with it, and nothing is left.

use std::fs;
use std::path::Path;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{
    Installation, Load, LoadTold, couchcopy, group, is_alive, wait_for, wait_until_gone,
};
use rustix::process::{Pid, Signal, kill_process};
use scale_data::build;
use scale_data::plan::{Attachments, Plan};

use super::archives::{private_folders, single_node};

fn check_gone(told: &LoadTold, within: &Path) -> Result<()> {
    assert!(!is_alive(told.pid));
    assert_eq!(group(told.pid)?, [0; 0]);
    assert!(!told.folder.exists());
    assert_eq!(private_folders(within)?, [""; 0]);
    assert!(std::net::TcpStream::connect(told.address).is_err());
    Ok(())
}

fn ends_by(signal: Signal) -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let mut load = Load::start(&couchdb, dir.path(), &single_node(dir.path())?, &[])?;
    let told = load.wait_until_up()?;
    assert!(is_alive(told.pid) && told.folder.join("data/_dbs.couch").exists());
    load.signal(signal)?;
    let ended = load.wait()?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    check_gone(&told, dir.path())
}

#[test]
fn by_ctrl_c() -> Result<()> {
    ends_by(Signal::INT)
}

#[test]
fn by_sigterm() -> Result<()> {
    ends_by(Signal::TERM)
}

#[test]
fn by_the_end_of_the_terminal() -> Result<()> {
    ends_by(Signal::HUP)
}

#[test]
fn by_the_end_of_couchdb() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let mut load = Load::start(&couchdb, dir.path(), &single_node(dir.path())?, &[])?;
    let told = load.wait_until_up()?;
    // Something to find in its log.
    fs::write(told.folder.join("couchdb.log"), "the last words\n")?;
    kill_process(Pid::from_raw(told.pid).ok_or("a process with the number 0")?, Signal::KILL)?;
    let ended = load.wait()?.unwrapped();
    assert_eq!(ended.code, Some(9), "{ended:?}");
    // With --json, the error is printed on standard output, after what was printed before.
    assert!(ended.stdout.contains("the last words") && ended.stdout.contains("signal 9"), "{ended:?}");
    check_gone(&told, dir.path())
}

/// Why it does not start is in its log.
#[test]
fn by_a_couchdb_that_does_not_start() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let home = dir.path().join("couchdb");
    for folder in ["bin", "etc"] {
        fs::create_dir_all(home.join(folder))?;
    }
    fs::copy(couchdb.home.join("etc/default.ini"), home.join("etc/default.ini"))?;
    fs::write(home.join("bin/couchdb"), "#!/bin/sh\necho 'I would rather not' >&2\nexit 3\n")?;
    let program = home.join("bin/couchdb");
    let mut mode = fs::metadata(&program)?.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    fs::set_permissions(&program, mode)?;
    let archive = single_node(dir.path())?;
    let mut load = Load::start(&Installation { home }, dir.path(), &archive, &[])?;
    let ended = load.wait()?;
    assert_eq!(ended.code, Some(9), "{ended:?}");
    assert!(ended.stdout.contains("I would rather not") && ended.stdout.contains("exit code 3"), "{ended:?}");
    assert_eq!(private_folders(dir.path())?, [""; 0]);
    Ok(())
}

/// While it unpacks there is no CouchDB yet.
#[test]
fn by_ctrl_c_before_couchdb_runs() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let plan = Plan {
        databases: 3000,
        empty: 0,
        docs: 1,
        doc_size: 200,
        revisions: 1,
        q: 2,
        copies: 1,
        nodes: vec!["couchdb@127.0.8.1".into()],
        seed: 7,
        attachments: Attachments::default(),
    };
    let built = build::build(&plan, &dir.path().join("node"))?;
    let archive = dir.path().join("backup.tar.gz");
    let data = format!("localhost,{}", built.folders[0].path.display());
    couchcopy(&["backup".as_ref(), data.as_ref(), archive.as_os_str()])?.success()?;
    let mut load = Load::start(&couchdb, dir.path(), &archive, &["--threads", "1"])?;
    // As soon as there are shards: there are thousands to come.
    wait_for("the first shards", || {
        let folders = private_folders(dir.path())?;
        let Some(folder) = folders.first() else { return Ok(None) };
        let staging = dir.path().join(folder).join("data/.couchcopy-restore/shards");
        Ok(staging.exists().then_some(()))
    })?;
    load.signal(Signal::INT)?;
    let ended = load.wait()?;
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(!ended.stdout.contains("\"url\""), "{ended:?}");
    assert_eq!(private_folders(dir.path())?, [""; 0]);
    Ok(())
}

/// Whoever kills couchcopy itself ends CouchDB, too.
#[test]
fn by_kill() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let archive = single_node(dir.path())?;
    let mut load = Load::start(&couchdb, dir.path(), &archive, &[])?;
    let told = load.wait_until_up()?;
    load.signal(Signal::KILL)?;
    assert_eq!(load.wait()?.code, None);
    wait_until_gone(told.pid)?;
    wait_for("all that CouchDB had started to end", || Ok(group(told.pid)?.is_empty().then_some(())))
}
