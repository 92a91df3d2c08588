//! `serve --metrics-listen`: the state of the repository that is served, for Prometheus.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use couchcopy_tests::isolated::Couchcopy;
use couchcopy_tests::{Result, fixtures};

const ADDRESS: &str = "127.0.86.77:9733";

fn metrics() -> Option<String> {
    let mut client = TcpStream::connect(ADDRESS).ok()?;
    client.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
    let mut text = String::new();
    client.read_to_string(&mut text).ok()?;
    Some(text)
}

#[test]
fn the_state_of_a_served_repository_is_answered() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let couchcopy = Couchcopy::at_home(dir.path(), Vec::new());
    let repository = dir.path().join("repository").display().to_string();
    let data = &fixtures::single_node()?.nodes[0].data;
    couchcopy.expect(0, &["repo", "init", &repository])?;
    couchcopy.expect(0, &["backup", "--repo", &repository, &format!("localhost,{}", data.display())])?;
    let mut command =
        couchcopy.command(&["serve", &repository, "--port", "0", "--metrics-listen", ADDRESS])?;
    let mut process = command.stdout(Stdio::null()).spawn()?;
    let begun = Instant::now();
    let mut text = None;
    while text.is_none() && begun.elapsed() < Duration::from_secs(60) {
        text = metrics();
        std::thread::sleep(Duration::from_millis(50));
    }
    process.kill()?;
    process.wait()?;
    let text = text.ok_or("no answer")?;
    let value = |name: &str| {
        text.lines().find(|line| line.starts_with(name)).and_then(|line| line.rsplit(' ').next())
    };
    assert_eq!(value("couchcopy_backups{"), Some("1"), "{text}");
    assert_eq!(value("couchcopy_last_backup_complete{"), Some("1"), "{text}");
    assert!(text.contains("couchcopy_health_status{"), "{text}");
    // An archive has no such state.
    let archive = dir.path().join("a.tar.gz").display().to_string();
    couchcopy.expect(0, &["backup", &format!("localhost,{}", data.display()), &archive])?;
    let mut command = couchcopy.command(&["serve", &archive, "--port", "0", "--metrics-listen", ADDRESS])?;
    let refused = command.output()?;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("CC-M12"), "{refused:?}");
    Ok(())
}
