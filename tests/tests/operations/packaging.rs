//! The units, manifests and rules in `packaging`, with the tools that check them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use couchcopy_tests::Result;
use couchcopy_tests::isolated::ended;
use couchcopy_tests::lab::{Ended, skipped};

use crate::site::{Site, configuration_in};

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging")
}

/// Runs a tool; `None` if it is not installed.
fn tool(program: &str, arguments: &[&str]) -> Result<Option<Ended>> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(packaging());
    match ended(&mut command) {
        Err(_) if Command::new(program).arg("--version").output().is_err() => {
            skipped(&format!("{program} is not installed"));
            Ok(None)
        }
        ended => ended.map(Some),
    }
}

const SERVICES: [&str; 3] = ["couchcopy", "couchcopy-continuous", "couchcopy-health"];

#[test]
fn units_are_valid_and_sandboxed() -> Result<()> {
    for name in SERVICES {
        let unit = format!("systemd/{name}.service");
        let Some(ended) =
            tool("systemd-analyze", &["security", "--offline=true", "--no-pager", "--threshold=25", &unit])?
        else {
            return Ok(());
        };
        // With a threshold, the tool fails if the exposure is 2.5 or more.
        assert_eq!(ended.code, Some(0), "{name}: {ended:?}");
    }
    // The tool looks for the program and the manual page, which are not installed here.
    let folder = tempfile::tempdir()?;
    for entry in std::fs::read_dir(packaging().join("systemd"))? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?.replace("/usr/bin/couchcopy", "/bin/true");
        std::fs::write(folder.path().join(path.file_name().ok_or("no name")?), text)?;
    }
    for unit in [
        "couchcopy.service",
        "couchcopy.timer",
        "couchcopy-continuous.service",
        "couchcopy-health.service",
        "couchcopy-health.timer",
    ] {
        let path = folder.path().join(unit).display().to_string();
        let Some(ended) = tool("systemd-analyze", &["verify", "--man=no", &path])? else { return Ok(()) };
        let about_us = ended.stderr.lines().filter(|line| line.contains("couchcopy")).collect::<Vec<_>>();
        assert!(about_us.is_empty(), "{unit}: {about_us:#?}");
    }
    Ok(())
}

/// The sandbox is the same in every unit.
#[test]
fn the_units_differ_only_in_what_they_run() -> Result<()> {
    let mut all = Vec::new();
    for name in SERVICES {
        let text = std::fs::read_to_string(packaging().join(format!("systemd/{name}.service")))?;
        let sandbox =
            text.lines().skip_while(|line| !line.starts_with("User=")).take_while(|line| !line.is_empty());
        all.push(sandbox.map(str::to_owned).collect::<Vec<_>>());
    }
    assert!(all[0].len() > 30 && all.iter().all(|one| *one == all[0]), "{all:#?}");
    Ok(())
}

#[test]
fn alert_rules_fire() -> Result<()> {
    for arguments in [
        &["check", "rules", "prometheus/couchcopy.rules.yml"][..],
        &["test", "rules", "prometheus/couchcopy.rules.test.yml"],
    ] {
        let Some(ended) = tool("promtool", arguments)? else { return Ok(()) };
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    Ok(())
}

/// Without a cluster: every object is read as its type. The configuration in it has no mistakes.
#[test]
fn manifests_can_be_read() -> Result<()> {
    for (file, objects) in [("kubernetes/couchcopy.yaml", 6), ("kubernetes/snapshots.yaml", 10)] {
        let configuration = configuration_in(&std::fs::read_to_string(packaging().join(file))?);
        let site = Site::new(&configuration.replace("/keys/host.key", "{home}/host.key"))?;
        std::fs::write(site.path("host.key"), "")?;
        let checked = site.couchcopy.json(&["config", "check"])?;
        assert_eq!(checked["clusters"], serde_json::json!(["couchdb"]), "{file}");
        let arguments = ["label", "--local", "--dry-run=client", "-o", "name", "-f", file, "checked=locally"];
        let Some(ended) = tool("kubectl", &arguments)? else { return Ok(()) };
        assert_eq!((ended.code, ended.stdout.lines().count()), (Some(0), objects), "{ended:?}");
    }
    Ok(())
}

/// The names of metrics in a text.
fn metrics(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
    text.split(|c: char| !is_part(c))
        .filter(|word| word.starts_with("couchcopy_") && word.len() > "couchcopy_".len())
        .map(str::to_owned)
        .collect()
}

/// Rules, dashboard and documentation name the metrics that there are.
#[test]
fn metrics_have_the_names_that_are_documented() -> Result<()> {
    let root = packaging().join("..");
    let source = std::fs::read_to_string(root.join("engine/operations/src/metrics.rs"))?;
    let product = source.split("#[cfg(test)]").next().unwrap_or_default();
    let known = metrics(product);
    assert!(known.len() > 12, "{known:?}");
    assert_eq!(metrics(&std::fs::read_to_string(root.join("docs/running.md"))?), known);
    for file in ["prometheus/couchcopy.rules.yml", "prometheus/couchcopy-dashboard.json"] {
        let used = metrics(&std::fs::read_to_string(packaging().join(file))?);
        let unknown: Vec<_> = used.difference(&known).collect();
        assert!(unknown.is_empty() && used.len() > 5, "{file}: {unknown:?}");
    }
    Ok(())
}
