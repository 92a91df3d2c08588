//! Progress and notices on standard error.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use operations::report::{Notice, Reporter, Severity};

use crate::output::bytes;

/// Shows a bar where standard error is a terminal; elsewhere only what is worth a line.
pub(crate) struct Terminal {
    quiet: bool,
    verbose: bool,
    bar: Mutex<ProgressBar>,
}

impl Terminal {
    pub(crate) fn new(quiet: bool, verbose: bool) -> Self {
        Self { quiet, verbose, bar: Mutex::new(ProgressBar::hidden()) }
    }

    fn bar(&self) -> std::sync::MutexGuard<'_, ProgressBar> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints a line above the bar.
    fn line(&self, text: &str) {
        self.bar().suspend(|| eprintln!("{text}"));
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
        if self.quiet || !std::io::stderr().is_terminal() {
            return;
        }
        let target = ProgressDrawTarget::stderr_with_hz(10);
        let bar = ProgressBar::with_draw_target(total, target);
        let template = if total.is_some() {
            "{msg} [{bar:30}] {pos}/{len} {prefix} {elapsed}, {eta} left"
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
        let bar = self.bar();
        if !bar.is_hidden() {
            bar.set_prefix(bytes(content_bytes));
            bar.set_position(items);
        }
    }

    fn notice(&self, notice: &Notice) {
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
        if self.verbose {
            self.line(&format!("step {number}: {what}"));
        }
        #[cfg(debug_assertions)]
        crate::fault::after_step(number);
    }

    fn timing(&self, what: &str, seconds: f64) {
        if self.verbose {
            self.line(&format!("{what} in {seconds:.3} s"));
        }
    }
}
