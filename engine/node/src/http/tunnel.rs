//! A port of this machine that leads to a port as seen from a node.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{NodeError, Result};
use crate::way::{Running, Way};

/// Leads to a port as seen from a node, by a program for every connection. Only this machine can connect to it.
#[derive(Debug)]
pub struct Tunnel {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
}

impl Tunnel {
    /// Opens one through the last way of the chain that can; `None` where none can.
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
        std::thread::Builder::new()
            .name("tunnel".into())
            .spawn(move || {
                for connection in listener.incoming() {
                    if is_ended.load(Ordering::Relaxed) {
                        return;
                    }
                    let Ok(connection) = connection else { continue };
                    // A program that cannot be run shows as a connection that was closed.
                    let Ok(running) = Running::spawn(&command, node.clone(), "tunnel".into()) else {
                        continue;
                    };
                    let _ = std::thread::Builder::new()
                        .name("tunnel connection".into())
                        .spawn(move || connect(&connection, running));
                }
            })
            .map_err(failed)?;
        Ok(Some(Self { address, ended }))
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

/// Passes bytes on in both directions until both have ended.
fn connect(connection: &TcpStream, mut running: Running) {
    let (Some(stdin), Some(stdout)) = (running.stdin(), running.stdout()) else { return };
    std::thread::scope(|scope| {
        let incoming = connection.try_clone();
        scope.spawn(move || {
            if let Ok(incoming) = incoming {
                let _ = pass_on(incoming, stdin);
            }
        });
        let _ = pass_on(stdout, connection);
        let _ = connection.shutdown(Shutdown::Both);
    });
}

/// Every piece at once: small requests wait for their answers.
fn pass_on(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            n => {
                to.write_all(&buffer[..n])?;
                to.flush()?;
            }
        }
    }
}
