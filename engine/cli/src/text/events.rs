//! Progress and notices as JSON, one event per line, for programs that watch.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use outcome::report::Notice;
use serde::Serialize;

use super::done::Done;
use crate::output::error_line;

/// The least time between two events that report how far a phase is.
const PAUSE: Duration = Duration::from_millis(500);

/// A line for programs.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(super) enum Event<'e> {
    Phase { name: &'e str, total: Option<u64>, total_bytes: Option<u64> },
    Progress(Done),
    Step { number: u64, what: &'e str },
    Timing { what: &'e str, seconds: f64 },
    Notice(&'e Notice),
}

/// Prints events in order.
#[derive(Default)]
pub(super) struct Events(Mutex<Progress>);

#[derive(Default)]
struct Progress {
    done: Done,
    /// What has been printed of it, and when.
    printed: Done,
    at: Option<Instant>,
}

impl Events {
    /// Prints an event, after the latest progress.
    pub(super) fn print(&self, event: &Event<'_>) {
        let mut progress = self.progress();
        progress.print();
        if matches!(event, Event::Phase { .. }) {
            (progress.done, progress.printed) = (Done::default(), Done::default());
        }
        print(event);
    }

    /// So much of the phase is done.
    pub(super) fn advance(&self, items: u64, bytes: u64) {
        let mut progress = self.progress();
        progress.done.note(items, bytes);
        if progress.at.is_none_or(|at| at.elapsed() >= PAUSE) {
            progress.print();
        }
    }

    /// Prints the latest progress, after which no other event may come.
    pub(super) fn end(&self) {
        self.progress().print();
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    fn print(&mut self) {
        if self.done != self.printed {
            print(&Event::Progress(self.done));
            (self.printed, self.at) = (self.done, Some(Instant::now()));
        }
    }
}

fn print(event: &Event<'_>) {
    if let Ok(line) = serde_json::to_string(event) {
        error_line(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_lines_of_json() {
        let text = |event: &Event<'_>| serde_json::to_string(event).unwrap();
        assert_eq!(
            text(&Event::Phase { name: "verifying", total: Some(1), total_bytes: None }),
            r#"{"event":"phase","name":"verifying","total":1,"total_bytes":null}"#
        );
        assert_eq!(
            text(&Event::Progress(Done { items: 1, bytes: 2 })),
            r#"{"event":"progress","items":1,"bytes":2}"#
        );
    }
}
