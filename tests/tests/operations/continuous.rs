//! A process that stays: rounds, metrics, the service manager.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;

use couchcopy_tests::Result;
use couchcopy_tests::lab::wait_for;
use rustix::process::{Pid, Signal, kill_process};

use crate::site::{Site, program};

/// Where the metrics are.
const ADDRESS: &str = "127.0.87.21:9732";

fn metrics() -> Option<String> {
    let mut client = TcpStream::connect(ADDRESS).ok()?;
    client.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
    let mut answer = String::new();
    client.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

/// The value of the first line of a metric.
fn value(text: &str, name: &str) -> Option<f64> {
    text.lines().find(|line| line.starts_with(&format!("{name}{{")))?.rsplit_once(' ')?.1.parse().ok()
}

#[test]
fn rounds_metrics_and_hooks() -> Result<()> {
    let site = Site::usual(
        "[health]\nmax_unverified = '0s'\n[hooks]\non_start = ['{home}/hook', 'start']\n\
         on_success = ['{home}/hook', 'success']\non_failure = ['{home}/hook', 'failure']\n",
    )?;
    program(&site.path("hook"), &site.path("calls"), "")?;
    let calls = || std::fs::read_to_string(site.path("calls")).unwrap_or_default();
    let names =
        || calls().lines().filter(|line| !line.starts_with('{')).map(str::to_owned).collect::<Vec<_>>();
    let manager = UnixDatagram::bind(site.path("notify"))?;
    manager.set_nonblocking(true)?;
    let notify = site.path("notify").display().to_string();
    let couchcopy = site.couchcopy.and(&[("NOTIFY_SOCKET", &notify), ("WATCHDOG_USEC", "200000")]);
    let mut process = couchcopy
        .command(&["backup", "--every", "1s", "--metrics-listen", ADDRESS])?
        .stdout(Stdio::null())
        .spawn()?;
    let outcome = (|| {
        let text = wait_for("a first backup", || {
            Ok(metrics().filter(|text| value(text, "couchcopy_backups") == Some(1.0)))
        })?;
        assert_eq!(value(&text, "couchcopy_health_status"), Some(0.0), "{text}");
        let seen = value(&text, "couchcopy_last_complete_backup_timestamp_seconds").ok_or("no time")?;
        // Nothing new is as good as a backup.
        wait_for("a round without anything new", || {
            let later =
                metrics().and_then(|text| value(&text, "couchcopy_last_complete_backup_timestamp_seconds"));
            Ok(later.filter(|later| *later >= seen + 2.0))
        })?;
        assert_eq!(names(), ["start", "success"]);
        // A failure is heard of, and so is the end of it.
        std::fs::rename(site.path("repository"), site.path("gone"))?;
        wait_for("a failure", || Ok(names().get(2).filter(|name| *name == "failure").cloned()))?;
        wait_for("the state", || {
            Ok(metrics().filter(|text| value(text, "couchcopy_health_status") == Some(3.0)))
        })?;
        std::fs::rename(site.path("gone"), site.path("repository"))?;
        let text = wait_for("the next backup", || {
            Ok(metrics().filter(|text| value(text, "couchcopy_health_status") == Some(0.0)))
        })?;
        assert_eq!(value(&text, "couchcopy_last_run_exit_code"), Some(0.0), "{text}");
        let mut messages = String::new();
        let mut buffer = [0; 256];
        while let Ok(length) = manager.recv(&mut buffer) {
            messages.push_str(&String::from_utf8_lossy(&buffer[..length]));
            messages.push('\n');
        }
        assert!(messages.contains("READY=1\n") && messages.contains("WATCHDOG=1\n"), "{messages}");
        Ok(())
    })();
    kill_process(Pid::from_child(&process), Signal::TERM)?;
    let status = process.wait()?;
    outcome
        .map_err(|error: Box<dyn std::error::Error + Send + Sync>| format!("{error}; calls: {}", calls()))?;
    assert_eq!(status.code(), Some(0));
    Ok(())
}
