//! Archives that come through a pipe: they are kept in a temporary file first.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use couchcopy_tests::lab::{Ended, binary, skipped};
use couchcopy_tests::{Result, fixtures};
use serde_json::Value;

use super::run::{backup, text};

/// Runs the command with these bytes in a pipe, and its temporary files in a directory. `limit` is what the shell does first.
fn piped(bytes: &[u8], limit: &str, temporary: &Path, arguments: &[&str]) -> Result<Ended> {
    let mut child = Command::new("bash")
        .arg("-c")
        .arg(format!("{limit} exec \"$0\" \"$@\""))
        .arg(binary()?)
        .args(arguments)
        .env("TMPDIR", temporary)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().ok_or("no pipe")?;
    let output = std::thread::scope(|scope| {
        // A command that fails does not read to the end.
        scope.spawn(move || _ = stdin.write_all(bytes));
        child.wait_with_output()
    })?;
    Ok(Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn archive(folder: &Path) -> Result<Vec<u8>> {
    let fixture = fixtures::single_node()?;
    let archive = folder.join("backup.tar.gz");
    backup(0, &[&fixture.nodes[0].data], &archive)?;
    Ok(std::fs::read(archive)?)
}

#[test]
fn the_user_sees_how_far_a_pipe_is_read_and_where_it_is_kept() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let bytes = archive(dir.path())?;
    let temporary = dir.path().join("temporary");
    std::fs::create_dir(&temporary)?;
    let ended = piped(&bytes, "", &temporary, &["verify", "-", "--events"])?;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let events: Vec<Value> = ended.stderr.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let begun = events.iter().position(|event| event["name"] == "reading standard input");
    let rest = &events[begun.ok_or("it is not reported")? + 1..];
    let of_phase = rest.iter().take_while(|event| event["event"] == "progress");
    assert_eq!(of_phase.last().ok_or("no progress")?["bytes"], bytes.len());

    let kept = format!("standard input is kept in a temporary file in {}", text(&temporary));
    let verbose = piped(&bytes, "", &temporary, &["verify", "-", "-v"])?;
    assert!(verbose.code == Some(0) && verbose.stderr.contains(&kept), "{verbose:#?}");
    let normal = piped(&bytes, "", &temporary, &["verify", "-"])?;
    assert!(normal.code == Some(0) && normal.stderr.is_empty(), "{normal:#?}");
    assert_eq!(std::fs::read_dir(&temporary)?.count(), 0, "nothing is left behind");
    Ok(())
}

/// Fails unless the command reports that it cannot keep the pipe, and what to do about it.
fn check_failure(ended: &Ended, temporary: &Path, cause: &str) {
    assert_eq!(ended.code, Some(7), "{ended:#?}");
    // Lines are broken for the terminal.
    let said = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    let kept = format!("cannot keep standard input in a temporary file in {}", text(temporary));
    for words in
        [&kept, cause, "Set TMPDIR to a directory with enough space", "write the archive to a file first"]
    {
        assert!(said.contains(words), "{words}: {ended:#?}");
    }
}

#[test]
fn a_limit_of_the_size_of_files_is_reported() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let bytes = archive(dir.path())?;
    let ended = piped(&bytes, "ulimit -f 1;", dir.path(), &["info", "-"])?;
    check_failure(&ended, dir.path(), "ulimit -f");
    Ok(())
}

/// A small file system that goes away with the value.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None`, with a message, if this machine does not permit mounts.
    fn mount() -> Result<Option<Self>> {
        let disk = Self(tempfile::tempdir()?);
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16k", "couchcopy-test"])
            .arg(disk.0.path())
            .output()?;
        if mount.status.success() {
            return Ok(Some(disk));
        }
        let why = String::from_utf8_lossy(&mount.stderr);
        skipped(&format!("a full disk: no small file system can be mounted: {why}"));
        Ok(None)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).stderr(Stdio::null()).status();
    }
}

#[test]
fn a_full_disk_is_reported() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let bytes = archive(dir.path())?;
    let Some(disk) = SmallDisk::mount()? else { return Ok(()) };
    let folder = disk.0.path();
    let ended = piped(&bytes, "", folder, &["verify", "-"])?;
    check_failure(&ended, folder, &format!("There is not enough space in {}.", text(folder)));
    assert!(ended.stderr.contains("No space left on device"), "{ended:#?}");
    assert_eq!(std::fs::read_dir(folder)?.count(), 0, "nothing is left behind");
    Ok(())
}
