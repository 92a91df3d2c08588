//! Commands that run or need a CouchDB, with an archive in a store.

use std::fs::File;

use couchcopy_tests::compare::compare;
use couchcopy_tests::lab::{
    Cluster, Http, Installation, PASSWORD, Size, USER, read_databases_over_http, read_over_http, run,
    wait_for,
};
use couchcopy_tests::object_servers::S3;
use couchcopy_tests::{Result, fixtures};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::run::{Couchcopy, bucket};

/// The fixture with one node, saved into a bucket.
fn saved(s3: &S3, archive: &str) -> Result<Couchcopy> {
    let (couchcopy, fixture) = (Couchcopy::with(s3.environment()), fixtures::single_node()?);
    let node = format!("localhost,{}", fixture.nodes[0].data.display());
    couchcopy.expect(0, &["backup", &node, archive])?;
    Ok(couchcopy)
}

#[test]
fn a_single_database_comes_out_of_a_store() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let Some(s3) = bucket("single-database")? else { return Ok(()) };
    let archive = "s3://single-database/zoo.tar.gz";
    let couchcopy = saved(&s3, archive)?;
    let cluster = Cluster::fresh(&couchdb, Size { nodes: 1, q: 2, n: 1 })?;
    let node = cluster.nodes[0].url().trim_start_matches("http://").to_owned();
    let arguments =
        ["restore", "--db", "conflicts", "--db", "atts=copy/of-atts", "--local", "--json", archive, &node];
    // What a user has granted to plugins is read there.
    let home = tempfile::tempdir()?;
    let mut command = couchcopy.command(&arguments)?;
    let ended = run(command.env("HOME", home.path()).env("COUCHCOPY_PASSWORD", PASSWORD))?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told: Value = serde_json::from_str(&ended.stdout)?;
    assert_eq!(told["databases"].as_array().map(Vec::len), Some(2), "{told}");

    cluster.wait_until_synchronised()?;
    let oracle = fixtures::oracle("single-node")?;
    let names = ["conflicts", "copy/of-atts"].map(str::to_owned);
    let found = read_databases_over_http(cluster.http(), &names)?;
    for (saved, restored) in [("conflicts", "conflicts"), ("atts", "copy/of-atts")] {
        assert_eq!(compare(&oracle[saved], &found[restored]), [""; 0], "{restored}");
    }
    let databases: Vec<String> = serde_json::from_value(cluster.http().get("/_all_dbs")?)?;
    assert_eq!(databases, ["_replicator", "_users", "conflicts", "copy/of-atts"]);
    Ok(())
}

#[test]
fn a_couchdb_runs_on_an_archive_in_a_store() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let Some(s3) = bucket("loaded")? else { return Ok(()) };
    let archive = "s3://loaded/zoo.tar.gz";
    let couchcopy = saved(&s3, archive)?;
    let dir = tempfile::tempdir()?;
    let (home, within) = (couchdb.home.display().to_string(), dir.path().display().to_string());
    let (stdout, stderr) = (dir.path().join("stdout"), dir.path().join("stderr"));
    let admin = format!("{USER}:{PASSWORD}");
    let arguments = ["load", "--couchdb", &home, "--tmp-dir", &within, "--admin", &admin, "--json", archive];
    let mut command = couchcopy.command(&arguments)?;
    let mut load = command.stdout(File::create(&stdout)?).stderr(File::create(&stderr)?).spawn()?;
    let checked = (|| -> Result<()> {
        let told = wait_for("couchcopy load to answer", || {
            if let Some(status) = load.try_wait()? {
                return Ok(Some(Err(status)));
            }
            Ok(serde_json::from_slice::<Value>(&std::fs::read(&stdout)?).ok().map(Ok))
        })?;
        let told = told.map_err(|status| format!("it ended with {status}"))?;
        let url = told["url"].as_str().ok_or("no url")?;
        let http = Http::new(url.trim_start_matches("http://").trim_end_matches('/').parse()?);
        let wrong = compare(&fixtures::oracle("single-node")?, &read_over_http(&http)?);
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
    })();
    // It is ended whatever came of it: CouchDB would stay.
    let pid = Pid::from_raw(load.id().cast_signed()).ok_or("a process with the number 0")?;
    let _ = kill_process(pid, Signal::TERM);
    let ended = wait_for("couchcopy load to end", || Ok(load.try_wait()?));
    if ended.is_err() {
        load.kill()?;
        load.wait()?;
    }
    checked.map_err(|e| format!("{e}: {}", std::fs::read_to_string(&stderr).unwrap_or_default()))?;
    ended?;
    let left: Vec<_> = std::fs::read_dir(dir.path())?.collect::<std::io::Result<_>>()?;
    assert_eq!(left.len(), 2, "{left:?}");
    Ok(())
}

/// A shell asks while a user types: nobody waits for a store then, and credentials may be missing.
#[test]
fn completion_does_not_ask_a_store() -> Result<()> {
    let Some(s3) = bucket("completed")? else { return Ok(()) };
    let archive = "s3://completed/zoo.tar.gz";
    let couchcopy = saved(&s3, archive)?;
    let proxy = couchcopy_tests::fault_proxy::FaultProxy::start(&s3.endpoint)?;
    let through = Couchcopy::with(s3.at(&proxy.endpoint()).environment());
    couchcopy.expect(0, &["ls", archive])?;
    for line in [
        &["couchcopy", "get", archive, "con"][..],
        &["couchcopy", "get", archive, "plain", "doc-0123"],
        &["couchcopy", "get", archive, "atts", "with", "--attachment", "a"],
    ] {
        let output = through
            .command(&[&["--"], line].concat())?
            .env("COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", (line.len() - 1).to_string())
            .env("_CLAP_COMPLETE_COMP_TYPE", "9")
            .env("_CLAP_IFS", "\n")
            .output()?;
        assert!(output.status.success(), "{output:?}");
        assert_eq!((output.stdout.len(), output.stderr.len()), (0, 0), "{output:?}");
    }
    assert_eq!(proxy.count(), 0, "{:?}", proxy.requests());
    Ok(())
}
