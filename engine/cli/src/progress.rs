//! Progress and notices on standard error: a bar for people, events for programs.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use outcome::report::{Notice, Reporter, Severity};
use serde::Serialize;

use crate::output::{bytes, error_line};

/// Between two events that tell how far a phase has come.
const PAUSE: Duration = Duration::from_millis(500);

/// Shows a bar where standard error is a terminal; elsewhere only what is worth a line.
pub(crate) struct Terminal {
    quiet: bool,
    verbose: bool,
    /// When the last progress was told, where events are wanted.
    events: Option<Mutex<Option<Instant>>>,
    bar: Mutex<ProgressBar>,
    /// Set when the user wants an end, where that may come at any time.
    interrupted: OnceLock<&'static AtomicBool>,
}

/// A line for programs.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event<'e> {
    Phase { name: &'e str, total: Option<u64> },
    Progress { items: u64, bytes: u64 },
    Step { number: u64, what: &'e str },
    Timing { what: &'e str, seconds: f64 },
    Notice(&'e Notice),
}

impl Terminal {
    pub(crate) fn new(quiet: bool, verbose: bool, events: bool) -> Self {
        let bar = Mutex::new(ProgressBar::hidden());
        Self { quiet, verbose, events: events.then(Mutex::default), bar, interrupted: OnceLock::new() }
    }

    /// Has what runs end in the middle when the flag is set.
    pub(crate) fn heed(&self, interrupted: &'static AtomicBool) {
        // The same flag, if it was told before.
        let _ = self.interrupted.set(interrupted);
    }

    fn bar(&self) -> MutexGuard<'_, ProgressBar> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints a line above the bar.
    fn line(&self, text: &str) {
        self.bar().suspend(|| error_line(text));
    }

    /// Tells an event; `false` where they are not wanted.
    fn event(&self, event: &Event<'_>) -> bool {
        if self.events.is_some()
            && let Ok(line) = serde_json::to_string(event)
        {
            error_line(&line);
        }
        self.events.is_some()
    }

    /// Whether nothing but errors is to be told.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        self.bar().finish_and_clear();
    }
}

impl Reporter for Terminal {
    fn phase(&self, name: &str, total: Option<u64>) {
        if self.event(&Event::Phase { name, total }) || self.quiet || !std::io::stderr().is_terminal() {
            return;
        }
        let target = ProgressDrawTarget::stderr_with_hz(10);
        let bar = ProgressBar::with_draw_target(total, target);
        let template = if total.is_some() {
            "{msg} [{bar:30}] {pos}/{len} {prefix} {per_sec:.0}, {elapsed}, {eta} left"
        } else {
            "{spinner} {msg} {pos} {prefix} {elapsed}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        let before = std::mem::replace(&mut *self.bar(), bar);
        before.finish_and_clear();
    }

    fn advance(&self, items: u64, content_bytes: u64) {
        if let Some(last) = &self.events {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_none_or(|last| last.elapsed() >= PAUSE) {
                *last = Some(Instant::now());
                self.event(&Event::Progress { items, bytes: content_bytes });
            }
            return;
        }
        let bar = self.bar();
        if !bar.is_hidden() {
            bar.set_prefix(bytes(content_bytes));
            bar.set_position(items);
        }
    }

    fn notice(&self, notice: &Notice) {
        if self.event(&Event::Notice(notice)) {
            return;
        }
        let word = match notice.severity {
            Severity::Info if !self.verbose => return,
            Severity::Info => "note",
            Severity::Warning => "warning",
            Severity::Problem => "problem",
        };
        if !self.quiet {
            self.line(&format!("{word}: {}", notice.text));
        }
    }

    fn step(&self, number: u64, what: &str) {
        if !self.event(&Event::Step { number, what }) && self.verbose {
            self.line(&format!("step {number}: {what}"));
        }
        #[cfg(debug_assertions)]
        crate::fault::after_step(number);
    }

    fn timing(&self, what: &str, seconds: f64) {
        if !self.event(&Event::Timing { what, seconds }) && self.verbose {
            self.line(&format!("{what} in {seconds:.3} s"));
        }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.get().is_some_and(|interrupted| interrupted.load(Ordering::Relaxed))
    }
}
