//! An address of its own in front of nodes, as a proxy or a load balancer is.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::Result;

/// Passes connections on, each to the next of its targets. It listens only as long as a file is not there.
#[derive(Debug)]
pub struct Forwarder {
    /// Where it listens.
    pub address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Forwarder {
    /// Begins to listen. While `closed` is there, connections are refused.
    pub fn start(targets: Vec<SocketAddr>, closed: PathBuf) -> Result<Self> {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = first.local_addr()?;
        let ended = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            let mut listener = Some(first);
            let mut next = 0;
            while !until.load(Ordering::Relaxed) {
                if closed.exists() {
                    listener = None;
                } else if listener.is_none() {
                    listener = TcpListener::bind(address).ok();
                }
                if let Some(listener) = &listener
                    && listener.set_nonblocking(true).is_ok()
                    && let Ok((connection, _)) = listener.accept()
                {
                    pass_on(connection, targets[next % targets.len()]);
                    next += 1;
                    continue;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Ok(Self { address, ended, thread: Some(thread) })
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn pass_on(connection: TcpStream, target: SocketAddr) {
    let _ = connection.set_nonblocking(false);
    std::thread::spawn(move || {
        let Ok(other) = TcpStream::connect(target) else { return };
        let (Ok(there), Ok(back)) = (other.try_clone(), connection.try_clone()) else { return };
        let outgoing = std::thread::spawn(move || {
            let _ = io::copy(&mut &connection, &mut &there);
            let _ = there.shutdown(Shutdown::Write);
        });
        let _ = io::copy(&mut &other, &mut &back);
        let _ = back.shutdown(Shutdown::Both);
        let _ = outgoing.join();
    });
}
