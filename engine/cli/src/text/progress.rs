//! Progress and notices on standard error: a bar for people, events for programs.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use outcome::report::{Notice, Reporter, Severity};
use serde::Serialize;

use super::sizes::bytes;
use crate::color::Tone;
use crate::output::error_line;

/// The least time between two events that report how far a phase is.
const PAUSE: Duration = Duration::from_millis(500);

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
    /// When the last progress was reported, if progress is reported as events.
    events: Option<Mutex<Option<Instant>>>,
    bar: Mutex<ProgressBar>,
    /// Set when the user wants to stop an operation that may stop at any time.
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
    pub(crate) fn new(detail: Detail, events: bool, in_color: bool) -> Self {
        let bar = Mutex::new(ProgressBar::hidden());
        Self { detail, in_color, events: events.then(Mutex::default), bar, interrupted: OnceLock::new() }
    }

    /// Stops the running operation when the flag is set.
    pub(crate) fn stop_when(&self, interrupted: &'static AtomicBool) {
        // A second call has the same flag: the process has only one.
        let _ = self.interrupted.set(interrupted);
    }

    /// Removes the bar.
    pub(crate) fn end(&self) {
        self.bar().finish_and_clear();
    }

    fn bar(&self) -> MutexGuard<'_, ProgressBar> {
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
        if self.events.is_some()
            && let Ok(line) = serde_json::to_string(event)
        {
            error_line(&line);
        }
        self.events.is_some()
    }

    /// How the bar looks. Escapes of color in it take no columns.
    fn template(&self, is_total_known: bool) -> String {
        if is_total_known {
            let bar = Tone::Progress.paint("{bar:30}", self.in_color);
            format!("{{msg}} [{bar}] {{pos}}/{{len}} {{prefix}} {{per_sec:.0}}, {{elapsed}}, {{eta}} left")
        } else {
            let spinner = Tone::Progress.paint("{spinner}", self.in_color);
            format!("{spinner} {{msg}} {{pos}} {{prefix}} {{elapsed}}")
        }
    }
}

impl Reporter for Terminal {
    fn phase(&self, name: &str, total: Option<u64>) {
        let is_reported = self.event(&Event::Phase { name, total });
        if is_reported || self.detail == Detail::Quiet || !std::io::stderr().is_terminal() {
            return;
        }
        let target = ProgressDrawTarget::stderr_with_hz(10);
        let bar = ProgressBar::with_draw_target(total, target);
        if let Ok(style) = ProgressStyle::with_template(&self.template(total.is_some())) {
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
        crate::fault::after_step(number);
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
