//! `couchcopy load` while it runs.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::NamedTempFile;

use super::command::{Ended, binary};
use super::http::Http;
use super::install::{Installation, dying_with_us};
use super::wait::wait_for;
use crate::Result;

/// A running `couchcopy load`. It is killed when it goes out of scope.
#[derive(Debug)]
pub struct Load {
    child: Child,
    stdout: NamedTempFile,
    stderr: NamedTempFile,
}

/// What it has told when CouchDB answers.
#[derive(Debug, Clone)]
pub struct LoadTold {
    /// All of it.
    pub json: Value,
    /// Where CouchDB answers.
    pub address: SocketAddr,
    /// The number of CouchDB's process.
    pub pid: i32,
    /// Its private folder.
    pub folder: PathBuf,
}

impl LoadTold {
    /// An admin's connection, where the admin is the lab's.
    pub fn http(&self) -> Http {
        Http::new(self.address)
    }
}

impl Load {
    /// Starts it on an archive, with a folder for its private folders, without waiting.
    pub fn start(couchdb: &Installation, within: &Path, archive: &Path, more: &[&str]) -> Result<Self> {
        Self::start_plain(couchdb, within, archive, &[&["--json"], more].concat())
    }

    /// The same, telling what it tells people.
    pub fn start_plain(couchdb: &Installation, within: &Path, archive: &Path, more: &[&str]) -> Result<Self> {
        let (stdout, stderr) = (NamedTempFile::new()?, NamedTempFile::new()?);
        let mut command = dying_with_us(&binary()?);
        command
            .args(["load", "--couchdb"])
            .arg(&couchdb.home)
            .arg("--tmp-dir")
            .arg(within)
            .args(more)
            .arg(archive)
            .stdin(Stdio::null())
            .stdout(stdout.reopen()?)
            .stderr(stderr.reopen()?);
        Ok(Self { child: command.spawn()?, stdout, stderr })
    }

    /// The number of its process.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Waits until CouchDB answers.
    pub fn wait_until_up(&mut self) -> Result<LoadTold> {
        let json = wait_for("couchcopy load to answer", || {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(Err(status)));
            }
            Ok(serde_json::from_slice::<Value>(&fs::read(self.stdout.path())?).ok().map(Ok))
        })?;
        let json = json.map_err(|status| format!("it ended with {status}: {}", self.told()))?;
        let text = |key: &str| json[key].as_str().ok_or_else(|| format!("no {key} in {json}"));
        let address = text("url")?.trim_start_matches("http://").trim_end_matches('/').parse()?;
        let pid = i32::try_from(json["pid"].as_u64().ok_or("no pid")?)?;
        Ok(LoadTold { address, pid, folder: text("folder")?.into(), json })
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.pid()).ok_or("a process with the number 0")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> Result<Ended> {
        let status = wait_for("couchcopy load to end", || Ok(self.child.try_wait()?))?;
        let text = |file: &NamedTempFile| -> Result<String> {
            Ok(String::from_utf8_lossy(&fs::read(file.path())?).into_owned())
        };
        Ok(Ended { code: status.code(), stdout: text(&self.stdout)?, stderr: text(&self.stderr)? })
    }

    /// What it has printed so far, on standard output and then on standard error.
    pub fn told(&self) -> String {
        [&self.stdout, &self.stderr].map(|file| fs::read_to_string(file.path()).unwrap_or_default()).concat()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process is there and has not ended.
pub fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// The numbers of the processes in a group that have not ended.
pub fn group(leader: i32) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect::<Vec<_>>());
        let in_it = fields.is_some_and(|fields| fields.get(2) == Some(&leader.to_string().as_str()));
        if in_it && is_alive(pid) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// The arguments of a process.
pub fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// Where a process listens, as hexadecimal `ADDRESS:PORT` of the system's tables.
pub fn listening(pid: i32) -> Result<Vec<String>> {
    let mut sockets = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // It may be closed by now.
        let Ok(link) = fs::read_link(entry?.path()) else { continue };
        if let Some(inode) = link.to_str().and_then(|text| text.strip_prefix("socket:[")) {
            sockets.push(inode.trim_end_matches(']').to_owned());
        }
    }
    let mut found = Vec::new();
    for table in ["tcp", "tcp6"] {
        for line in fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default().lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if let (Some(&address), Some(&"0A"), Some(inode)) = (fields.get(1), fields.get(3), fields.get(9))
                && sockets.iter().any(|socket| socket == inode)
            {
                found.push(address.to_owned());
            }
        }
    }
    Ok(found)
}

/// Waits until a process is gone.
pub fn wait_until_gone(pid: i32) -> Result<()> {
    wait_for(&format!("the process {pid} to end"), || Ok((!is_alive(pid)).then_some(())))
}
