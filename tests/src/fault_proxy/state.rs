//! What all connections of a proxy share: the faults to come, the requests that came, and what is open.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Fault;

/// A request and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its number, counted from 0.
    pub number: usize,
    /// Its method.
    pub method: String,
    /// Its path and query, as they were sent.
    pub target: String,
    /// Its `Range` header.
    pub range: Option<String>,
    /// The status that the client was told, if it was told one.
    pub status: Option<u16>,
    /// How many bytes of its body were given to the server.
    pub up: u64,
    /// How many bytes of the answer's body were given to the client.
    pub down: u64,
    /// What befell it.
    pub fault: Option<Fault>,
}

/// A fault for some requests to come.
struct Plan {
    matches: Box<dyn Fn(&Request) -> bool + Send>,
    /// Requests that are spared first.
    skip: usize,
    /// Requests that fail then.
    count: usize,
    fault: Fault,
}

#[derive(Default)]
struct Inner {
    plans: Vec<Plan>,
    requests: Vec<Request>,
    open: HashMap<u64, TcpStream>,
    opened: u64,
    /// Requests that are held.
    held: usize,
    /// How often held requests were let go.
    releases: u64,
    is_stopped: bool,
}

/// The state of a proxy.
pub(super) struct State {
    pub(super) upstream: SocketAddr,
    inner: Mutex<Inner>,
    /// Something else may be done now: the proxy has ended, or requests are let go.
    changed: Condvar,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

impl State {
    pub(super) fn new(upstream: SocketAddr) -> Self {
        Self { upstream, inner: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A test's own condition may panic. What it left is of use still.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    pub(super) fn add(
        &self,
        matches: Box<dyn Fn(&Request) -> bool + Send>,
        skip: usize,
        count: usize,
        fault: Fault,
    ) {
        self.lock().plans.push(Plan { matches, skip, count, fault });
    }

    pub(super) fn faults_left(&self) -> usize {
        self.lock().plans.iter().fold(0, |sum: usize, plan| sum.saturating_add(plan.count))
    }

    pub(super) fn clear_faults(&self) {
        self.lock().plans.clear();
    }

    /// Notes a request. Returns its number and what is to befall it.
    pub(super) fn begin(&self, method: &str, target: &str, range: Option<&str>) -> (usize, Option<Fault>) {
        let mut inner = self.lock();
        let mut request = Request {
            number: inner.requests.len(),
            method: method.to_owned(),
            target: target.to_owned(),
            range: range.map(str::to_owned),
            status: None,
            up: 0,
            down: 0,
            fault: None,
        };
        for plan in &mut inner.plans {
            if !(plan.matches)(&request) {
                continue;
            }
            if plan.skip > 0 {
                plan.skip -= 1;
            } else if plan.count > 0 && request.fault.is_none() {
                plan.count -= 1;
                request.fault = Some(plan.fault);
            }
        }
        let begun = (request.number, request.fault);
        inner.requests.push(request);
        begun
    }

    /// Changes what is noted of a request.
    pub(super) fn note(&self, number: usize, change: impl FnOnce(&mut Request)) {
        if let Some(request) = self.lock().requests.get_mut(number) {
            change(request);
        }
    }

    /// Sees to it that a connection is shut when the proxy ends. The value ends that.
    pub(super) fn keep(&self, stream: &TcpStream) -> io::Result<Kept<'_>> {
        let other = stream.try_clone()?;
        let mut inner = self.lock();
        if inner.is_stopped {
            return Err(io::Error::other("the proxy has ended"));
        }
        inner.opened += 1;
        let number = inner.opened;
        inner.open.insert(number, other);
        Ok(Kept { state: self, number })
    }

    /// Waits, but no longer than the proxy lives.
    pub(super) fn sleep(&self, time: Duration) {
        let inner = self.lock();
        let waited = self.changed.wait_timeout_while(inner, time, |inner| !inner.is_stopped);
        drop(waited);
    }

    /// Waits until held requests are let go, but no longer than the proxy lives.
    pub(super) fn hold(&self) {
        let mut inner = self.lock();
        inner.held += 1;
        let releases = inner.releases;
        let waited = self.changed.wait_while(inner, |inner| !inner.is_stopped && inner.releases == releases);
        waited.unwrap_or_else(PoisonError::into_inner).held -= 1;
    }

    pub(super) fn held(&self) -> usize {
        self.lock().held
    }

    pub(super) fn release(&self) {
        self.lock().releases += 1;
        self.changed.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.lock().is_stopped
    }

    /// Ends all connections.
    pub(super) fn stop(&self) {
        let mut inner = self.lock();
        inner.is_stopped = true;
        for stream in inner.open.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.changed.notify_all();
    }
}

/// A connection that is shut when the proxy ends.
pub(super) struct Kept<'a> {
    state: &'a State,
    number: u64,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.state.lock().open.remove(&self.number);
    }
}
