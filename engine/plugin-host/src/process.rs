//! Programs that the host runs.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command as Process};

use crate::bindings::types::{Command, Output, RunError};

/// How long to go on reading after a program's end. A service that it has started may hold its output open for ever.
const GRACE: Duration = Duration::from_millis(200);

/// Ends a program and what it has started, unless it has ended on its own.
struct Running {
    child: Child,
    group: Option<Pid>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs a program without input and keeps the beginning of its output. Whoever drops the future ends the program.
pub(crate) async fn run(command: &Command, keep: usize) -> Result<Output, RunError> {
    let mut process = process(command);
    process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own, so that all of it can be ended, and so that Ctrl-C at the terminal does not cut a stop or a start
    // in two.
    process.process_group(0).kill_on_drop(true);
    let child = process.spawn().map_err(|e| not_run(command, &e))?;
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let mut running = Running { child, group };
    let (stdout, stderr) = (running.child.stdout.take(), running.child.stderr.take());
    let mut out = Kept::new(keep);
    let mut err = Kept::new(keep);
    let status = {
        let reading = async { tokio::join!(read(stdout, &mut out), read(stderr, &mut err)) };
        tokio::pin!(reading);
        let mut done = false;
        let status = loop {
            tokio::select! {
                status = running.child.wait() => break status,
                _ = &mut reading, if !done => done = true,
            }
        };
        running.group = None;
        if !done {
            let _ = tokio::time::timeout(GRACE, reading).await;
        }
        status
    };
    let status = status.map_err(|e| RunError::Failed(e.to_string()))?;
    Ok(Output {
        exit_code: status.code(),
        truncated: out.dropped || err.dropped,
        stdout: out.into_text(),
        stderr: err.into_text(),
    })
}

/// How a program that had our own input and output came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inherited {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// Runs a program with this process's own input and output, and waits for its end.
pub async fn run_inherited(command: &Command) -> io::Result<Inherited> {
    use std::os::unix::process::ExitStatusExt;
    let status: ExitStatus = process(command).kill_on_drop(true).status().await?;
    Ok(status.code().map_or_else(|| Inherited::Signal(status.signal().unwrap_or(0)), Inherited::Code))
}

fn process(command: &Command) -> Process {
    let mut process = Process::new(&command.program);
    // Plugins read what programs say, which is not to be in the user's language.
    process.args(&command.arguments).env("LC_ALL", "C");
    process
}

fn not_run(command: &Command, error: &io::Error) -> RunError {
    match error.kind() {
        io::ErrorKind::NotFound => RunError::NotFound(format!("there is no program {}", command.program)),
        _ => RunError::Failed(format!("{} cannot be run: {error}", command.program)),
    }
}

/// The beginning of a stream.
struct Kept {
    bytes: Vec<u8>,
    most: usize,
    dropped: bool,
}

impl Kept {
    fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), most, dropped: false }
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = self.most.saturating_sub(self.bytes.len());
        let taken = bytes.len().min(room);
        self.bytes.extend_from_slice(&bytes[..taken]);
        self.dropped |= taken < bytes.len();
    }

    fn into_text(self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

async fn read(stream: Option<impl AsyncRead + Unpin>, kept: &mut Kept) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0; 16 << 10];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        kept.add(&buffer[..n]);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn sh(script: &str) -> Command {
        Command { program: "sh".into(), arguments: vec!["-c".into(), script.into()] }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn exit_codes_and_output_come_back() {
        let output = run(&sh("echo out; echo err >&2; exit 3"), 1000).await.unwrap();
        assert_eq!(
            (output.exit_code, output.stdout.as_str(), output.stderr.as_str()),
            (Some(3), "out\n", "err\n")
        );
        let output = run(&sh("kill -9 $$"), 1000).await.unwrap();
        assert_eq!(output.exit_code, None);
        let missing = run(&Command { program: "/no/such".into(), arguments: vec![] }, 10).await;
        assert!(matches!(missing, Err(RunError::NotFound(_))));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_flood_is_read_and_dropped() {
        let output = run(&sh("yes | head -c 10000000; yes | head -c 10000000 >&2"), 1000).await.unwrap();
        assert_eq!((output.stdout.len(), output.stderr.len(), output.truncated), (1000, 1000, true));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_service_that_holds_the_output_open_is_not_waited_for() {
        let begun = Instant::now();
        let output = run(&sh("sleep 30 & echo $!"), 1000).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(20));
        let pid = Pid::from_raw(output.stdout.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).expect("the service is still there");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_is_dropped_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = sh(&format!("sleep 60 & echo $! > {}; wait", file.display()));
        let _ = tokio::time::timeout(Duration::from_secs(1), run(&script, 1000)).await;
        let text = std::fs::read_to_string(&file).unwrap();
        let gone = || {
            std::fs::read_to_string(format!("/proc/{}/stat", text.trim()))
                .map_or(true, |stat| stat.contains(") Z "))
        };
        let begun = Instant::now();
        while !gone() {
            assert!(begun.elapsed() < Duration::from_secs(20), "{text}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
