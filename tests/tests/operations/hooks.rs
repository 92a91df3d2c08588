//! Programs that hear of backups.

use couchcopy_tests::Result;
use serde_json::Value;

use crate::site::{Site, program};

const HOOKS: &str = "[hooks]\non_start = ['{home}/hook', 'start']\non_success = ['{home}/hook', 'success; $HOME']\n\
     on_failure = ['{home}/hook', 'failure']\ntimeout = '20s'\n";

/// What the hooks wrote: for each call its argument and what it read.
fn calls(site: &Site) -> Result<Vec<(String, Value)>> {
    let text = std::fs::read_to_string(site.path("calls")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines
        .chunks(2)
        .map(|call| Ok((call[0].to_owned(), serde_json::from_str(call.get(1).unwrap_or(&""))?)))
        .collect()
}

#[test]
fn they_read_the_result() -> Result<()> {
    let site = Site::usual(HOOKS)?;
    program(&site.path("hook"), &site.path("calls"), "echo noise")?;
    let ended = site.couchcopy.expect(0, &["backup", "--json"])?;
    // What they print does not disturb the result.
    let result: Value = serde_json::from_str(&ended.stdout)?;
    assert!(ended.stderr.contains("noise"), "{ended:?}");
    let found = calls(&site)?;
    let [(start, begun), (success, done)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((start.as_str(), success.as_str()), ("start", "success; $HOME"));
    assert_eq!((&begun["event"], &begun["cluster"]), (&"start".into(), &"prod".into()));
    assert_eq!((&done["event"], &done["exit_code"]), (&"success".into(), &0.into()));
    assert_eq!(done["steps"][0]["result"], result);
    assert_eq!(done["figures"]["backup"], result["in_repository"]["id"]);

    // What could not be saved is a failure.
    std::fs::write(&site.shards()?[0], b"no database")?;
    site.couchcopy.expect(3, &["backup"])?;
    let found = calls(&site)?;
    let (name, event) = &found[3];
    assert_eq!(
        (name.as_str(), &event["exit_code"], &event["steps"][0]["outcome"]),
        ("failure", &3.into(), &"problems".into())
    );
    assert_eq!(event["figures"]["shards_not_saved"], 1);

    // Nothing could be done at all.
    std::fs::rename(site.path("repository"), site.path("gone"))?;
    let code = site.couchcopy.run(&["backup"])?.code;
    let found = calls(&site)?;
    let (name, event) = found.last().ok_or("no call")?;
    assert_eq!((name.as_str(), event["exit_code"].as_i64()), ("failure", code.map(i64::from)));
    assert!(
        event["steps"][0]["error"]["code"].as_str().is_some_and(|code| code.starts_with("CC-")),
        "{event}"
    );
    Ok(())
}

#[test]
fn a_hook_that_fails_changes_nothing() -> Result<()> {
    for (then, hook) in [("exit 9", "hook"), ("sleep 600", "hook"), ("", "missing")] {
        let hooks = HOOKS.replace("20s", "1s").replace("{home}/hook", &format!("{{home}}/{hook}"));
        let site = Site::usual(&hooks)?;
        program(&site.path("hook"), &site.path("calls"), then)?;
        let ended = site.couchcopy.expect(0, &["backup"])?;
        for event in ["on_start", "on_success"] {
            assert!(ended.stderr.contains(&format!("the hook {event} failed: ")), "{then}: {ended:?}");
        }
        assert_eq!(site.couchcopy.json(&["repo", "list"])?["backups"].as_array().map(Vec::len), Some(1));
    }
    Ok(())
}

#[test]
fn no_hook_runs_for_a_backup_that_the_command_line_describes() -> Result<()> {
    let site = Site::usual(HOOKS)?;
    program(&site.path("hook"), &site.path("calls"), "")?;
    let data = format!("localhost,{}", site.data.nodes[0].data.display());
    let repository = site.path("repository").display().to_string();
    site.couchcopy.expect(0, &["backup", "--repo", &repository, &data])?;
    assert!(calls(&site)?.is_empty());
    Ok(())
}
