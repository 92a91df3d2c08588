//! `couchcopy backup --repo REPO --every DURATION`: a process that stays and adds a backup whenever something has changed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use outcome::report::{Notice, Reporter, Severity};
use outcome::{Failure, FailureKind, Lock as _, Result};

use crate::notify::{Notifier, watchdog};

/// How long a backup may go without any progress before the service manager is no longer told that the process is alive.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often the process looks whether it has to stop.
const LOOK: Duration = Duration::from_millis(200);
/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(900);

/// Runs `backup` every so often until the flag is set. A failure is reported and does not end the process, unless it is the first
/// attempt's and the request itself makes no sense.
pub(super) fn repeat(
    every: Duration,
    stop: &AtomicBool,
    reporter: &dyn Reporter,
    mut backup: impl FnMut(&dyn Reporter) -> Result<()>,
) -> Result<()> {
    let notifier = Notifier::of_environment();
    let alive = Alive { reporter, stop, last: Mutex::new(Instant::now()) };
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        if let Some(pause) = watchdog() {
            let (alive, notifier, ended) = (&alive, &notifier, &ended);
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    if alive.last.locked().elapsed() < PATIENCE {
                        notifier.send("WATCHDOG=1");
                    }
                    wait(pause, ended);
                }
            });
        }
        let result = rounds(every, stop, &alive, &notifier, &mut backup);
        notifier.send("STOPPING=1");
        ended.store(true, Ordering::Relaxed);
        result
    })
}

fn rounds(
    every: Duration,
    stop: &AtomicBool,
    alive: &Alive<'_>,
    notifier: &Notifier,
    backup: &mut dyn FnMut(&dyn Reporter) -> Result<()>,
) -> Result<()> {
    let (mut succeeded, mut failures) = (false, 0_u32);
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        alive.sign();
        match backup(alive) {
            Ok(()) => {
                if !succeeded {
                    notifier.send("READY=1");
                }
                notifier.send("STATUS=The last backup succeeded.");
                (succeeded, failures) = (true, 0);
            }
            Err(failure) if failure.kind() == FailureKind::Interrupted => break,
            Err(failure) if !succeeded && is_permanent(&failure) => return Err(failure),
            Err(failure) => {
                failures += 1;
                notifier.send("STATUS=The last backup failed.");
                alive.notice(&Notice { severity: Severity::Problem, text: described(&failure) });
            }
        }
        let pause = every.saturating_mul(2_u32.saturating_pow(failures.min(8))).min(LONGEST_PAUSE.max(every));
        let pause = if failures == 0 { every } else { pause };
        // A backup that takes longer than the interval is followed by the next one at once.
        while begun.elapsed() < pause && !stop.load(Ordering::Relaxed) {
            alive.sign();
            wait(LOOK.min(pause.saturating_sub(begun.elapsed())), stop);
        }
    }
    Ok(())
}

/// Waits, but not much longer than until the flag is set.
fn wait(pause: Duration, stop: &AtomicBool) {
    let begun = Instant::now();
    while let Some(rest) = pause.checked_sub(begun.elapsed()).filter(|rest| !rest.is_zero()) {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(rest.min(LOOK));
    }
}

/// Whether the next attempt fails in the same way.
fn is_permanent(failure: &Failure) -> bool {
    matches!(failure.kind(), FailureKind::Refused | FailureKind::Bug)
}

fn described(failure: &Failure) -> String {
    let remedy = failure.remedy().map(|remedy| format!(" {remedy}")).unwrap_or_default();
    let causes = outcome::with_causes(failure);
    format!("the backup failed and is tried again: {causes} [{}]{remedy}", failure.code())
}

/// Passes everything on, and knows when it was heard of last.
struct Alive<'r> {
    reporter: &'r dyn Reporter,
    stop: &'r AtomicBool,
    last: Mutex<Instant>,
}

impl Alive<'_> {
    fn sign(&self) {
        *self.last.locked() = Instant::now();
    }
}

impl Reporter for Alive<'_> {
    fn phase_of_bytes(&self, name: &str, items: Option<u64>, bytes: Option<u64>) {
        self.sign();
        self.reporter.phase_of_bytes(name, items, bytes);
    }

    fn advance(&self, items: u64, bytes: u64) {
        self.sign();
        self.reporter.advance(items, bytes);
    }

    fn notice(&self, notice: &Notice) {
        self.sign();
        self.reporter.notice(notice);
    }

    fn timing(&self, what: &str, seconds: f64) {
        self.reporter.timing(what, seconds);
    }

    fn is_interrupted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use outcome::Code;
    use outcome::report::Silent;

    use super::*;

    fn failure(is_refused: bool) -> Failure {
        let code = Code::new("CC-X00");
        if is_refused { Failure::refused(code, "no", "x") } else { Failure::incomplete(code, "no", "x") }
    }

    #[test]
    fn it_goes_on_after_failures_and_stops_when_it_should() {
        let (stop, count) = (AtomicBool::new(false), Cell::new(0));
        let ended = repeat(Duration::from_millis(1), &stop, &Silent, |_| {
            count.set(count.get() + 1);
            match count.get() {
                // Not the first: it may be a refusal of the moment.
                2 => Err(failure(true)),
                3 => Err(failure(false)),
                5 => {
                    stop.store(true, Ordering::Relaxed);
                    Ok(())
                }
                _ => Ok(()),
            }
        });
        assert!(ended.is_ok());
        assert_eq!(count.get(), 5);
    }

    #[test]
    fn what_cannot_succeed_is_not_tried_twice() {
        let stop = AtomicBool::new(false);
        let count = Cell::new(0);
        let ended = repeat(Duration::from_millis(1), &stop, &Silent, |_| {
            count.set(count.get() + 1);
            Err(failure(true))
        });
        assert!(ended.is_err());
        assert_eq!(count.get(), 1);
    }
}
