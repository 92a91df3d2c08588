//! CouchDB's process: it ends when couchcopy ends, for any reason.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use outcome::{Failure, Result};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

use super::folder::{PROCESS, PrivateFolder};
use super::installation::Installation;
use super::settings;

/// How long CouchDB may take to end on request.
const STOP: Duration = Duration::from_secs(20);

/// Starts CouchDB and a second process that waits for the end of couchcopy, when the pipe closes, and then ends the complete
/// process group.
const GUARDED: &str = "exec 3<&0; { read -r end <&3; kill -KILL 0; } & exec \"$@\" </dev/null 3<&-";

/// Environment variables that would change the configuration.
const NOT_PASSED_ON: [&str; 6] = [
    "COUCHDB_INI_FILES",
    "COUCHDB_SYSCONFIG_FILE",
    "COUCHDB_TEST_ADMIN_PARTY_OVERRIDE",
    "ERL_AFLAGS",
    "ERL_FLAGS",
    "ERL_ZFLAGS",
];

/// A running CouchDB with everything that it has started. It is killed when this value is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    gone: bool,
}

impl Process {
    /// Starts CouchDB in a directory that holds its configuration.
    pub(super) fn start(couchdb: &Installation, folder: &PrivateFolder) -> Result<Self> {
        let path = folder.path();
        let log = File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(folder.log())
            .map_err(|e| Failure::io("create", folder.log(), e))?;
        let second = log.try_clone().map_err(|e| Failure::io("create", folder.log(), e))?;
        let mut command = Command::new("sh");
        command
            .args(["-c", GUARDED, "sh"])
            .arg(couchdb.program())
            .arg("-couch_ini")
            .arg(couchdb.defaults())
            .arg(path.join(settings::INI))
            .env("COUCHDB_ARGS_FILE", path.join(settings::ARGUMENTS))
            // Erlang keeps its cookie and its crash dumps there.
            .env("HOME", path)
            .env("ERL_CRASH_DUMP", path.join("erl_crash.dump"))
            .stdin(Stdio::piped())
            .stdout(log)
            .stderr(second)
            // A Ctrl-C of the terminal is couchcopy's to take.
            .process_group(0);
        for name in NOT_PASSED_ON {
            command.env_remove(name);
        }
        let child = command.spawn().map_err(|e| Failure::io("start", couchdb.program(), e))?;
        let process = Self { child, gone: false };
        if let Some(identity) = Identity::of(process.pid()) {
            let file = path.join(PROCESS);
            identity.write(&file).map_err(|e| Failure::io("write", file, e))?;
        }
        Ok(process)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How CouchDB ended, if it has.
    pub(super) fn ended(&mut self) -> Result<Option<String>> {
        let status = self.child.try_wait().map_err(|e| Failure::io("wait for", "CouchDB", e))?;
        let Some(status) = status else { return Ok(None) };
        self.end_group();
        Ok(Some(match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended on its own with exit code {code}"),
            (_, Some(signal)) => format!("was ended by signal {signal}"),
            _ => "ended on its own".into(),
        }))
    }

    /// Stops CouchDB, waits until it has ended, and ends what it leaves behind.
    pub(super) fn stop(mut self) -> Result<()> {
        if let Some(pid) = Pid::from_raw(self.pid().cast_signed()) {
            // That it has just ended is what is wanted.
            let _ = kill_process(pid, Signal::TERM);
        }
        let begun = Instant::now();
        while self.ended()?.is_none() && begun.elapsed() < STOP {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn end_group(&mut self) {
        if let Some(pid) = Pid::from_raw(self.pid().cast_signed()).filter(|_| !self.gone) {
            self.gone = true;
            // There may be nobody left in it.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end_group();
        let _ = self.child.wait();
    }
}

/// A process that cannot be confused with another one of the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// The process id.
    pub(super) pid: u32,
    /// When the process was started, in ticks since the machine was started.
    pub(super) started: u64,
}

impl Identity {
    /// The identity of a running process.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (state, started) = state_and_start(&stat)?;
        (state != "Z" && state != "X").then_some(Self { pid, started })
    }

    /// Whether the process still runs on this directory.
    pub(super) fn is_alive(&self, folder: &Path) -> bool {
        let arguments = std::fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let folder = folder.as_os_str().as_encoded_bytes();
        let names_it = arguments.windows(folder.len()).any(|window| window == folder);
        names_it && Self::of(self.pid).as_ref() == Some(self)
    }

    pub(super) fn write(&self, file: &Path) -> std::io::Result<()> {
        std::fs::write(file, serde_json::to_vec(self)?)
    }

    /// Reads a recorded process; `None` if there is none.
    pub(super) fn read(file: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(file).ok()?).ok()
    }
}

/// Reads state and start time from `/proc/PID/stat`, whose second field is a name that may contain anything.
fn state_and_start(stat: &str) -> Option<(&str, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start() {
        let own = Identity::of(std::process::id()).unwrap();
        assert_eq!(Identity::of(std::process::id()).unwrap(), own);
        let stat = "12 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(state_and_start(stat), Some(("S", 4711)));
        assert_eq!(state_and_start("12 (a"), None);
    }
}
