//! `couchcopy run`: every step has an outcome of its own.

use couchcopy_tests::Result;
use serde_json::{Value, json};

use crate::site::{RECIPIENT, Site, USUAL};

/// The outcome of each step.
fn outcomes(result: &Value) -> Vec<(&str, &str)> {
    let steps = result["runs"][0]["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    steps.iter().map(|step| (word(step, "step"), word(step, "outcome"))).collect()
}

fn word<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_default()
}

#[test]
fn everything_is_done_in_order() -> Result<()> {
    let site = Site::usual("keep = { last = 1 }\ngrace = '0s'\nverify = '100%'\n")?;
    site.couchcopy.expect(0, &["run", "-q"])?;
    let result = site.couchcopy.json(&["run"])?;
    let done = |step| (step, "done");
    assert_eq!(outcomes(&result), ["backup", "expire", "prune", "check", "verify"].map(done));
    let run = &result["runs"][0];
    assert_eq!(
        (&result["exit_code"], &run["exit_code"], &run["cluster"]),
        (&0.into(), &0.into(), &"prod".into())
    );
    assert_eq!(run["steps"][1]["result"]["removed"].as_array().map(Vec::len), Some(1));
    assert!(
        run["steps"][4]["result"]["documents"].as_u64().is_some_and(|n| n > 0)
            && run["steps"][4]["result"]["sample"].is_null(),
        "{run}"
    );
    assert_eq!(site.couchcopy.json(&["repo", "list"])?["backups"].as_array().map(Vec::len), Some(1));
    let state = site.couchcopy.json(&["health"])?;
    assert_eq!((&state["status"], &state["places"][0]["runs"][0]["exit_code"]), (&"OK".into(), &0.into()));
    let text = site.couchcopy.expect(0, &["run", "--skip", "verify", "--skip", "prune"])?.stdout;
    assert!(text.contains("  verify  skipped") && text.contains("--skip"), "{text}");
    Ok(())
}

#[test]
fn what_a_machine_cannot_or_must_not_do_is_skipped() -> Result<()> {
    let site = Site::usual(&format!("recipients = ['{RECIPIENT}']\nprune = false\n"))?;
    let result = site.couchcopy.json(&["run"])?;
    assert_eq!(
        outcomes(&result),
        [
            ("backup", "done"),
            ("expire", "skipped"),
            ("prune", "skipped"),
            ("check", "done"),
            ("verify", "skipped")
        ]
    );
    let reason = result["runs"][0]["steps"][4]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("no key"), "{reason}");
    Ok(())
}

#[test]
fn a_step_that_fails_does_not_keep_others_from_being_tried() -> Result<()> {
    let site = Site::usual("keep = { last = 1 }\n")?;
    site.couchcopy.expect(0, &["run"])?;
    // The node is gone.
    let data = &site.data.nodes[0].data;
    std::fs::rename(data, data.with_extension("gone"))?;
    let ended = site.couchcopy.run(&["run", "--json"])?;
    let result: Value = serde_json::from_str(&ended.stdout)?;
    assert_eq!(
        outcomes(&result),
        [("backup", "failed"), ("expire", "done"), ("prune", "done"), ("check", "done"), ("verify", "done")]
    );
    let step = &result["runs"][0]["steps"][0];
    assert_eq!(step["exit_code"].as_i64(), ended.code.map(i64::from), "{step}");
    assert!(step["error"]["remedy"].is_string() && ended.code != Some(0), "{step}");
    let state = site.couchcopy.json_of(1, &["health"])?;
    let line = state["line"].as_str().unwrap_or_default();
    assert!(line.contains("the step backup of the last run failed"), "{line}");
    // The next one is better.
    std::fs::rename(data.with_extension("gone"), data)?;
    site.couchcopy.expect(0, &["run"])?;
    site.couchcopy.expect(0, &["health"])?;

    // Damage: 3, and every step names its own.
    std::fs::write(&site.shards()?[0], b"no database")?;
    let result = site.couchcopy.json_of(3, &["run", "--skip", "verify"])?;
    assert_eq!(outcomes(&result)[0], ("backup", "problems"));
    assert_eq!(result["runs"][0]["figures"]["shards_not_saved"], 1);
    Ok(())
}

#[test]
fn all_clusters_are_taken() -> Result<()> {
    let more = "[cluster.more]\nrepository = 'main'\n[[cluster.more.node]]\nhost = 'localhost'\ndata = '{home}/more'\n";
    let text =
        format!("{USUAL}{more}").replacen("[cluster.prod]\n", "[cluster.prod]\nrepository = 'main'\n", 1);
    let site = Site::new(&text)?;
    site.couchcopy.expect(0, &["repo", "init"])?;
    let ended = site.couchcopy.run(&["run", "--json"])?;
    let result: Value = serde_json::from_str(&ended.stdout)?;
    let of =
        |i: usize| (result["runs"][i]["cluster"].clone(), result["runs"][i]["steps"][0]["outcome"].clone());
    assert_eq!(of(0), (json!("more"), json!("failed")));
    assert_eq!(of(1), (json!("prod"), json!("done")));
    assert_eq!(ended.code.map(i64::from), result["exit_code"].as_i64());
    assert_ne!(ended.code, Some(0));
    let one = site.couchcopy.json(&["run", "--cluster", "prod"])?;
    assert_eq!(one["runs"].as_array().map(Vec::len), Some(1));
    Ok(())
}
