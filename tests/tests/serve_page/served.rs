//! A running `couchcopy serve`.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{binary, wait_at_most};
use rustix::process::{Pid, Signal, kill_process};

/// How long it may take to end when asked to.
const STOP: Duration = Duration::from_secs(20);

/// `couchcopy serve` on a free port. It ends when it goes out of scope.
pub(crate) struct Served {
    /// The address of the page.
    pub(crate) page: String,
    child: Child,
    /// What it may say later has somewhere to go.
    _told: BufReader<ChildStdout>,
}

impl Served {
    /// Serves archives, and waits until they are there.
    pub(crate) fn start(archives: &[PathBuf]) -> Result<Self> {
        let mut child = Command::new(binary()?)
            .args(["serve", "--port", "0", "--json"])
            .args(archives)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let mut told = BufReader::new(child.stdout.take().ok_or("no output")?);
        told.read_line(&mut line)?;
        // Whatever else it says, it says where it answers.
        let url = line.find("http://").map(|at| &line[at..]);
        let url = url.and_then(|url| url.split(['"', ' ', '\n']).next()).map(|url| url.trim_end_matches('/'));
        let Some(url) = url else {
            child.kill()?;
            child.wait()?;
            return Err(format!("couchcopy serve did not say where it answers: {line}").into());
        };
        Ok(Self { page: format!("{url}/_backup/"), child, _told: told })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let ended = wait_at_most(STOP, "couchcopy serve to end", || Ok(self.child.try_wait()?));
        if ended.is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
