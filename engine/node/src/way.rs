//! How programs are run on a node.

use std::io::{Read, Write};
use std::process::{Child, Command as Process, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use outcome::Lock;
use plugin_host::{Chain, Command, NodeId, State, printable};
use rustix::process::{Pid, Signal};
use tokio::runtime::Runtime;

use crate::error::{NodeError, Result};

/// What of a program's error output is kept.
const KEPT: usize = 8 << 10;
/// How often to check whether a program has ended that has to end in time.
const LOOK: Duration = Duration::from_millis(5);
/// Exit code of ssh where it could not connect or lost its connection.
const SSH_FAILED: i32 = 255;

/// What plugins need to be called from threads that are not asynchronous.
///
/// Fails if the system gives no resources for it.
pub fn blocking_runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// The access to a node: runs programs there, on this machine or through node-access plugins.
#[derive(Clone)]
pub struct Way {
    runtime: Arc<Runtime>,
    chain: Chain,
    id: NodeId,
    /// What is known about CouchDB there: some plugins depend on it.
    state: Arc<Mutex<State>>,
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Way").field("id", &self.id).field("chain", &self.chain).finish_non_exhaustive()
    }
}

/// A program that ended well enough.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What it wrote to standard output.
    pub(crate) stdout: Vec<u8>,
    /// Its exit code.
    pub(crate) code: i32,
    /// The end of what it wrote to standard error, for messages.
    pub(crate) stderr: String,
}

/// A program that runs on the node. It is ended when this is dropped.
pub(crate) struct Running {
    child: Child,
    stderr: Option<std::thread::JoinHandle<Vec<u8>>>,
    node: String,
    command: String,
    ended: bool,
}

impl Way {
    /// The access through these plugins.
    pub fn new(runtime: Arc<Runtime>, chain: Chain, id: NodeId) -> Self {
        Self { runtime, chain, id, state: Arc::new(Mutex::new(State::Unknown)) }
    }

    /// Whether programs are run on this machine as they are, so that files can be opened directly.
    pub fn is_direct(&self) -> bool {
        self.chain.is_empty()
    }

    /// The node.
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// The node's name for messages.
    pub fn shown(&self) -> String {
        self.id.shown()
    }

    /// Sets what is known about CouchDB on the node.
    pub fn set_state(&self, state: State) {
        *self.state.locked() = state;
    }

    pub(crate) fn state(&self) -> State {
        *self.state.locked()
    }

    /// The access that works while CouchDB is stopped, whether it is stopped now or not; `None` if it does not differ.
    ///
    /// Fails if there is no such access.
    pub(crate) fn while_stopped(&self) -> Result<Option<Self>> {
        let command = Command { program: "true".into(), arguments: Vec::new() };
        let wrapped = |state| self.runtime.block_on(self.chain.wrap(&command, &self.id, state));
        let (running, stopped) = (wrapped(State::Running)?, wrapped(State::Stopped)?);
        if (running.program, running.arguments) == (stopped.program, stopped.arguments) {
            return Ok(None);
        }
        Ok(Some(Self { state: Arc::new(Mutex::new(State::Stopped)), ..self.clone() }))
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Starts a program on the node, all its streams being pipes.
    pub(crate) fn spawn(&self, doing: &str, words: &[&str]) -> Result<Running> {
        let shown = printable(&words.join(" "));
        let (program, arguments) = words.split_first().unwrap_or((&"", &[]));
        let command = Command {
            program: (*program).to_owned(),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
        };
        let wrapped = self.runtime.block_on(self.chain.wrap(&command, &self.id, self.state()))?;
        Running::spawn(&wrapped, self.shown(), shown).map_err(|e| NodeError::Connection {
            node: self.shown(),
            doing: doing.to_owned(),
            problem: format!("{} cannot be run: {e}", printable(&wrapped.program)),
        })
    }

    /// Runs a program to its end, within a time.
    ///
    /// Fails if it cannot be run, the connection breaks or it takes too long; any exit code of its own is fine.
    pub(crate) fn run(&self, doing: &str, words: &[&str], input: &[u8], limit: Duration) -> Result<Ended> {
        let mut running = self.spawn(doing, words)?;
        let (stdin, stdout) = (running.child.stdin.take(), running.child.stdout.take());
        let stdout = std::thread::scope(|scope| {
            // It may end without having read all; what it wrote shows that.
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
            let reading = scope.spawn(move || {
                let mut all = Vec::new();
                stdout.map(|mut stdout| stdout.read_to_end(&mut all));
                all
            });
            let begun = Instant::now();
            while !reading.is_finished() {
                if begun.elapsed() > limit {
                    running.kill();
                    return None;
                }
                std::thread::sleep(LOOK);
            }
            reading.join().ok()
        });
        let Some(stdout) = stdout else {
            return Err(NodeError::Program {
                node: self.shown(),
                doing: doing.to_owned(),
                command: running.command.clone(),
                problem: format!("did not end within {} s", limit.as_secs()),
            });
        };
        let (code, stderr) = running.finish(doing, self.is_direct())?;
        Ok(Ended { stdout, code, stderr })
    }

    /// Runs a program that has to succeed, and gives its output.
    pub(crate) fn succeed(
        &self,
        doing: &str,
        words: &[&str],
        input: &[u8],
        limit: Duration,
    ) -> Result<Vec<u8>> {
        let ended = self.run(doing, words, input, limit)?;
        if ended.code == 0 {
            return Ok(ended.stdout);
        }
        Err(self.failed(doing, words, &ended))
    }

    /// The error for a program that did not succeed.
    pub(crate) fn failed(&self, doing: &str, words: &[&str], ended: &Ended) -> NodeError {
        NodeError::Program {
            node: self.shown(),
            doing: doing.to_owned(),
            command: printable(&words.join(" ")),
            problem: problem(ended.code, &ended.stderr),
        }
    }
}

/// What kubectl, docker and podman print if they do not get through to the program or lose it; they end with 1 then, as many a
/// program does that ran. Source: `kubectl/pkg/cmd/util/helpers.go` (`checkErr`), `docker/cli` and `containers/podman`.
const NOT_THROUGH: [&str; 10] = [
    "Error from server",
    "Unable to connect to the server",
    "The connection to the server",
    "error: Internal error occurred",
    "error: You must be logged in to the server",
    "error: unable to upgrade connection",
    "error: lost connection to pod",
    "Cannot connect to the Docker daemon",
    "Error response from daemon",
    "Cannot connect to Podman",
];

/// Whether what leads to the node reports that it did not get through, in a line of its own. kubectl also prints how the program
/// ended if it did.
fn did_not_get_through(said: &str) -> bool {
    let lines = || said.lines().map(str::trim);
    lines().any(|line| NOT_THROUGH.iter().any(|begin| line.starts_with(begin)))
        && !lines().any(|line| line.starts_with("command terminated with exit code"))
}

/// How a program ended and what it said.
pub(crate) fn problem(code: i32, stderr: &str) -> String {
    // ssh ends its lines as a terminal wants it.
    let lines: Vec<&str> =
        stderr.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect();
    let said = printable(&lines.join("; "));
    if said.is_empty() {
        format!("ended with exit code {code}")
    } else {
        format!("ended with exit code {code}: {said}")
    }
}

impl Running {
    /// Runs a command of this machine with all its streams as pipes. `command` is for messages.
    pub(crate) fn spawn(wrapped: &Command, node: String, command: String) -> std::io::Result<Self> {
        use std::os::unix::process::CommandExt;
        let mut child = Process::new(&wrapped.program)
            .args(&wrapped.arguments)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that Ctrl-C at the terminal does not cut a step in two.
            .process_group(0)
            .spawn()?;
        let stderr = child.stderr.take().map(|mut stderr| {
            std::thread::spawn(move || {
                let mut kept = Vec::new();
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = stderr.read(&mut buffer) {
                    kept.extend_from_slice(&buffer[..n]);
                    if kept.len() > 2 * KEPT {
                        kept.drain(..kept.len() - KEPT);
                    }
                }
                kept
            })
        });
        Ok(Self { child, stderr, node, command, ended: false })
    }

    /// Its standard input, once.
    pub(crate) fn stdin(&mut self) -> Option<std::process::ChildStdin> {
        self.child.stdin.take()
    }

    /// Its standard output, once.
    pub(crate) fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits for its end; gives exit code and the end of what it said.
    ///
    /// Fails if a signal ended it or, if other programs lead to the node, if the connection broke.
    pub(crate) fn finish(&mut self, doing: &str, direct: bool) -> Result<(i32, String)> {
        let broken = |problem: String| NodeError::Connection {
            node: self.node.clone(),
            doing: doing.to_owned(),
            problem,
        };
        drop(self.child.stdin.take());
        let status: ExitStatus = self.child.wait().map_err(|e| broken(e.to_string()))?;
        self.ended = true;
        let said = self.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        match status.code() {
            Some(SSH_FAILED) if !direct => Err(broken(problem(SSH_FAILED, &said))),
            Some(code @ 1) if !direct && did_not_get_through(&said) => Err(broken(problem(code, &said))),
            Some(code) => Ok((code, said)),
            None => Err(broken(format!("`{}` was ended by a signal", self.command))),
        }
    }

    /// What it said on standard error, once it has ended or so much time has passed; it is ended then.
    pub(crate) fn last_words(&mut self, limit: Duration) -> String {
        let begun = Instant::now();
        while begun.elapsed() < limit && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(LOOK);
        }
        self.kill();
        let _ = self.child.wait();
        self.ended = true;
        let said = self.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        printable(String::from_utf8_lossy(&said).trim())
    }

    /// The program, for messages.
    pub(crate) fn command(&self) -> &str {
        &self.command
    }

    pub(crate) fn kill(&mut self) {
        if let Some(group) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.kill();
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_on_the_way_is_none_of_the_program() {
        for said in [
            "Error from server: error dialing backend: dial tcp 10.0.0.3:10250: connect: connection refused\n",
            "Defaulted container \"couchdb\" out of: couchdb, nouveau\nerror: Internal error occurred: error sending request\n",
            "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?\n",
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n",
        ] {
            assert!(did_not_get_through(said), "{said}");
        }
        for said in [
            "",
            "tar: a: Cannot open: No such file or directory\n",
            "grep: Error from server: No such file\n",
            "Error from server\ncommand terminated with exit code 1\n",
        ] {
            assert!(!did_not_get_through(said), "{said}");
        }
    }

    #[test]
    fn lines_are_joined_to_one() {
        assert_eq!(
            problem(255, "Connection closed.\r\n\r\n lost\n"),
            "ended with exit code 255: Connection closed.; lost"
        );
        assert_eq!(problem(1, " \n"), "ended with exit code 1");
    }
}
