//! Pauses a backup while the machines that it disturbs have too much to do.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use backup::FolderArgument;
use node::{Http, NodeFiles};
use outcome::report::{Notice, Reporter, Severity};

/// How often this machine is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How often nodes are asked. Each question to another machine may be a login.
const ASK: Duration = Duration::from_secs(10);
/// How often a thread that is paused looks whether it may go on.
const NAP: Duration = Duration::from_millis(100);
/// Linux has the load averages in this file.
const LOADS: &str = "/proc/loadavg";

/// How much the machines may have to do, and where that is seen.
pub(crate) struct Strain {
    load: Option<f64>,
    jobs: Option<u64>,
    /// How files on other machines are reached.
    files: Vec<Arc<dyn NodeFiles>>,
    /// CouchDBs that are asked for their jobs.
    http: Vec<Arc<Http>>,
}

impl Strain {
    /// The load average, of this machine and those of the nodes, and the jobs of internal replication of a node, above which a backup
    /// pauses.
    pub(crate) fn new(load: Option<f64>, jobs: Option<u64>, nodes: &[FolderArgument]) -> Self {
        let far = |node: &FolderArgument| node.files.clone().filter(|files| files.streams().is_some());
        let files = if load.is_some() { nodes.iter().filter_map(far).collect() } else { Vec::new() };
        let http = if jobs.is_some() {
            nodes.iter().filter_map(|node| node.http.clone()).collect()
        } else {
            Vec::new()
        };
        Self { load, jobs, files, http }
    }

    fn interval(&self) -> Duration {
        if self.files.is_empty() && self.http.is_empty() { LOOK } else { ASK }
    }

    /// Who has too much to do, and what. A node that does not answer is not waited for.
    fn too_much(&self) -> Option<String> {
        if let Some(most) = self.load {
            let own = std::fs::read(LOADS).ok().map(|text| ("this machine".to_owned(), text));
            let others = self.files.iter().filter_map(|files| {
                let text = files.tail(Path::new(LOADS), 128).ok()??;
                Some((files.node(), text))
            });
            for (machine, text) in own.into_iter().chain(others) {
                if let Some(load) = load_of(&text).filter(|load| *load > most) {
                    return Some(format!("the load of {machine} is {load}"));
                }
            }
        }
        let most = self.jobs?;
        self.http.iter().find_map(|http| {
            let jobs = http.replication_jobs().ok().filter(|jobs| *jobs > most)?;
            Some(format!("{} has {jobs} jobs of internal replication to do", http.node()))
        })
    }
}

/// The load average of one minute, of the content of `/proc/loadavg`.
fn load_of(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.split(' ').next()?.parse().ok()
}

/// Passes everything on, and pauses whoever reports progress.
pub(crate) struct Pausing<'r> {
    reporter: &'r dyn Reporter,
    /// Why to pause now.
    reason: Option<Box<dyn Fn() -> Option<String> + Send + Sync + 'r>>,
    interval: Duration,
    looked: Mutex<Option<Instant>>,
    is_paused: AtomicBool,
}

impl<'r> Pausing<'r> {
    /// Pauses while there is too much to do; without a strain, never.
    pub(crate) fn new(reporter: &'r dyn Reporter, strain: Option<Strain>) -> Self {
        let interval = strain.as_ref().map_or(LOOK, Strain::interval);
        let reason = strain.map(|strain| Box::new(move || strain.too_much()) as Box<_>);
        Self { reporter, reason, interval, looked: Mutex::new(None), is_paused: AtomicBool::new(false) }
    }

    /// Waits until there is not too much to do.
    pub(crate) fn wait(&self) {
        self.wait_at(None);
    }

    /// The same, while so much is done.
    fn wait_at(&self, done: Option<(u64, u64)>) {
        let Some(reason) = &self.reason else { return };
        let Ok(mut looked) = self.looked.try_lock() else {
            // Another thread looks.
            while self.is_paused.load(Ordering::Relaxed) {
                std::thread::sleep(NAP);
            }
            return;
        };
        if looked.is_some_and(|looked| looked.elapsed() < self.interval) {
            return;
        }
        while let Some(reason) = reason().filter(|_| !self.reporter.is_interrupted()) {
            if !self.is_paused.swap(true, Ordering::Relaxed) {
                // Whoever waits for the backup wants to know why nothing happens.
                let text = format!("paused: {reason}");
                self.reporter.notice(&Notice { severity: Severity::Warning, text });
            }
            let asked = Instant::now();
            while asked.elapsed() < self.interval && !self.reporter.is_interrupted() {
                std::thread::sleep(LOOK);
                // A service manager hears that the process is alive.
                if let Some((items, bytes)) = done {
                    self.reporter.advance(items, bytes);
                }
            }
        }
        self.is_paused.store(false, Ordering::Relaxed);
        *looked = Some(Instant::now());
    }
}

impl Reporter for Pausing<'_> {
    fn phase_of_bytes(&self, name: &str, items: Option<u64>, bytes: Option<u64>) {
        self.reporter.phase_of_bytes(name, items, bytes);
    }

    fn advance(&self, items: u64, bytes: u64) {
        self.reporter.advance(items, bytes);
        self.wait_at(Some((items, bytes)));
    }

    fn notice(&self, notice: &Notice) {
        self.reporter.notice(notice);
    }

    fn step(&self, number: u64, what: &str) {
        self.reporter.step(number, what);
    }

    fn timing(&self, what: &str, seconds: f64) {
        self.reporter.timing(what, seconds);
    }

    fn is_interrupted(&self) -> bool {
        self.reporter.is_interrupted()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use outcome::report::Silent;

    use super::*;

    #[test]
    fn work_goes_on_when_there_is_less_to_do() {
        let looks = AtomicU64::new(0);
        // Too much twice, then not.
        let reason = || (looks.fetch_add(1, Ordering::Relaxed) < 2).then(|| "the load is 9".to_owned());
        let pausing = Pausing { reason: Some(Box::new(reason)), ..Pausing::new(&Silent, None) };
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| pausing.advance(1, 1));
            }
        });
        assert_eq!(looks.load(Ordering::Relaxed), 3);
        // Soon afterwards, nobody looks again.
        pausing.advance(2, 2);
        pausing.wait();
        assert_eq!(looks.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn the_load_of_this_machine() {
        assert_eq!(load_of(b"0.52 0.58 0.59 1/389 12345\n"), Some(0.52));
        assert_eq!(load_of(b""), None);
        assert!(load_of(&std::fs::read(LOADS).unwrap()).is_some_and(|load| load >= 0.0));
        assert_eq!(Strain::new(Some(1e9), None, &[]).too_much(), None);
    }
}
