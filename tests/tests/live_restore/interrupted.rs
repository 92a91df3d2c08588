//! Ctrl-C at the two moments that take long.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Stdio};

use couchcopy_tests::lab::{Ended, Size, back_up, read_over_http, wait_for};
use couchcopy_tests::live::{Plan, Reach, Site};
use couchcopy_tests::managers::{find_program, write_program};
use couchcopy_tests::{Result, fixtures};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// Holds up what unpacks new data until there is a file `go`.
const SSH: &str = r#"#!/bin/sh
here=${0%/*}
case "$*" in
*tar*-x*/new*)
  touch "$here/held"
  until [ -e "$here/go" ]; do sleep 0.05; done
  ;;
esac
exec "$SSH" "$@"
"#;

/// A couchcopy that runs.
struct Running {
    child: Child,
    stdout: std::path::PathBuf,
    stderr: std::path::PathBuf,
}

impl Running {
    fn restore(site: &Site, archive: &Path, variables: &[(&str, String)]) -> Result<Self> {
        let archive = archive.to_str().ok_or("a path that is no text")?;
        let (stdout, stderr) = (site.path("stdout"), site.path("stderr"));
        let mut command = site.command(&["restore", "-y", "-v", archive])?;
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?)
            .spawn()?;
        Ok(Self { child, stdout, stderr })
    }

    fn wait_until_it_says(&self, text: &str, times: usize) -> Result<()> {
        wait_for(text, || {
            let said = fs::read_to_string(&self.stderr)?;
            if said.matches(text).count() >= times { Ok(Some(())) } else { Err(said.into()) }
        })
    }

    fn interrupt(&self) -> Result<()> {
        let pid = Pid::from_raw(self.child.id().cast_signed()).ok_or("no process")?;
        kill_process(pid, Signal::INT)?;
        self.wait_until_it_says("interrupted", 1)
    }

    fn end(mut self) -> Result<Ended> {
        let status = wait_for("couchcopy's end", || Ok(self.child.try_wait()?))?;
        let read = |path| fs::read_to_string(path);
        let ended = Ended { code: status.code(), stdout: read(&self.stdout)?, stderr: read(&self.stderr)? };
        Ok(ended.unwrapped())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn while_it_copies_nothing_is_replaced_and_while_it_waits_it_can_go_on() -> Result<()> {
    let Some(ssh) = find_program("ssh", "openssh-client") else { return Ok(()) };
    let plan = Plan { size: Size { nodes: 2, q: 2, n: 2 }, reach: Reach::Ssh };
    let Some(site) = Site::start(plan)? else { return Ok(()) };
    let archive = site.path("one.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    site.http().put("/old", &Value::Null)?;
    site.http().put("/old/doc", &json!({"old": true}))?;
    site.wait_until_settled(|_| Ok(()))?;
    let old = read_over_http(site.http())?;

    let folder = site.path("held-up");
    fs::create_dir(&folder)?;
    write_program(&folder.join("ssh"), SSH)?;
    let path = format!("{}:{}", folder.display(), std::env::var("PATH")?);
    let variables = [("PATH", path), ("SSH", ssh.display().to_string())];
    let running = Running::restore(&site, &archive, &variables)?;
    wait_for("the copying", || Ok(folder.join("held").exists().then_some(())))?;
    running.interrupt()?;
    fs::write(folder.join("go"), "")?;
    let ended = running.end()?;
    assert_eq!(ended.code, Some(5), "{ended:#?}");
    assert!(ended.stderr.contains("interrupted before anything was replaced"), "{ended:#?}");
    assert_eq!(site.controls.iter().map(|control| control.calls("stop")).sum::<usize>(), 0);
    site.check_nothing_left()?;
    site.check_content(&old)?;

    // A node that does not come up: it would wait for half an hour.
    site.controls[1].pretend(true)?;
    let running = Running::restore(&site, &archive, &[])?;
    running.wait_until_it_says("started on", 2)?;
    running.interrupt()?;
    let ended = running.end()?;
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    for told in ["INTERRUPTED", "new data is in place", "--resume", "--roll-back"] {
        assert!(ended.stdout.contains(told), "{ended:#?}");
    }
    assert_eq!(site.situations()?, ["swapped", "swapped"]);
    site.controls[1].pretend(false)?;
    site.couchcopy(&["restore", "-y", "--resume"])?.success()?;
    site.check_content(&fixtures::oracle("single-node")?)?;
    site.check_nothing_left()
}
