//! Backups that leave a cluster time for something else.

use std::fs;
use std::process::{Command, Stdio};

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Cluster, Installation, PASSWORD, Size, binary, verify, wait_for};
use serde_json::{Value, json};

/// Documents that a node has to send when the other one is back.
const DOCUMENTS: usize = 300;

#[test]
fn internal_replication_is_waited_for() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let mut source = Cluster::fresh(&couchdb, Size { nodes: 2, q: 1, n: 2 })?;
    source.http().put("/busy", &Value::Null)?;
    source.wait_until_synchronised()?;
    source.nodes[1].stop()?;
    // One document a job: the rest is counted, and takes its time.
    for name in ["sync_batch_size", "sync_batch_count"] {
        source.http().put(&format!("/_node/_local/_config/mem3/{name}"), &json!("1"))?;
    }
    let docs: Vec<Value> = (0..DOCUMENTS).map(|i| json!({"_id": i.to_string()})).collect();
    source.http().post("/busy/_bulk_docs", &json!({"docs": docs}))?;
    source.nodes[1].start()?;
    let jobs = || -> Result<Option<u64>> {
        Ok(source.http().get("/_node/_local/_system")?["internal_replication_jobs"].as_u64())
    };
    wait_for("changes that are to be sent", || Ok(jobs()?.filter(|jobs| *jobs > 0)))?;

    let node = &source.nodes[0];
    let (url, data) = (node.url(), node.data.display());
    let cluster = source.dir().join("cluster.toml");
    fs::write(&cluster, format!("[[node]]\nhost = \"localhost\"\ndata = \"{data}\"\nurl = \"{url}\"\n"))?;
    let archive = source.dir().join("paused.tar.gz");
    let printed = source.dir().join("printed");
    let backup = |password: &str| -> Result<Command> {
        let mut command = Command::new(binary()?);
        command.args(["backup", "--overwrite", "--pause-above-jobs", "0", "--cluster"]);
        command.arg(&cluster).arg(&archive).env("COUCHCOPY_PASSWORD", password);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&printed)?);
        Ok(command)
    };
    let text = || -> Result<String> { Ok(fs::read_to_string(&printed)?.replace("\n  │ ", " ")) };
    let mut paused = backup(PASSWORD)?.spawn()?;
    wait_for("the backup to end", || {
        let left = jobs()?;
        let ended = paused.try_wait()?;
        assert!(ended.is_none() || left == Some(0), "{left:?} changes were left: {}", text()?);
        Ok(ended)
    })
    .and_then(|status| if status.success() { Ok(()) } else { Err(text()?.into()) })?;
    let shown = text()?;
    assert!(shown.contains("paused: ") && shown.contains("to send to other nodes"), "{shown}");
    verify(&archive)?.success()?;

    // A node that cannot be asked is not waited for, which is reported.
    let status = backup("wrong")?.status()?;
    let shown = text()?;
    assert!(status.success() && shown.contains("cannot look at the changes"), "{shown}");
    Ok(())
}
