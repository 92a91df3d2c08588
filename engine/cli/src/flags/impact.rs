//! How much a command disturbs the machine that it runs on.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Code, Failure, Result};
use rustix::process::setpriority_process;

/// How often the load is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How often a thread that is paused looks whether it may go on.
const NAP: Duration = Duration::from_millis(100);

/// Options of commands that make backups.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Impact")]
pub(crate) struct ImpactFlags {
    /// Leave the processor to others: run with this niceness, 1 to 19.
    ///
    /// The units for systemd set it, too.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=19), hide_short_help = true)]
    nice: Option<i32>,

    /// Leave the disks to others: run in this class of the disk scheduler. Needs the program `ionice`.
    ///
    /// Schedulers that know no classes, as `none` and `mq-deadline` in some kernels, ignore it. The units for systemd set it, too.
    #[arg(long, value_enum, value_name = "CLASS", hide_short_help = true)]
    ionice: Option<IoClass>,

    /// Pause while the load average of this machine (of one minute) is above LOAD, for example 4.0.
    ///
    /// A backup that is paused goes on as soon as the load falls. `couchcopy health` reports if none is finished in time.
    #[arg(long, value_name = "LOAD", value_parser = positive, hide_short_help = true)]
    pause_above: Option<f64>,
}

/// A class of the disk scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum IoClass {
    /// The lowest level among processes that have a share of the disk.
    BestEffort,
    /// Only when nobody else uses the disk.
    Idle,
}

impl IoClass {
    /// As `ionice` names it.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::BestEffort => &["-c", "2", "-n", "7"],
            Self::Idle => &["-c", "3"],
        }
    }

    /// Gives it to the calling thread, and so to all threads that it starts later.
    fn apply(self) -> Result<()> {
        const SELF: &str = "/proc/thread-self";
        // It leads to PROCESS/task/THREAD.
        let thread = std::fs::read_link(SELF).map_err(|e| Failure::io("read", SELF, e))?;
        let mut ionice = Command::new("ionice");
        ionice.args(self.arguments()).arg("-p").args(thread.file_name());
        let problem = match ionice.output() {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                format!("it ended with {}: {said}", output.status)
            }
            Err(error) => error.to_string(),
        };
        Err(Failure::refused(
            Code::new("CC-M13"),
            format!("cannot set the class of the disk scheduler with the program `ionice`: {problem}"),
            "Install it (Debian: apt-get install util-linux), or leave out --ionice.",
        ))
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(load) if load > 0.0 && f64::is_finite(load) => Ok(load),
        _ => Err(format!("{text:?} is not a load: write, for example, 4.0")),
    }
}

impl ImpactFlags {
    /// Gives this process its niceness and its class of the disk scheduler. Threads that are started later have them, too.
    pub(crate) fn apply(&self) -> Result<()> {
        if let Some(class) = self.ionice {
            class.apply()?;
        }
        let Some(niceness) = self.nice else { return Ok(()) };
        setpriority_process(None, niceness)
            .map_err(|error| Failure::io("set", "the niceness of this process", error.into()))
    }

    /// A reporter that pauses whoever reports progress, while the load is too high.
    pub(crate) fn pausing<'r>(&self, reporter: &'r dyn Reporter) -> Pausing<'r> {
        Pausing {
            reporter,
            most: self.pause_above,
            load: load_of_machine,
            looked: Mutex::new(None),
            is_paused: AtomicBool::new(false),
        }
    }
}

/// The load average of one minute.
fn load_of_machine() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').next()?.parse().ok()
}

/// Passes everything on, and pauses whoever reports progress.
pub(crate) struct Pausing<'r> {
    reporter: &'r dyn Reporter,
    most: Option<f64>,
    load: fn() -> Option<f64>,
    looked: Mutex<Option<Instant>>,
    is_paused: AtomicBool,
}

impl Pausing<'_> {
    fn wait(&self, items: u64, bytes: u64) {
        let Some(most) = self.most else { return };
        let Ok(mut looked) = self.looked.try_lock() else {
            // Another thread looks.
            while self.is_paused.load(Ordering::Relaxed) {
                std::thread::sleep(NAP);
            }
            return;
        };
        if looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return;
        }
        while let Some(load) = (self.load)().filter(|load| *load > most && !self.reporter.is_interrupted()) {
            if !self.is_paused.swap(true, Ordering::Relaxed) {
                let text = format!("paused: the load of this machine is {load}");
                self.reporter.notice(&Notice { severity: Severity::Info, text });
            }
            std::thread::sleep(LOOK);
            // A service manager hears that the process is alive.
            self.reporter.advance(items, bytes);
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
        self.wait(items, bytes);
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

    static LOOKS: AtomicU64 = AtomicU64::new(0);

    /// High twice, then low.
    #[allow(clippy::unnecessary_wraps)] // As the load of the machine is found.
    fn falling() -> Option<f64> {
        Some(if LOOKS.fetch_add(1, Ordering::Relaxed) < 2 { 9.0 } else { 1.0 })
    }

    #[test]
    fn work_goes_on_when_the_load_has_fallen() {
        let flags = ImpactFlags { pause_above: Some(4.0), ..ImpactFlags::default() };
        let pausing = Pausing { load: falling, ..flags.pausing(&Silent) };
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| pausing.advance(1, 1));
            }
        });
        assert_eq!(LOOKS.load(Ordering::Relaxed), 3);
        // Soon afterwards, nobody looks again.
        pausing.advance(2, 2);
        assert_eq!(LOOKS.load(Ordering::Relaxed), 3);
        let never = Pausing { load: falling, ..ImpactFlags::default().pausing(&Silent) };
        never.advance(1, 1);
        assert_eq!(LOOKS.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn loads_are_positive() {
        assert_eq!(positive("4.5"), Ok(4.5));
        for text in ["", "0", "-1", "NaN", "inf", "x"] {
            assert!(positive(text).is_err(), "{text}");
        }
        assert!(load_of_machine().is_some_and(|load| load >= 0.0));
    }
}
