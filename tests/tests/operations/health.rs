//! What monitoring sees of backups.

use couchcopy_tests::Result;
use serde_json::Value;

use crate::site::{Site, USUAL};

fn states(site: &Site, code: i32, more: &[&str]) -> Result<(Value, String)> {
    let words = [&["health"], more].concat();
    let line = site.couchcopy.expect(code, &words)?.stdout;
    assert_eq!(line.lines().count(), 1, "{line}");
    Ok((site.couchcopy.json_of(code, &words)?, line))
}

#[test]
fn a_repository_from_its_making_to_its_damage() -> Result<()> {
    let site = Site::usual("")?;
    let (state, line) = states(&site, 2, &[])?;
    assert_eq!(state["status"], "CRITICAL");
    assert!(line.starts_with("CRITICAL - ") && line.contains("there is no backup"), "{line}");

    site.couchcopy.expect(0, &["backup"])?;
    let (_, line) = states(&site, 1, &[])?;
    assert!(
        line.starts_with("WARNING - ") && line.contains("no backup was verified on this machine"),
        "{line}"
    );
    let (_, line) = states(&site, 0, &["--max-unverified", "0s"])?;
    assert!(line.starts_with("OK - ") && line.contains(" | age="), "{line}");

    // A part is a verification, too.
    site.couchcopy.expect(0, &["verify", "--sample", "1%"])?;
    let (state, line) = states(&site, 0, &[])?;
    assert_eq!((&state["status"], &state["exit_code"]), (&"OK".into(), &0.into()));
    let source = &state["places"][0]["sources"][0];
    assert_eq!((&source["backups"], &source["verification"]["share"]), (&1.into(), &0.01.into()));
    assert!(source["complete"]["content_bytes"].as_u64().is_some_and(|bytes| bytes > 10_000), "{source}");
    assert!(line.contains("unverified="), "{line}");

    // Too old. Ages are in whole seconds.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let (_, line) = states(&site, 2, &["--max-age", "0s"])?;
    assert!(line.contains("(limit 0 s)"), "{line}");
    let (_, line) = states(&site, 1, &["--max-unverified", "1s"])?;
    assert!(line.contains("(limit 1 s)"), "{line}");

    // Its node is the only one.
    states(&site, 0, &["--source", "127.0.0.41"])?;
    states(&site, 2, &["--source", "127.0.0.42"])?;

    // Every pack is damaged: verification finds out, and stays in memory.
    for pack in couchcopy_tests::fixtures::files_below(&site.path("repository/packs"))? {
        let path = site.path("repository/packs").join(pack);
        let mut bytes = std::fs::read(&path)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        std::fs::write(&path, bytes)?;
    }
    let verified = site.couchcopy.run(&["verify"])?;
    assert!(matches!(verified.code, Some(3 | 4)), "{verified:?}");
    let (_, line) = states(&site, 2, &[])?;
    assert!(line.contains("the last verification found damage"), "{line}");
    Ok(())
}

#[test]
fn what_cannot_be_found_out_is_unknown() -> Result<()> {
    let site = Site::new(&format!("{USUAL}[health]\nmax_age = '1h'\n"))?;
    let (state, line) = states(&site, 3, &[])?;
    assert_eq!((&state["status"], &state["places"][0]["status"]), (&"UNKNOWN".into(), &"UNKNOWN".into()));
    assert!(line.starts_with("UNKNOWN - ") && line.contains("CC-"), "{line}");
    site.configure("[health]\nmax_agee = '1h'\n")?;
    let (_, line) = states(&site, 3, &[])?;
    assert!(line.contains("did you mean max_age?"), "{line}");
    std::fs::remove_file(site.configuration())?;
    let (_, line) = states(&site, 3, &[])?;
    assert!(line.contains("CC-M09"), "{line}");
    let (_, line) = states(&site, 3, &["/nonexistent"])?;
    assert!(line.starts_with("UNKNOWN - "), "{line}");
    Ok(())
}

#[test]
fn a_directory_of_archives() -> Result<()> {
    let site = Site::new("")?;
    let folder = site.path("archives");
    std::fs::create_dir(&folder)?;
    let place = folder.display().to_string();
    let (_, line) = states(&site, 2, &[&place])?;
    assert!(line.contains("no complete backup"), "{line}");
    let data = format!("localhost,{}", site.data.nodes[0].data.display());
    let archive = folder.join("one.tar.gz").display().to_string();
    site.couchcopy.expect(0, &["backup", &data, &archive])?;
    states(&site, 1, &[&place])?;
    site.couchcopy.expect(0, &["verify", &archive])?;
    let (state, _) = states(&site, 0, &[&place])?;
    let source = &state["places"][0]["sources"][0];
    assert_eq!(
        (&source["complete"]["id"], &source["nodes"][0]),
        (&"one.tar.gz".into(), &"couchdb41@127.0.0.41".into())
    );
    // A newer one that is cut short, and what is no archive.
    let bytes = std::fs::read(&archive)?;
    std::thread::sleep(std::time::Duration::from_millis(1200));
    std::fs::write(folder.join("two.tar.gz"), &bytes[..bytes.len() / 2])?;
    std::fs::write(folder.join("three.tar.gz.partial"), "x")?;
    let (state, line) = states(&site, 1, &[&place])?;
    assert!(line.contains("the newest backup is not complete") && line.contains("two.tar.gz"), "{line}");
    assert_eq!(state["places"][0]["sources"][0]["complete"]["id"], "one.tar.gz");
    assert_eq!(state["places"][0]["sources"][0]["backups"], 2);
    Ok(())
}

/// Three clusters in two repositories.
const SEVERAL: &str = "[cluster.a]\nrepository = 'main'\n[[cluster.a.node]]\nhost = 'localhost'\ndata = '{data}'\n\n\
     [cluster.b]\nrepository = 'other'\n[[cluster.b.node]]\nhost = 'localhost'\ndata = '{data}'\n\n\
     [cluster.c]\nrepository = 'main'\n[[cluster.c.node]]\nhost = 'localhost'\ndata = '{data}'\n\n\
     [repository.main]\nlocation = '{home}/main'\n[repository.other]\nlocation = '{home}/other'\n\
     [health]\nmetrics_file = '{home}/metrics.prom'\n";

/// The lines of a metric.
fn values(site: &Site, name: &str) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(site.path("metrics.prom"))?;
    Ok(text.lines().filter(|line| line.starts_with(&format!("{name}{{"))).map(ToOwned::to_owned).collect())
}

/// Prometheus takes nothing of a file that has a series twice.
#[test]
fn every_repository_is_reported_once() -> Result<()> {
    let site = Site::new(SEVERAL)?;
    for name in ["main", "other"] {
        site.couchcopy.expect(0, &["repo", "init", &format!("{}/{name}", site.home.path().display())])?;
    }
    site.couchcopy.expect(0, &["run"])?;
    let both = |value: u8| -> Vec<String> {
        let line = |name: &str| {
            let place = site.path(name).display().to_string();
            format!("couchcopy_health_status{{repository=\"{place}\"}} {value}")
        };
        vec![line("main"), line("other")]
    };
    let sorted = |name: &str| -> Result<Vec<String>> {
        let mut lines = values(&site, name)?;
        lines.sort();
        Ok(lines)
    };
    assert_eq!(sorted("couchcopy_health_status")?, both(0));
    // That of one cluster leaves the figures of the others there.
    site.couchcopy.expect(0, &["run", "--cluster", "b"])?;
    assert_eq!(sorted("couchcopy_health_status")?, both(0));
    assert_eq!(values(&site, "couchcopy_last_run_exit_code")?.len(), 3);
    let main = site.path("main").display().to_string();
    site.couchcopy.expect(0, &["health", &main])?;
    site.couchcopy.expect(2, &["health", "--source", "another"])?;
    assert_eq!(sorted("couchcopy_health_status")?, both(0));

    // One that is not reached hides nothing of another one.
    std::fs::rename(site.path("main"), site.path("gone"))?;
    let (state, line) = states(&site, 3, &[])?;
    assert_eq!(state["places"].as_array().map(Vec::len), Some(2), "{state:#}");
    assert!(
        line.starts_with("UNKNOWN - ") && line.contains("the newest complete backup was begun"),
        "{line}"
    );
    let known = sorted("couchcopy_health_status")?;
    assert_eq!((&known[0], &known[1]), (&both(3)[0], &both(0)[1]));
    assert_eq!(values(&site, "couchcopy_health_checked_timestamp_seconds")?.len(), 2);
    assert_eq!(values(&site, "couchcopy_damaged_backups")?.len(), 1);
    let (_, line) = states(&site, 2, &["--max-age", "0s"])?;
    assert!(line.starts_with("CRITICAL - "), "{line}");
    Ok(())
}

#[test]
fn metrics_are_written_at_once() -> Result<()> {
    let site = Site::usual("[health]\nmetrics_file = '{home}/metrics/couchcopy.prom'\n")?;
    std::fs::create_dir(site.path("metrics"))?;
    site.couchcopy.expect(0, &["run"])?;
    let text = std::fs::read_to_string(site.path("metrics/couchcopy.prom"))?;
    for name in [
        "couchcopy_health_status",
        "couchcopy_last_complete_backup_timestamp_seconds",
        "couchcopy_last_verification_timestamp_seconds",
        "couchcopy_last_backup_stored_bytes",
        "couchcopy_last_run_exit_code",
        "couchcopy_free_bytes",
    ] {
        assert_eq!(text.matches(&format!("# TYPE {name} gauge\n")).count(), 1, "{name}: {text}");
        assert_eq!(
            text.lines().filter(|line| line.starts_with(&format!("{name}{{"))).count(),
            1,
            "{name}: {text}"
        );
    }
    let other = site.path("metrics/other.prom").display().to_string();
    site.couchcopy.expect(0, &["health", "--metrics", &other])?;
    assert!(std::fs::read_to_string(&other)?.contains("couchcopy_health_status{"));
    assert_eq!(std::fs::read_dir(site.path("metrics"))?.count(), 2);
    // Where it cannot be written, somebody must notice; the state of the backups is told all the same.
    let ended = site.couchcopy.expect(1, &["health", "--metrics", "/nonexistent/x.prom"])?;
    let told = &ended.stdout;
    assert!(told.starts_with("WARNING - ") && told.contains("the metrics are not written"), "{told}");
    assert!(told.contains(" | age="), "{told}");
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let late = ["health", "--max-age", "0s", "--metrics", "/nonexistent/x.prom"];
    let told = site.couchcopy.expect(2, &late)?.stdout;
    assert!(told.starts_with("CRITICAL - ") && told.contains("the metrics are not written"), "{told}");
    // A run is a backup all the same.
    site.configure(&format!("{USUAL}[health]\nmetrics_file = '/nonexistent/x.prom'\n"))?;
    assert!(site.couchcopy.expect(0, &["run"])?.stderr.contains("the metrics are not written"));
    Ok(())
}
