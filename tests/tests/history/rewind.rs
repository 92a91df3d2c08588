//! Documents become what they were, by edits on top.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Http, wait_for};
use serde_json::{Value, json};

use super::arena::{Arena, Changes, winners};

/// Documents without what an edit on top changes.
fn content(http: &Http, db: &str) -> Result<BTreeMap<String, Value>> {
    let mut found = winners(http, db)?;
    for document in found.values_mut() {
        let members = document.as_object_mut().ok_or("no document")?;
        members.remove("_rev");
        let attachments = members.get_mut("_attachments").and_then(Value::as_object_mut);
        for attachment in attachments.into_iter().flat_map(|attachments| attachments.values_mut()) {
            attachment.as_object_mut().ok_or("no attachment")?.remove("revpos");
        }
    }
    Ok(found)
}

/// Fails unless both hold the same documents.
fn compare(found: &BTreeMap<String, Value>, expected: &BTreeMap<String, Value>, what: &str) -> Result<()> {
    for (id, document) in expected {
        if found.get(id) != Some(document) {
            return Err(format!("{what}: {id} is {:?}, not {document}", found.get(id)).into());
        }
    }
    let more: Vec<&String> = found.keys().filter(|id| !expected.contains_key(*id)).collect();
    if more.is_empty() { Ok(()) } else { Err(format!("{what}: {more:?} should not exist").into()) }
}

fn json_of(arena: &Arena, code: i32, arguments: &[&str]) -> Result<Value> {
    let ended = arena.couchcopy(arguments)?;
    if ended.code != Some(code) {
        return Err(format!("{arguments:?} ended with {ended:#?} instead of {code}").into());
    }
    Ok(serde_json::from_str(&ended.stdout).map_err(|e| format!("{arguments:?}: {e}: {ended:#?}"))?)
}

/// Stops the writer, also if the test fails.
struct Stopper<'s>(&'s AtomicBool);

impl Drop for Stopper<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Under writes, with a replication that follows, killed several times and given again: in the end everything is what it was, here
/// and on the replica, but for what somebody has edited in the meantime.
#[test]
fn a_rewind_wins_here_and_on_a_replica_and_goes_on_after_a_kill() -> Result<()> {
    let Some(arena) = Arena::new(2)? else { return Ok(()) };
    let http = arena.http();
    for db in ["shop", "replica"] {
        http.put(&format!("/{db}"), &Value::Null)?;
    }
    let mut changes = Changes::new(83, 1000);
    changes.fill(http, "shop")?;
    changes.round(http, "shop", 300)?;
    http.put("/shop/_design/d", &json!({"views": {"v": {"map": "function (d) { emit(d.n); }"}}}))?;
    let then = content(http, "shop")?;
    let archive = arena.back_up("then.tar.gz")?;
    let archive = archive.to_str().ok_or("a path that is no text")?;
    for _ in 0..12 {
        changes.round(http, "shop", 120)?;
    }
    let design = http.get("/shop/_design/d")?;
    http.delete(&format!("/shop/_design/d?rev={}", design["_rev"].as_str().ok_or("no revision")?))?;
    http.put("/shop/made-since", &json!({"n": 0}))?;
    let before = content(http, "shop")?;
    let base = arena.cluster.nodes[0].url().replace("http://", "http://admin:password@");
    let replication =
        json!({"source": format!("{base}/shop"), "target": format!("{base}/replica"), "continuous": true});
    http.put("/_replicator/follow", &replication)?;

    // Nothing is changed before it is agreed to.
    let node = arena.node();
    let rewind = |more: &[&'static str]| {
        [&["restore", "--db=shop", "--rewind", "--json"], more, &[archive, &node]].concat()
    };
    let refused = arena.couchcopy(&rewind(&[]))?;
    assert_eq!(refused.code, Some(5), "{refused:#?}");
    let plan = json_of(&arena, 0, &rewind(&["--dry-run"]))?;
    let number = |value: &Value, key: &str| value[key].as_u64().unwrap_or_default();
    assert!(
        number(&plan, "changed") > 300 && number(&plan, "deleted") > 50 && number(&plan, "gone") > 20,
        "{plan}"
    );
    assert!(plan["new"].as_u64() >= Some(1) && plan["deletes_new"] == false, "{}", plan["changed"]);

    let first_plan = plan;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| -> Result<()> {
        let stopper = Stopper(&stop);
        let writer = scope.spawn(|| -> Result<u64> {
            let mut written = 0;
            while !stop.load(Ordering::Relaxed) {
                http.put(&format!("/shop/live-{written}"), &json!({"n": written}))?;
                written += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(written)
        });
        let done = (|| -> Result<()> {
            for step in [1, 3, 40] {
                let mut command = Arena::command(&rewind(&["-y"]))?;
                command.env("COUCHCOPY_TEST_KILL_AFTER_STEP", step.to_string());
                let ended = couchcopy_tests::lab::run(&mut command)?;
                assert_eq!(ended.code, None, "{ended:#?}");
            }
            // Somebody edits documents that have been written already.
            let plan = json_of(&arena, 0, &rewind(&["--dry-run"]))?;
            assert_eq!(plan["resumes"], true, "{}", plan["changed"]);
            let left: Vec<&Value> =
                plan["listed"].as_array().into_iter().flatten().map(|l| &l["id"]).collect();
            let listed = first_plan["listed"].as_array().ok_or("no list")?;
            let written = listed.iter().filter(|l| l["was"] == "changed" && !left.contains(&&l["id"]));
            let written: Vec<&str> = written.filter_map(|l| l["id"].as_str()).collect();
            assert!(written.len() > 20, "{}", written.len());
            let edited: Vec<&str> = written.into_iter().step_by(7).collect();
            for id in &edited {
                let document = http.get(&format!("/shop/{id}"))?;
                http.put(&format!("/shop/{id}"), &json!({"_rev": document["_rev"], "by": "somebody"}))?;
            }
            let result = json_of(&arena, 3, &rewind(&["-y"]))?;
            let told: Vec<&str> = result["edited_meanwhile"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            assert_eq!(told, edited);
            assert!(result["finished"] == true && result["refused_count"] == 0, "{}", result["refused"]);
            for id in &edited {
                let document = http.get(&format!("/shop/{id}"))?;
                assert_eq!(document["by"], "somebody");
            }
            // Asked for once more, they are overridden, and nothing else has to be done.
            let result = json_of(&arena, 0, &rewind(&["-y"]))?;
            assert_eq!(
                result["written"].as_u64(),
                Some(edited.len() as u64),
                "{}",
                result["edited_meanwhile"]
            );
            let result = json_of(&arena, 0, &rewind(&["-y"]))?;
            assert_eq!(result["written"], 0, "{}", result["plan"]["changed"]);
            Ok(())
        })();
        drop(stopper);
        let written = writer.join().map_err(|_| "the writer panicked")??;
        done?;
        let mut expected = then.clone();
        // What did not exist then stays, also what had been deleted then.
        let made_since = before.iter().filter(|(id, _)| !then.contains_key(*id));
        expected.extend(made_since.map(|(id, document)| (id.clone(), document.clone())));
        for n in 0..written {
            let id = format!("live-{n}");
            expected.insert(id.clone(), json!({"_id": id, "n": n}));
        }
        compare(&content(http, "shop")?, &expected, "shop")?;
        wait_for("the replication", || match compare(&content(http, "replica")?, &expected, "replica") {
            Ok(()) => Ok(Some(())),
            Err(e) => Err(e),
        })
    })?;
    // Exactly what it was, without what was made since, and without conflicts that there were not.
    let result = json_of(&arena, 0, &rewind(&["-y", "--exact", "--resolve-conflicts"]))?;
    assert!(result["deleted"].as_u64() > Some(1) && result["resolved"].as_u64() > Some(20), "{result}");
    compare(&content(http, "shop")?, &then, "exactly")?;
    let conflicts = |db: &str| -> Result<usize> {
        let rows = http.get(&format!("/{db}/_all_docs?include_docs=true&conflicts=true"))?;
        Ok(rows["rows"]
            .as_array()
            .ok_or("no rows")?
            .iter()
            .filter(|row| row["doc"]["_conflicts"].is_array())
            .count())
    };
    arena.couchcopy(&["restore", "--db=shop=then", archive, &node])?.success()?;
    assert!(conflicts("shop")? <= conflicts("then")?, "{} conflicts", conflicts("shop")?);
    assert_eq!(http.ask("GET", "/shop/_local/couchcopy-rewind", None)?.status, 404);
    Ok(())
}

/// Single documents, and those that have changed since a sequence.
#[test]
fn chosen_documents_are_rewound_to_an_older_state() -> Result<()> {
    let Some(arena) = Arena::new(1)? else { return Ok(()) };
    let http = arena.http();
    http.put("/shop", &Value::Null)?;
    Changes::new(3, 50).fill(http, "shop")?;
    let then = content(http, "shop")?;
    let sequence = http.get("/shop")?["update_seq"].as_str().ok_or("no sequence")?.to_owned();
    let mut changes = Changes::new(4, 50);
    changes.round(http, "shop", 40)?;
    let middle = http.get("/shop")?["update_seq"].as_str().ok_or("no sequence")?.to_owned();
    let edit = |id: &str, body: &Value| -> Result<()> {
        let mut document = body.clone();
        document["_rev"] = http.get(&format!("/shop/{id}"))?["_rev"].clone();
        http.put(&format!("/shop/{id}"), &document)?;
        Ok(())
    };
    let survivors: Vec<String> = winners(http, "shop")?.into_keys().take(3).collect();
    for id in &survivors {
        edit(id, &json!({"last": true}))?;
    }
    let archive = arena.back_up("backup.tar.gz")?;
    let (archive, node) = (archive.to_str().ok_or("a path that is no text")?, arena.node());
    let rewind = |more: &[&str]| -> Result<Value> {
        let arguments = [
            &["restore", "--db=shop", "--rewind", "--json", "-y", "--at-seq", &sequence],
            more,
            &[archive, &node],
        ];
        json_of(&arena, 0, &arguments.concat())
    };
    let one = survivors[0].as_str();
    let result = rewind(&["--doc", one, "--doc", "never"])?;
    assert_eq!(
        (result["written"].as_u64(), &result["plan"]["not_then"]),
        (Some(1), &json!(["never"])),
        "{result}"
    );
    assert_eq!(content(http, "shop")?[one], then[one]);
    let result = rewind(&["--changed-since", &middle])?;
    assert_eq!(result["written"], 2, "{result}");
    rewind(&[])?;
    compare(&content(http, "shop")?, &then, "all")?;
    // A function that validates documents has its say.
    let validate = "function (d) { if (d.last) return; throw({forbidden: 'no'}); }";
    edit(one, &json!({"last": true}))?;
    http.put("/shop/_design/v", &json!({"last": true, "validate_doc_update": validate}))?;
    let arguments =
        ["restore", "--db=shop", "--rewind", "--json", "-y", "--at-seq", &sequence, archive, &node];
    let result = json_of(&arena, 3, &arguments)?;
    assert_eq!(result["refused"][0]["id"], one, "{result}");
    arena.refused("CC-H12", &["restore", "--db=shop=never", "--rewind", archive, &node])?;
    arena.refused("CC-H11", &["restore", "--db=never=shop", "--rewind", archive, &node])?;
    Ok(())
}
