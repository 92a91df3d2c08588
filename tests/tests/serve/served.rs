//! A running `couchcopy serve`.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Http, binary, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// `couchcopy serve` on a free port. It ends with this value.
pub(crate) struct Served {
    /// Where it answers.
    pub(crate) address: SocketAddr,
    /// What it said of itself.
    pub(crate) told: Value,
    child: Child,
}

impl Served {
    /// Serves archives, and waits until they are there.
    pub(crate) fn start(archives: &[&Path], arguments: &[&str]) -> Result<Self> {
        let mut child = Command::new(binary()?)
            .args(["serve", "--port", "0", "--json"])
            .args(arguments)
            .args(archives)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let told: Value = serde_json::from_str(&line).map_err(|e| format!("{e}: {line}"))?;
        let url = told["url"].as_str().ok_or("no url")?;
        let address = url.trim_start_matches("http://").trim_end_matches('/').parse()?;
        Ok(Self { address, told, child })
    }

    /// The server as a CouchDB.
    pub(crate) fn http(&self) -> Http {
        Http::new(self.address)
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(&mut self, signal: Signal) -> Result<ExitStatus> {
        let pid = Pid::from_raw(self.child.id().cast_signed()).ok_or("no process")?;
        kill_process(pid, signal)?;
        wait_for("couchcopy serve to end", || Ok(self.child.try_wait()?))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
