//! A restore that was cut goes on when it is given again.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use couchcopy_tests::lab::{run, wait_for};
use couchcopy_tests::{Result, random};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::arena::{Arena, renamed};

const DOCUMENTS: usize = 9000;

/// A database of several requests, with attachments that go alone, local documents, limits and security.
fn fill(arena: &Arena) -> Result<()> {
    let http = arena.http();
    http.put("/source?q=3", &Value::Null)?;
    for piece in (0..DOCUMENTS).collect::<Vec<_>>().chunks(3000) {
        let docs: Vec<Value> = piece
            .iter()
            .map(|i| json!({"_id": format!("doc-{i:06}"), "text": format!("{i} ").repeat(i % 40)}))
            .collect();
        http.post("/source/_bulk_docs", &json!({"docs": docs}))?;
    }
    for i in 0..20 {
        let attachments = json!({
            "text": {"content_type": "text/plain", "data": "aGVsbG8g".repeat(100 * i)},
            "bytes": {"content_type": "application/octet-stream", "data": base64(&random::bytes(i as u64, 20_000 * i))},
        });
        http.put(&format!("/source/att-{i}"), &json!({"_attachments": attachments}))?;
    }
    let conflict = json!({"_id": "doc-000001", "_rev": "1-abc", "v": "conflict"});
    http.post("/source/_bulk_docs", &json!({"docs": [conflict], "new_edits": false}))?;
    http.put("/source/_local/checkpoint", &json!({"seq": 7}))?;
    http.put("/source/_design/d", &json!({"views": {}}))?;
    http.put("/source/_revs_limit", &json!(17))?;
    http.put("/source/_purged_infos_limit", &json!(23))?;
    http.put("/source/_security", &json!({"admins": {"names": ["bob"]}, "members": {"roles": ["staff"]}}))?;
    Ok(())
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks_exact(3)
        .flat_map(|three| {
            let n = three.iter().fold(0u32, |n, byte| (n << 8) | u32::from(*byte));
            [18, 12, 6, 0].map(|shift| char::from(DIGITS[(n >> shift) as usize & 63]))
        })
        .collect()
}

fn killed(arena: &Arena, archive: &std::path::Path, flag: &str, step: &str) -> Result<Option<i32>> {
    let mut command = arena.command(archive, &["--local", flag])?;
    command.env("COUCHCOPY_TEST_KILL_AFTER_STEP", step);
    Ok(run(&mut command)?.code)
}

#[test]
fn killed_at_any_moment_it_is_finished_by_the_same_command() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    fill(&arena)?;
    let oracle = arena.read(&["source"])?;
    let archive = arena.back_up()?;
    let mut target = 0;
    // Once through all of its steps; most are alike.
    let told = arena.restore(&archive, &["-v", "--local", "--db=source=whole"])?;
    let steps: Vec<&str> = told.stderr.lines().filter(|line| line.starts_with("step ")).collect();
    let last = steps.len();
    println!("{}", steps.join("\n"));
    assert!(last > 20, "{told:#?}");
    told.success()?;
    arena.check(&renamed(&oracle, [("source", "whole")])?)?;
    // The last ones by what they are: how documents are grouped into requests is not always the same.
    let [middle, late] = [last / 2, last - 5].map(|step| step.to_string());
    let moments =
        ["1", "2", "3", "4", "5", "9", &middle, &late, "local documents", "design documents", "compared"];
    for step in moments {
        target += 1;
        let name = format!("killed-{target}");
        let flag = format!("--db=source={name}");
        assert_eq!(killed(&arena, &archive, &flag, step)?, None, "step {step}");
        let other = arena.restore(&archive, &[&format!("--db=plain={name}")])?;
        assert_eq!(other.code, Some(5), "{other:#?}");
        // Until it is whole, only admins may look at it.
        let security = arena.http().get(&format!("/{name}/_security"))?;
        let whole = security["members"]["roles"] == json!(["staff"]);
        assert!(whole == (step == "compared"), "step {step} of {last}: {security}");
        // And killed again on the way.
        killed(&arena, &archive, &flag, "3")?;
        let told = arena.json(0, &archive, &["--local", &flag])?;
        let database = &told["databases"][0];
        assert_eq!(
            (&database["found"], &database["finished"]),
            (&json!("unfinished"), &json!(true)),
            "step {step}: {told}"
        );
        arena
            .check(&renamed(&oracle, [("source", name.as_str())])?)
            .map_err(|e| format!("step {step}: {e}"))?;
        let note = arena.http().ask("GET", &format!("/{name}/_local/couchcopy-restore"), None)?;
        assert_eq!(note.status, 404, "step {step}: {note:?}");
    }
    Ok(())
}

/// Starts a restore, and waits until it has sent documents. Returns it with the file of its messages.
fn sending(arena: &Arena, archive: &Path) -> Result<(Child, PathBuf)> {
    let log = arena.path("stderr");
    let mut command = arena.command(archive, &["-v", "--local", "--db=source=target"])?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&log)?);
    let child = command.spawn()?;
    wait_for("the first documents", || {
        let told = std::fs::read_to_string(&log)?;
        Ok(told.contains("documents sent").then_some(()))
    })?;
    Ok((child, log))
}

#[test]
fn interrupted_it_ends_soon_and_goes_on() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    fill(&arena)?;
    let oracle = arena.read(&["source"])?;
    let archive = arena.back_up()?;
    let (mut child, log) = sending(&arena, &archive)?;
    let pid = Pid::from_raw(child.id().cast_signed()).ok_or("no process")?;
    kill_process(pid, Signal::INT)?;
    let status = wait_for("its end", || Ok(child.try_wait()?))?;
    let told = std::fs::read_to_string(&log)?;
    // It may have been faster.
    assert!(matches!(status.code(), Some(0 | 3)), "{status}: {told}");
    if status.code() == Some(3) {
        arena.restore(&archive, &["--local", "--db=source=target"])?.success()?;
    }
    arena.check(&renamed(&oracle, [("source", "target")])?)
}

/// A node that is away for a while.
#[test]
fn a_node_that_restarts_is_waited_for() -> Result<()> {
    let Some(mut arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    fill(&arena)?;
    let oracle = arena.read(&["source"])?;
    let archive = arena.back_up()?;
    let (mut child, log) = sending(&arena, &archive)?;
    arena.cluster.nodes[0].stop()?;
    std::thread::sleep(Duration::from_secs(1));
    arena.cluster.nodes[0].start()?;
    arena.cluster.nodes[0].wait_until_up()?;
    let status = wait_for("its end", || Ok(child.try_wait()?))?;
    assert!(status.success(), "{status}: {}", std::fs::read_to_string(&log)?);
    arena.check(&renamed(&oracle, [("source", "target")])?)
}
