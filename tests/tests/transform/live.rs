//! Running clusters.

use couchcopy_tests::lab::{PASSWORD, Size, USER, back_up, encode, run, wait_until_synchronised};
use couchcopy_tests::live::{Plan, Reach, Site};
use couchcopy_tests::{Result, fixtures};
use serde_json::Value;

use super::{settings, transformed};

fn plan(nodes: u8, n: u32, reach: Reach) -> Plan {
    Plan { size: Size { nodes, q: 2, n }, reach }
}

fn without_text(leaf: &mut serde_json::Map<String, Value>) {
    leaf.retain(|member, _| member != "text");
}

/// A cluster that gets a copy without some members serves every document of it, and a view is built of the new contents.
#[test]
fn a_cluster_serves_its_transformed_copy() -> Result<()> {
    let Some(site) = Site::start(plan(2, 2, Reach::Here))? else { return Ok(()) };
    let archive = site.path("four.tar.gz");
    back_up(&fixtures::four_nodes()?.nodes, &archive)?;
    let file = settings(&site.path(""), "remove = [\"text\"]")?;
    let file = file.to_str().ok_or("no text")?;
    let arguments = ["--transform", "anonymise", "--transform-settings", file];
    let plan = site.restore(&archive, &[&["--dry-run"], &arguments[..]].concat())?.success()?;
    assert!(
        plan.contains("passes through the plugin anonymise") && plan.contains("Never replicate"),
        "{plan}"
    );
    let told = site.restore(&archive, &arguments)?.success()?;
    assert!(told.contains("Every database opens on every node with all its documents"), "{told}");
    let expected = transformed(fixtures::oracle("four-nodes-n2")?, without_text);
    site.check_content(&expected)?;
    wait_until_synchronised(&site.nodes)?;
    let http = site.http();
    for (name, database) in expected.as_object().into_iter().flatten() {
        for (id, leaves) in database["docs"].as_object().into_iter().flatten() {
            let id = encode(id).replacen("_design%2F", "_design/", 1);
            let found = http.get(&format!("/{}/{id}?open_revs=all&revs=true", encode(name)))?;
            assert_eq!(found.as_array().map(Vec::len), leaves.as_array().map(Vec::len), "{name}/{id}");
        }
    }
    // A replication away from the copy sends all that it has.
    http.put("/copy-of-conflicts", &Value::Null)?;
    let url =
        |db: &str| site.nodes[0].url().replace("http://", &format!("http://{USER}:{PASSWORD}@")) + "/" + db;
    let request = serde_json::json!({"source": url("conflicts"), "target": url("copy-of-conflicts")});
    assert_eq!(http.post("/_replicate", &request)?["ok"], true);
    let (source, target) = (http.get("/conflicts")?, http.get("/copy-of-conflicts")?);
    assert_eq!(
        (&source["doc_count"], &source["doc_del_count"]),
        (&target["doc_count"], &target["doc_del_count"])
    );
    site.check_nothing_left()
}

/// Through ssh: what is sent has passed through the plugin here.
#[test]
fn nodes_on_other_machines_get_a_transformed_copy() -> Result<()> {
    let Some(site) = Site::start(plan(2, 2, Reach::Ssh))? else { return Ok(()) };
    let archive = site.path("one.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    let file = settings(&site.path(""), "remove = [\"text\"]")?;
    let file = file.to_str().ok_or("no text")?;
    site.restore(&archive, &["--n", "2", "--transform", "anonymise", "--transform-settings", file])?
        .success()?;
    site.check_content(&transformed(fixtures::oracle("single-node")?, without_text))
}

/// A restore that was killed after its files were complete is finished without the plugin; one that was killed before is not, and can
/// be rolled back. At no time the data of the archive is restored as it is.
#[test]
fn a_killed_restore_is_finished_without_the_plugin_or_not_at_all() -> Result<()> {
    let Some(site) = Site::start(plan(2, 2, Reach::Here))? else { return Ok(()) };
    let archive = site.path("one.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    let archive = archive.to_str().ok_or("no text")?;
    let file = settings(&site.path(""), "remove = [\"text\"]")?;
    let path = file.to_str().ok_or("no text")?;
    let arguments =
        ["restore", "-y", "--n", "2", "--transform", "anonymise", "--transform-settings", path, archive];
    let kill = |step: &str| -> Result<()> {
        let killed = run(site.command(&arguments)?.env("COUCHCOPY_TEST_KILL_AFTER_STEP", step))?;
        assert_eq!(killed.code, None, "{killed:?}");
        Ok(())
    };
    kill("2")?;
    let refused = run(&mut site.command(&["restore", "-y", "--resume"])?)?;
    assert_eq!(refused.code, Some(5), "{refused:?}");
    assert!(refused.stderr.contains("CC-R87") && refused.stderr.contains("--roll-back"), "{refused:?}");
    run(&mut site.command(&["restore", "-y", "--roll-back"])?)?.success()?;
    site.check_nothing_left()?;
    for step in ["6", "9"] {
        kill(step)?;
        // It needs neither the plugin nor its settings any more.
        let hidden = file.with_extension("hidden");
        std::fs::rename(&file, &hidden)?;
        run(&mut site.command(&["restore", "-y", "--resume"])?)?.success()?;
        std::fs::rename(&hidden, &file)?;
        site.check_content(&transformed(fixtures::oracle("single-node")?, without_text))?;
        site.check_nothing_left()?;
    }
    Ok(())
}
