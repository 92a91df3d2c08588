//! Pauses a backup while the machines that it disturbs have too much to do.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use backup::FolderArgument;
use node::Http;
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
    watched: Vec<Watched>,
    interval: Duration,
}

/// Something that is looked at.
struct Watched {
    /// What, for messages.
    subject: String,
    /// Why to pause, if it has too much to do.
    too_much: Box<dyn Fn() -> Result<Option<String>, String> + Send + Sync>,
    /// Whether it could not be seen the last time.
    is_hidden: AtomicBool,
}

impl Watched {
    fn new(
        subject: String,
        too_much: impl Fn() -> Result<Option<String>, String> + Send + Sync + 'static,
    ) -> Self {
        Self { subject, too_much: Box::new(too_much), is_hidden: AtomicBool::new(false) }
    }

    fn at_load(machine: String, most: f64, read: impl Fn() -> Loads + Send + Sync + 'static) -> Self {
        Self::new(format!("the load of {machine}"), move || {
            let text = read()?.ok_or_else(|| format!("it has no {LOADS}"))?;
            let load = load_of(&text).ok_or_else(|| format!("{LOADS} does not begin with a number"))?;
            Ok((load > most).then(|| format!("the load of {machine} is {load}")))
        })
    }

    fn at_jobs(http: Arc<Http>, most: u64) -> Self {
        let subject = format!("the changes that {} has to send to other nodes", http.node());
        Self::new(subject, move || {
            let jobs = http.replication_jobs().map_err(|error| error.to_string())?;
            let text = || format!("{} has {jobs} changes to send to other nodes", http.node());
            Ok((jobs > most).then(text))
        })
    }

    /// The changes of a node whose CouchDB is not asked.
    fn unasked(data: &Path) -> Self {
        let subject = format!("the changes that the node of {} has to send to other nodes", data.display());
        let example =
            "name its URL and a server admin, for example http://admin@127.0.0.1:5984,/var/lib/couchdb";
        Self::new(subject, || Err(example.into()))
    }

    /// Why to pause. What cannot be seen is reported once, and not waited for.
    fn reason(&self, reporter: &dyn Reporter) -> Option<String> {
        let seen = (self.too_much)();
        let was_hidden = self.is_hidden.swap(seen.is_err(), Ordering::Relaxed);
        seen.unwrap_or_else(|problem| {
            if !was_hidden {
                let text = format!(
                    "cannot look at {}, so nothing pauses for it until it can be seen: {problem}",
                    self.subject
                );
                reporter.notice(&Notice { severity: Severity::Warning, text });
            }
            None
        })
    }
}

/// The content of [`LOADS`], if there is such a file.
type Loads = Result<Option<Vec<u8>>, String>;

impl Strain {
    /// The load average, of this machine and those of the nodes, and the changes that a node has to send to others, above which a backup
    /// pauses.
    pub(crate) fn new(load: Option<f64>, jobs: Option<u64>, nodes: &[FolderArgument]) -> Self {
        let mut watched = Vec::new();
        let mut interval = LOOK;
        if let Some(most) = load {
            let own = || std::fs::read(LOADS).map(Some).map_err(|error| error.to_string());
            watched.push(Watched::at_load("this machine".into(), most, own));
            let far =
                nodes.iter().filter_map(|node| node.files.clone()).filter(|files| files.streams().is_some());
            for files in far {
                let machine = files.node();
                let read = move || files.tail(Path::new(LOADS), 128).map_err(|error| error.to_string());
                watched.push(Watched::at_load(machine, most, read));
                interval = ASK;
            }
        }
        if let Some(most) = jobs {
            interval = ASK;
            for node in nodes {
                watched.push(match &node.http {
                    Some(http) => Watched::at_jobs(Arc::clone(http), most),
                    None => Watched::unasked(&node.path),
                });
            }
        }
        Self { watched, interval }
    }

    /// Who has too much to do, and what.
    fn too_much(&self, reporter: &dyn Reporter) -> Option<String> {
        self.watched.iter().find_map(|watched| watched.reason(reporter))
    }
}

/// The load average of one minute, of the content of `/proc/loadavg`.
fn load_of(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.split(' ').next()?.parse().ok()
}

/// Passes everything on, and pauses whoever reports progress.
pub(crate) struct Pausing<'r> {
    reporter: &'r dyn Reporter,
    strain: Option<Strain>,
    looked: Mutex<Option<Instant>>,
    is_paused: AtomicBool,
}

impl<'r> Pausing<'r> {
    /// Pauses while there is too much to do; without a strain, never.
    pub(crate) fn new(reporter: &'r dyn Reporter, strain: Option<Strain>) -> Self {
        Self { reporter, strain, looked: Mutex::new(None), is_paused: AtomicBool::new(false) }
    }

    /// Waits until there is not too much to do.
    pub(crate) fn wait(&self) {
        self.wait_at(None);
    }

    /// The same, while so much is done.
    fn wait_at(&self, done: Option<(u64, u64)>) {
        let Some(strain) = &self.strain else { return };
        let Ok(mut looked) = self.looked.try_lock() else {
            // Another thread looks.
            while self.is_paused.load(Ordering::Relaxed) {
                std::thread::sleep(NAP);
            }
            return;
        };
        if looked.is_some_and(|looked| looked.elapsed() < strain.interval) {
            return;
        }
        while let Some(reason) = strain.too_much(self.reporter).filter(|_| !self.reporter.is_interrupted()) {
            if !self.is_paused.swap(true, Ordering::Relaxed) {
                // Whoever waits for the backup wants to know why nothing happens.
                let text = format!("paused: {reason}");
                self.reporter.notice(&Notice { severity: Severity::Warning, text });
            }
            let asked = Instant::now();
            while asked.elapsed() < strain.interval && !self.reporter.is_interrupted() {
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
        let looks = Arc::new(AtomicU64::new(0));
        // Too much twice, then not.
        let seen = Arc::clone(&looks);
        let reason =
            move || Ok((seen.fetch_add(1, Ordering::Relaxed) < 2).then(|| "the load is 9".to_owned()));
        let watched = vec![Watched::new("the load".into(), reason)];
        let pausing = Pausing::new(&Silent, Some(Strain { watched, interval: LOOK }));
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

    /// Keeps what is reported.
    #[derive(Default)]
    struct Kept(Mutex<Vec<String>>);

    impl Reporter for Kept {
        fn phase_of_bytes(&self, _: &str, _: Option<u64>, _: Option<u64>) {}

        fn advance(&self, _: u64, _: u64) {}

        fn timing(&self, _: &str, _: f64) {}

        fn notice(&self, notice: &Notice) {
            self.0.lock().unwrap().push(notice.text.clone());
        }
    }

    #[test]
    fn what_cannot_be_seen_is_reported_once() {
        let kept = Kept::default();
        let looks = AtomicU64::new(0);
        let is_seen = move || match looks.fetch_add(1, Ordering::Relaxed) {
            2 => Ok(Some("there are 9".into())),
            _ => Err("connection refused".into()),
        };
        let watched = vec![Watched::new("the jobs of db1".into(), is_seen)];
        let strain = Strain { watched, interval: LOOK };
        let reasons = [(); 5].map(|()| strain.too_much(&kept));
        assert_eq!(reasons, [None, None, Some("there are 9".into()), None, None]);
        let text = "cannot look at the jobs of db1, so nothing pauses for it until it can be seen: connection refused";
        assert_eq!(*kept.0.lock().unwrap(), [text, text]);
    }

    #[test]
    fn jobs_of_a_node_without_a_password_are_not_seen() {
        let kept = Kept::default();
        let nodes = [FolderArgument::local("/var/lib/couchdb", None)];
        assert_eq!(Strain::new(None, Some(100), &nodes).too_much(&kept), None);
        let texts = kept.0.lock().unwrap();
        assert!(
            matches!(&texts[..], [text] if text.contains("/var/lib/couchdb") && text.contains("admin@")),
            "{texts:?}"
        );
    }

    #[test]
    fn the_load_of_this_machine() {
        assert_eq!(load_of(b"0.52 0.58 0.59 1/389 12345\n"), Some(0.52));
        assert_eq!(load_of(b""), None);
        assert!(load_of(&std::fs::read(LOADS).unwrap()).is_some_and(|load| load >= 0.0));
        let kept = Kept::default();
        assert_eq!(Strain::new(Some(1e9), None, &[]).too_much(&kept), None);
        assert!(
            Strain::new(Some(-1.0), None, &[]).too_much(&kept).is_some_and(|r| r.contains("this machine"))
        );
        assert!(kept.0.lock().unwrap().is_empty());
    }
}
