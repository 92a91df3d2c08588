//! Progress and notices on standard error: a bar for people, events for programs.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use outcome::report::{Notice, Reporter, Severity};

use super::bar::{Bar, Extent};
use super::events::{Event, Events};
use crate::color::Tone;
use crate::output::error_line;

/// How much is printed besides results and errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Warnings and problems only.
    Quiet,
    /// Progress, too.
    Normal,
    /// Notes, steps and durations, too.
    Verbose,
}

/// Shows a bar if standard error is a terminal, and otherwise only what deserves a line.
pub(crate) struct Terminal {
    detail: Detail,
    in_color: bool,
    /// Prints everything as events, if events are wanted.
    events: Option<Events>,
    bar: Mutex<Bar>,
    /// Set when the user wants to stop an operation that may stop at any time.
    interrupted: OnceLock<&'static AtomicBool>,
}

impl Terminal {
    pub(crate) fn new(detail: Detail, events: bool, in_color: bool) -> Self {
        let bar = Mutex::new(Bar::hidden());
        Self { detail, in_color, events: events.then(Events::default), bar, interrupted: OnceLock::new() }
    }

    /// Stops the running operation when the flag is set.
    pub(crate) fn stop_when(&self, interrupted: &'static AtomicBool) {
        // A second call has the same flag: the process has only one.
        let _ = self.interrupted.set(interrupted);
    }

    /// Removes the bar, or prints the last progress as an event.
    pub(crate) fn end(&self) {
        if let Some(events) = &self.events {
            events.end();
        }
        self.bar().end();
    }

    fn bar(&self) -> MutexGuard<'_, Bar> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_verbose(&self) -> bool {
        self.detail == Detail::Verbose
    }

    /// Prints a line above the bar.
    fn line(&self, text: &str) {
        self.bar().suspend(|| error_line(text));
    }

    /// Prints an event if events are wanted; returns whether they are.
    fn event(&self, event: &Event<'_>) -> bool {
        if let Some(events) = &self.events {
            events.print(event);
        }
        self.events.is_some()
    }
}

impl Reporter for Terminal {
    fn phase_of_bytes(&self, name: &str, items: Option<u64>, bytes: Option<u64>) {
        let is_reported = self.event(&Event::Phase { name, total: items, total_bytes: bytes });
        if is_reported || self.detail == Detail::Quiet || !std::io::stderr().is_terminal() {
            return;
        }
        let mut bar = self.bar();
        bar.end();
        *bar = Bar::new(name, Extent { items, bytes }, self.in_color);
    }

    fn advance(&self, items: u64, bytes: u64) {
        match &self.events {
            Some(events) => events.advance(items, bytes),
            None => self.bar().advance(items, bytes),
        }
    }

    fn notice(&self, notice: &Notice) {
        if self.event(&Event::Notice(notice)) {
            return;
        }
        let (word, tone) = match notice.severity {
            Severity::Info if !self.is_verbose() => return,
            Severity::Info => ("note", Tone::Note),
            Severity::Warning => ("warning", Tone::Warning),
            Severity::Problem => ("problem", Tone::Problem),
        };
        self.line(&format!("{}: {}", tone.paint(word, self.in_color), notice.text));
    }

    fn step(&self, number: u64, what: &str) {
        if !self.event(&Event::Step { number, what }) && self.is_verbose() {
            self.line(&format!("step {number}: {what}"));
        }
        #[cfg(debug_assertions)]
        crate::fault::after_step(number, what);
    }

    fn timing(&self, what: &str, seconds: f64) {
        if !self.event(&Event::Timing { what, seconds }) && self.is_verbose() {
            self.line(&format!("{what} in {seconds:.3} s"));
        }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.get().is_some_and(|interrupted| interrupted.load(Ordering::Relaxed))
    }
}
