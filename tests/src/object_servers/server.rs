//! A server process with a folder of its own.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{LazyLock, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::Result;
use crate::lab::{dying_with_us, on_path, wait_for};

/// How often a server is started with other ports. Between the choice of a port and its use, somebody else may take it.
const TRIES: usize = 3;

/// How much of a log goes into a message.
const SHOWN: usize = 4000;

/// A running server. Its whole process group is killed when it goes out of scope.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    _janitor: Janitor,
}

impl Server {
    /// Starts a server and waits until it is ready.
    ///
    /// `prepare` gets an empty folder and `N` free ports, and returns the command. `strewn` tells which files the server makes
    /// elsewhere. The errors of `is_ready` count as "not yet".
    pub(crate) fn start<const N: usize>(
        what: &str,
        prepare: impl Fn(&Path, [u16; N]) -> Result<Command>,
        strewn: impl Fn([u16; N]) -> Vec<PathBuf>,
        is_ready: impl Fn([u16; N]) -> Result<bool>,
    ) -> Result<(Self, [u16; N])> {
        let mut failures = String::new();
        for _ in 0..TRIES {
            let ports = free_ports()?;
            let folder = TempDir::new()?;
            let log = File::create(log_of(folder.path()))?;
            let mut command = prepare(folder.path(), ports)?;
            // No settings of the user's, nor files in the folder of whoever runs the tests.
            command.env("HOME", folder.path()).current_dir(folder.path());
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            let janitor = Janitor::hire(folder.path(), strewn(ports))?;
            let mut server = Self { child: spawn(command)?, folder, _janitor: janitor };
            let came_up = wait_for(&format!("{what} to start"), || {
                if let Some(status) = server.child.try_wait()? {
                    return Ok(Some(Err(status)));
                }
                Ok(is_ready(ports)?.then_some(Ok(())))
            });
            match came_up {
                Ok(Ok(())) => return Ok((server, ports)),
                Ok(Err(status)) => {
                    failures =
                        format!("{what} ended with {status}; end of its log:\n{}", server.end_of_log());
                }
                Err(e) => return Err(format!("{e}; end of its log:\n{}", server.end_of_log()).into()),
            }
        }
        Err(failures.into())
    }

    /// The number of its process, which leads its process group.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// All that it logged.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(log_of(self.folder.path())).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn end_of_log(&self) -> String {
        let log = self.log();
        let from = log.len().saturating_sub(SHOWN);
        let from = (from..log.len()).find(|&i| log.is_char_boundary(i)).unwrap_or(0);
        log[from..].to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nobody reads its files any more, so it needs no time to write them.
        if let Some(group) = Pid::from_raw(self.pid()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sees to it that a server's files go away, even if this program is killed or never drops the server.
#[derive(Debug)]
struct Janitor {
    /// It removes the files when its standard input ends.
    process: Child,
    strewn: Vec<PathBuf>,
}

impl Janitor {
    fn hire(folder: &Path, strewn: Vec<PathBuf>) -> io::Result<Self> {
        // The server dies at the same time, and could write still.
        let mut command = Command::new("sh");
        command.args(["-c", "cat >/dev/null; sleep 1; rm -rf -- \"$@\"", "sh"]).arg(folder).args(&strewn);
        // Ctrl-C is not meant for it. Nobody may wait for its output.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { process: command.spawn()?, strewn })
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        if let Some(group) = Pid::from_raw(self.process.id().cast_signed()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.process.wait();
        for file in &self.strewn {
            let _ = fs::remove_file(file);
        }
    }
}

fn log_of(folder: &Path) -> PathBuf {
    folder.join("log")
}

/// The first of these that is a program: the one that a variable names, else one in the path, else one in a usual place.
pub(crate) fn find(variable: &str, names: &[&str], places: &[&str]) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(variable).filter(|named| !named.is_empty()) {
        // What is named but not there must not be replaced by something else.
        return Some(PathBuf::from(named)).filter(|path| path.is_file());
    }
    let in_path = names.iter().find_map(|name| on_path(name));
    in_path.or_else(|| places.iter().map(PathBuf::from).find(|path| path.is_file()))
}

/// A command for a server in a process group of its own.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = dying_with_us(program);
    command.process_group(0);
    command
}

/// Ports of 127.0.0.1 that were free a moment ago, all different.
fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

type Order = (Command, Sender<io::Result<Child>>);

/// Starts a process from a thread that lives as long as this program.
///
/// A process is killed when the thread that started it ends. A server may outlive the test that started it, if it is shared.
fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: LazyLock<Mutex<Sender<Order>>> = LazyLock::new(|| {
        let (send, receive): (_, Receiver<Order>) = channel();
        std::thread::spawn(move || {
            for (mut command, answer) in receive {
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(send)
    });
    let (send, receive) = channel();
    let gone = || io::Error::other("the thread that starts servers has ended");
    SPAWNER.lock().unwrap_or_else(PoisonError::into_inner).send((command, send)).map_err(|_| gone())?;
    receive.recv().map_err(|_| gone())?
}
