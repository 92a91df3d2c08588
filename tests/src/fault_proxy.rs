//! A proxy between a client and an HTTP server that fails as it is told.
//!
//! It forwards every request as it came, also its `Host` header, so that signatures hold. It speaks HTTP/1.1 without TLS.

mod connection;
mod fault;
mod message;
mod state;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub use fault::Fault;
pub use state::Request;

use crate::Result;
use connection::serve;
use state::State;

/// A running proxy. All its connections end when it goes out of scope.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    state: Arc<State>,
    acceptor: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Starts a proxy in front of `http://HOST:PORT`, on a port of its own.
    pub fn start(upstream: &str) -> Result<Self> {
        let host = upstream.strip_prefix("http://").ok_or_else(|| format!("{upstream} is not http://…"))?;
        let host = host.trim_end_matches('/');
        let upstream = host.to_socket_addrs()?.next().ok_or_else(|| format!("{host} has no address"))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::new(upstream));
        let acceptor = std::thread::spawn({
            let state = Arc::clone(&state);
            move || accept(&listener, &state)
        });
        Ok(Self { address, state, acceptor: Some(acceptor) })
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far, in the order in which they came. Those that are still under way tell what became of them so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state.requests()
    }

    /// How many requests came so far.
    pub fn count(&self) -> usize {
        self.state.requests().len()
    }

    /// The `n`th request from now fails. The next one has the number 0.
    pub fn fault_at(&self, n: usize, fault: Fault) {
        self.fault_from(n, 1, fault);
    }

    /// `count` requests fail, the first of which is the `n`th from now.
    pub fn fault_from(&self, n: usize, count: usize, fault: Fault) {
        self.fault_on(|_| true, n, count, fault);
    }

    /// Of the requests from now on that `matches` accepts, `count` fail, after `n` that do not.
    ///
    /// Of the request, number, method, target and range are known then. Where several faults could befall one request, the one
    /// that was asked for first does.
    pub fn fault_on(
        &self,
        matches: impl Fn(&Request) -> bool + Send + 'static,
        n: usize,
        count: usize,
        fault: Fault,
    ) {
        self.state.add(Box::new(matches), n, count, fault);
    }

    /// How many faults have not befallen any request yet.
    pub fn faults_left(&self) -> usize {
        self.state.faults_left()
    }

    /// How many requests are held: see [`Fault::Held`].
    pub fn held(&self) -> usize {
        self.state.held()
    }

    /// Lets go all requests that are held.
    pub fn release(&self) {
        self.state.release();
    }

    /// From now on no request fails.
    pub fn clear_faults(&self) {
        self.state.clear_faults();
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.state.stop();
        // It waits for a connection, and then sees that it is to end.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(5));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// Serves each connection in a thread of its own, until told to stop. Then waits until all of them have ended.
fn accept(listener: &TcpListener, state: &Arc<State>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for client in listener.incoming() {
        if state.is_stopped() {
            break;
        }
        threads.retain(|thread| !thread.is_finished());
        let Ok(client) = client else {
            // Out of files, most likely: that takes a while to change.
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        let state = Arc::clone(state);
        threads.push(std::thread::spawn(move || serve(client, &state)));
    }
    for thread in threads {
        let _ = thread.join();
    }
}
