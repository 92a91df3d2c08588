//! The load: each writer does one kind of thing until it is told to stop.

use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use couchcopy_tests::lab::{Answer, Cluster, Http, wait_at_most, wait_for};
use couchcopy_tests::{Result, random};
use serde_json::{Value, json};

use super::state::{CHURNING, Stage, State};

/// Gets documents with ascending numbers, one after the other.
pub(super) const LOG: &str = "log";
/// Its documents change all the time. Every fifth version is a deletion.
pub(super) const CHURN: &str = "churn";
/// Comes and goes.
pub(super) const PHOENIX: &str = "phoenix";
/// Documents of the log before the load begins.
const LOGGED: u64 = 800;
/// Documents in each of the databases that are created.
pub(super) const DOCUMENTS: u64 = 5;
/// The design document in `CHURN`.
const DESIGN: &str = "_design/versions";

/// Name of a database that is created while backups are made.
pub(super) fn database(i: usize) -> String {
    format!("temp-{i:05}")
}

/// Text of a document of the log: of some length, and hard to compress.
pub(super) fn text(n: u64) -> String {
    random::text(n, 1500)
}

fn log_entry(n: u64) -> Value {
    json!({"_id": format!("{n:08}"), "n": n, "text": text(n)})
}

/// Whether a version of a changing document is a deletion.
pub(super) fn is_deletion(version: u64) -> bool {
    version.is_multiple_of(5)
}

/// Pause between two writes: without it a compaction would never catch up with its database.
const BREATH: Duration = Duration::from_millis(25);
/// How long a compaction is waited for before the next one begins.
const COMPACTION: Duration = Duration::from_secs(2);

/// Makes the databases that are there from the beginning.
pub(super) fn prepare(http: &Http, state: &State) -> Result<()> {
    http.put(&format!("/{LOG}?q=1"), &Value::Null)?;
    // A large file from the beginning: it is read piece by piece while it grows and is compacted.
    bulk(http, LOG, &(0..LOGGED).map(log_entry).collect::<Vec<_>>())?;
    state.log.send(LOGGED);
    state.log.acknowledge(LOGGED);
    http.put(&format!("/{CHURN}"), &Value::Null)?;
    let map = r#"fun({Doc}) -> Emit(proplists:get_value(<<"version">>, Doc), null) end."#;
    let views = json!({"language": "erlang", "views": {"versions": {"map": map, "reduce": "_count"}}});
    http.put(&format!("/{CHURN}/{DESIGN}"), &views)?;
    state.phoenix.send(1);
    phoenix(http, 1)?;
    state.phoenix.acknowledge(1);
    Ok(())
}

/// What a writer does until it is told to stop.
type Work = fn(&Http, &State) -> Result<()>;

/// Starts all writers, half of them on either node.
pub(super) fn start<'s>(
    scope: &'s Scope<'s, '_>,
    cluster: &'s Cluster,
    state: &'s State,
) -> Vec<ScopedJoinHandle<'s, ()>> {
    let work: [Work; 5] = [write_log, change_documents, create_and_delete, query_views, compact];
    let nodes = cluster.nodes.iter().cycle();
    let spawn = |(work, http): (Work, &'s Http)| {
        scope.spawn(move || {
            if let Err(e) = work(http, state) {
                state.fail(e.to_string());
            }
        })
    };
    work.into_iter().zip(nodes.map(|node| &node.http)).map(spawn).collect()
}

/// Only what all copies have is acknowledged: 202 would mean that some have it.
fn on_all_copies(what: &str, answer: &Answer) -> Result<()> {
    if matches!(answer.status, 200 | 201) {
        return Ok(());
    }
    Err(format!("{what}: {} {}", answer.status, answer.body).into())
}

fn bulk(http: &Http, db: &str, docs: &[Value]) -> Result<Value> {
    let answer = http.ask("POST", &format!("/{db}/_bulk_docs"), Some(&json!({"docs": docs})))?;
    on_all_copies(db, &answer)?;
    Ok(answer.body)
}

fn write_log(http: &Http, state: &State) -> Result<()> {
    let mut next = LOGGED;
    while !state.stopped() {
        let count = 1 + next % 4;
        state.log.send(next + count);
        bulk(http, LOG, &(next..next + count).map(log_entry).collect::<Vec<_>>())?;
        next += count;
        state.log.acknowledge(next);
        std::thread::sleep(BREATH);
    }
    Ok(())
}

fn change_documents(http: &Http, state: &State) -> Result<()> {
    let mut revs: Vec<Option<String>> = vec![None; CHURNING];
    let mut turn = 0usize;
    while !state.stopped() {
        // Every eleventh document, another one first each time.
        let chosen: Vec<usize> = (0..8).map(|i| (turn * 7 + i * 11) % CHURNING).collect();
        let mut docs = Vec::new();
        for &i in &chosen {
            let version = state.churn[i].acknowledged() + 1;
            let mut doc = json!({"_id": format!("{i}"), "version": version});
            if let Some(rev) = &revs[i] {
                doc["_rev"] = json!(rev);
            }
            if is_deletion(version) {
                doc["_deleted"] = json!(true);
            } else {
                doc["text"] = json!("x".repeat((turn * 37 + i * 101) % 3000));
            }
            if i.is_multiple_of(10) && !is_deletion(version) {
                let data = "ABCD".repeat(1 + (turn * 91) % 4000);
                doc["_attachments"] =
                    json!({"a": {"content_type": "application/octet-stream", "data": data}});
            }
            docs.push(doc);
            state.churn[i].send(version);
        }
        let written = bulk(http, CHURN, &docs)?;
        for (&i, row) in chosen.iter().zip(written.as_array().ok_or("no rows")?) {
            let rev = row["rev"].as_str().ok_or_else(|| format!("{CHURN}/{i}: {row}"))?;
            // A deleted document is made anew, which CouchDB takes for its next revision.
            let deleted = is_deletion(state.churn[i].sent());
            revs[i] = (!deleted).then(|| rev.to_owned());
            state.churn[i].acknowledge(state.churn[i].sent());
        }
        turn += 1;
        std::thread::sleep(BREATH);
    }
    Ok(())
}

/// Creates databases, fills them, and deletes seven of eight of them a while later.
fn create_and_delete(http: &Http, state: &State) -> Result<()> {
    const KEPT: usize = 4;
    let mut i = 0;
    while !state.stopped() {
        let name = database(i);
        state.reached(i, Stage::Creating);
        let (q, n) = (1 + i % 2, 1 + i / 2 % 2);
        on_all_copies(&name, &http.ask("PUT", &format!("/{name}?q={q}&n={n}"), Some(&Value::Null))?)?;
        let docs: Vec<Value> = (0..DOCUMENTS).map(|n| json!({"_id": format!("{n}"), "n": n})).collect();
        bulk(http, &name, &docs)?;
        state.reached(i, Stage::Filled);
        if i >= KEPT && !(i - KEPT).is_multiple_of(8) {
            let old = i - KEPT;
            state.reached(old, Stage::Deleting);
            on_all_copies("deletion", &http.ask("DELETE", &format!("/{}", database(old)), None)?)?;
            state.reached(old, Stage::Deleted);
        }
        if i.is_multiple_of(3) {
            let times = state.phoenix.acknowledged() + 1;
            state.phoenix.send(times);
            on_all_copies("deletion", &http.ask("DELETE", &format!("/{PHOENIX}"), None)?)?;
            phoenix(http, times)?;
            state.phoenix.acknowledge(times);
        }
        i += 1;
    }
    Ok(())
}

fn phoenix(http: &Http, times: u64) -> Result<()> {
    // A node that has not heard of its deletion yet says that it exists.
    let created = wait_for("the old phoenix to be gone everywhere", || {
        let answer = http.ask("PUT", &format!("/{PHOENIX}?q=1"), Some(&Value::Null))?;
        Ok((answer.status != 412).then_some(answer))
    })?;
    on_all_copies(PHOENIX, &created)?;
    bulk(http, PHOENIX, &[json!({"_id": "times", "n": times})])?;
    Ok(())
}

fn query_views(http: &Http, state: &State) -> Result<()> {
    while !state.stopped() {
        http.get(&format!("/{CHURN}/{DESIGN}/_view/versions?limit=1"))?;
    }
    Ok(())
}

/// Compacts databases and views, one after the other.
fn compact(http: &Http, state: &State) -> Result<()> {
    let design = format!("{CHURN}/{DESIGN}/_info");
    let jobs = [
        (format!("{CHURN}/_compact"), CHURN),
        (format!("{LOG}/_compact"), LOG),
        (format!("{CHURN}/_compact/versions"), design.as_str()),
    ];
    let mut done = 0;
    for (job, info) in jobs.iter().cycle() {
        if state.stopped() {
            break;
        }
        state.compactions.send(done + 1);
        http.post(&format!("/{job}"), &json!({}))?;
        let ended = wait_at_most(COMPACTION, &format!("{job} to end"), || {
            let told = http.get(&format!("/{info}"))?;
            let running = told.get("view_index").unwrap_or(&told)["compact_running"].clone();
            Ok((running == json!(false)).then_some(()))
        });
        if ended.is_ok() {
            done += 1;
            state.compactions.acknowledge(done);
        }
    }
    Ok(())
}
