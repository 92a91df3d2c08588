//! Both ways between this couchcopy and the Python one (0.2.4), over a real CouchDB.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use couchcopy_tests::compare::compare;
use couchcopy_tests::lab::{
    AddressBlock, Cluster, Installation, Node, PASSWORD, Place, Size, USER, couchcopy, fill_zoo,
    python_couchcopy, query_zoo, read_over_http, run, wait_until_settled,
};
use couchcopy_tests::{Result, fixtures};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use super::started::{restore, start_and_check};

/// A node as the Python couchcopy wants it: on this machine's own address, started and stopped by commands.
struct Scripted {
    node: Node,
    start: PathBuf,
    stop: PathBuf,
    pid: PathBuf,
}

impl Scripted {
    fn new(node: Node, folder: &Path) -> Result<Self> {
        let (program, environment) = node.command_line();
        let (start, stop, pid) = (folder.join("start"), folder.join("stop"), folder.join("pid"));
        let mut variables = String::new();
        for (name, value) in environment {
            let _ = writeln!(variables, "export {name}='{value}'");
        }
        let (pid_file, log) = (pid.display(), node.log_path());
        // It must let go of standard output, whose end the Python couchcopy waits for. Nothing else ends the node where
        // the test is killed, so its time is limited.
        let text = format!(
            "#!/bin/sh\n\
             [ -f {pid_file} ] && kill -0 \"$(cat {pid_file})\" 2>/dev/null && exit 0\n\
             {variables}\
             setsid timeout -s KILL 300 {} </dev/null >>{} 2>&1 &\n\
             echo $! >{pid_file}\n",
            program.display(),
            log.display(),
        );
        fs::write(&start, text)?;
        let text = format!(
            "#!/bin/sh\n\
             [ -f {pid_file} ] || exit 0\n\
             pid=$(cat {pid_file})\n\
             rm {pid_file}\n\
             kill \"$pid\" 2>/dev/null\n\
             tries=0\n\
             while kill -0 \"$pid\" 2>/dev/null; do\n\
             tries=$((tries + 1))\n\
             [ $tries -gt 300 ] && exit 1\n\
             sleep 0.1\n\
             done\n\
             exit 0\n"
        );
        fs::write(&stop, text)?;
        fs::create_dir_all(&node.data)?;
        Ok(Self { node, start, stop, pid })
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        // The node is in a session of its own, with `timeout` at its head.
        let pid = fs::read_to_string(&self.pid).ok().and_then(|text| text.trim().parse().ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

#[test]
fn each_restores_what_the_other_saved() -> Result<()> {
    let (Some(couchdb), Some(python)) = (Installation::find(), python_couchcopy()) else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let block = AddressBlock::claim()?;
    // It does not rename nodes without loss, so that source and target have one name, one after the other.
    let place = |folder: &str| Place {
        name: format!("couchdb{}x1@127.0.0.1", block.number),
        address: ([127, 0, 0, 1], 10_000 + u16::from(block.number)).into(),
        folder: dir.path().join(folder),
    };
    let size = Size { nodes: 1, q: 2, n: 1 };
    let (ours, theirs) = (dir.path().join("ours.tar.gz"), dir.path().join("theirs.tar.gz"));

    let mut source = Node::configure(&couchdb, place("source"), size)?;
    let expected = save(&mut source, &python, &ours, &theirs)?;

    restored_by_python(&couchdb, &python, &ours, place("target"), &expected)?;
    // The name that the archive tells is as good as any.
    let unbranded = dir.path().join("unbranded.tar.gz");
    let told = couchcopy(&["unbrand".as_ref(), ours.as_os_str(), unbranded.as_os_str(), "--json".as_ref()])?;
    let told: Value = serde_json::from_str(&told.success()?)?;
    let name = told["node"].as_str().ok_or("no node")?.to_owned();
    restored_by_python(&couchdb, &python, &unbranded, Place { name, ..place("again") }, &expected)?;

    let mut cluster = Cluster::prepare(&couchdb, Size { nodes: 2, q: 2, n: 2 })?;
    couchcopy(&["verify".as_ref(), theirs.as_os_str()])?.success()?;
    restore(&theirs, &cluster, None)?;
    start_and_check(&mut cluster, &expected)
}

/// Has an archive restored to a node of a place by the Python couchcopy, and fails unless everything is there.
fn restored_by_python(
    couchdb: &Installation,
    python: &Path,
    archive: &Path,
    place: Place,
    expected: &Value,
) -> Result<()> {
    let (address, folder) = (place.address, place.folder.clone());
    let size = Size { nodes: 1, q: 2, n: 1 };
    let target = Scripted::new(Node::configure(couchdb, place, size)?, &folder)?;
    let node = format!(
        "{USER}:{PASSWORD}@localhost:{},{},{}",
        address.port(),
        target.node.data.display(),
        target.node.name
    );
    let told = run(Command::new(python)
        .args(["restore", "-y"])
        .arg("--couchdb-start")
        .arg(format!("sh {}", target.start.display()))
        .arg("--couchdb-stop")
        .arg(format!("sh {}", target.stop.display()))
        .arg(archive)
        .arg(node))?
    .success()
    .map_err(|e| format!("{e}{}", target.node.log()))?;
    assert!(told.contains("is now restored"), "{told}");
    let restored = read_over_http(&target.node.http)?;
    assert_eq!(compare(expected, &restored), [""; 0], "{}", archive.display());
    // It unpacks whatever is in an archive into the data folder; the configuration has no place there.
    let unpacked = fixtures::files_below(&target.node.data)?;
    assert!(!unpacked.iter().any(|path| path.contains("config") || path.contains(".ini")), "{unpacked:?}");
    query_zoo(&target.node.http)
}

/// Fills a node and has it saved by both programs while it runs; gives its content. It is stopped afterwards.
fn save(source: &mut Node, python: &Path, ours: &Path, theirs: &Path) -> Result<Value> {
    source.start()?;
    source.wait_until_up()?;
    for db in ["_users", "_replicator"] {
        source.http.put(&format!("/{db}"), &Value::Null)?;
    }
    fill_zoo(&source.http)?;
    wait_until_settled(std::slice::from_ref(source), query_zoo)?;
    let expected = read_over_http(&source.http)?;
    let data = format!("localhost,{}", source.data.display());
    let told = couchcopy(&["backup", "--with-config", "--json", &data, &ours.display().to_string()])?;
    assert!(told.stdout.contains(".ini") && told.stdout.contains("[admins]"), "{told:?}");
    assert!(!format!("{told:?}").contains(PASSWORD), "{told:?}");
    told.success()?;
    couchcopy(&["verify".as_ref(), ours.as_os_str()])?.success()?;
    run(Command::new(python).arg("backup").arg(data).arg(theirs))?.success()?;
    source.stop()?;
    Ok(expected)
}
