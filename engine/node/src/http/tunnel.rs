//! A port of this machine that leads to a port as seen from a node.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outcome::Lock;

use crate::error::{NodeError, Result};
use crate::way::{Running, Way};

/// How long a program may take to end when its connection has ended without a byte.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What the program of the last connection said that brought no byte from the other side.
type LastWords = Arc<Mutex<Option<String>>>;

/// Leads to a port as seen from a node, by a program for every connection. Only this machine can connect to it.
#[derive(Debug)]
pub struct Tunnel {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    last_words: LastWords,
}

impl Tunnel {
    /// Opens a tunnel through the last link of the chain that can open one; `None` if no link can.
    pub fn open(way: &Way, host: &str, port: u16) -> Result<Option<Self>> {
        let doing = "open a tunnel";
        let failed = |e: io::Error| NodeError::Connection {
            node: way.shown(),
            doing: doing.into(),
            problem: e.to_string(),
        };
        let tunnel = way.runtime().block_on(way.chain().tunnel(way.id(), host, port, way.state()))?;
        let Some(command) = tunnel else { return Ok(None) };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let ended = Arc::new(AtomicBool::new(false));
        let (is_ended, node) = (Arc::clone(&ended), way.shown());
        let last_words = LastWords::default();
        let words = Arc::clone(&last_words);
        std::thread::Builder::new()
            .name("tunnel".into())
            .spawn(move || {
                for connection in listener.incoming() {
                    if is_ended.load(Ordering::Relaxed) {
                        return;
                    }
                    let Ok(connection) = connection else { continue };
                    let running = match Running::spawn(&command, node.clone(), "tunnel".into()) {
                        Ok(running) => running,
                        // It shows as a connection that was closed.
                        Err(e) => {
                            set(&words, format!("{} cannot be run: {e}", command.program));
                            continue;
                        }
                    };
                    let words = Arc::clone(&words);
                    let _ = std::thread::Builder::new()
                        .name("tunnel connection".into())
                        .spawn(move || connect(&connection, running, &words));
                }
            })
            .map_err(failed)?;
        Ok(Some(Self { address, ended, last_words }))
    }

    /// Drops the words that were kept.
    pub(crate) fn forget_last_words(&self) {
        self.last_words.locked().take();
    }

    /// What the program of a connection said that brought no byte from the other side: that the connection was refused there,
    /// say.
    pub(crate) fn last_words(&self) -> Option<String> {
        self.last_words.locked().clone()
    }

    /// Where to connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Has the listener look.
        let _ = TcpStream::connect(self.address);
    }
}

fn set(words: &LastWords, text: String) {
    *words.locked() = Some(text);
}

/// Passes bytes on in both directions until both have ended.
fn connect(connection: &TcpStream, mut running: Running, words: &LastWords) {
    let (Some(stdin), Some(stdout)) = (running.stdin(), running.stdout()) else { return };
    std::thread::scope(|scope| {
        let incoming = connection.try_clone();
        scope.spawn(move || {
            if let Ok(incoming) = incoming {
                let _ = pass_on(incoming, stdin, &mut 0);
            }
        });
        let mut passed = 0;
        let _ = pass_on(stdout, connection, &mut passed);
        if passed == 0 {
            // Before the connection is closed: whoever sees it closed asks for the reason.
            set(words, running.last_words(LAST_WORDS));
        }
        let _ = connection.shutdown(Shutdown::Both);
    });
}

/// Every piece at once: small requests wait for their answers. Counts the bytes that were read.
fn pass_on(mut from: impl Read, mut to: impl Write, passed: &mut u64) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            n => {
                *passed += n as u64;
                to.write_all(&buffer[..n])?;
                to.flush()?;
            }
        }
    }
}
