//! What the progress bar shows.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::done::Done;
use super::sizes::bytes;
use crate::color::Tone;

/// How much a phase has to do, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extent {
    pub(super) items: Option<u64>,
    pub(super) bytes: Option<u64>,
}

/// What the bar measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    Bytes(u64),
    Items(u64),
    Unknown,
}

impl Extent {
    /// Bytes say more than items: one database can be larger than ten thousand others.
    fn measure(self) -> Measure {
        match self {
            Self { bytes: Some(bytes), .. } if bytes > 0 => Measure::Bytes(bytes),
            Self { items: Some(items), .. } => Measure::Items(items),
            _ => Measure::Unknown,
        }
    }

    /// What is done, and of how much.
    fn text(self, Done { items, bytes: done }: Done) -> String {
        match (self.measure(), self.items) {
            (Measure::Bytes(total), Some(of)) => {
                format!("{}/{} ({items}/{of})", bytes(done), bytes(total.max(done)))
            }
            (Measure::Bytes(total), None) => format!("{}/{}", bytes(done), bytes(total.max(done))),
            (Measure::Items(total), _) => format!("{items}/{total} {}", bytes(done)),
            (Measure::Unknown, _) if items == 0 => bytes(done),
            (Measure::Unknown, _) => format!("{items} {}", bytes(done)),
        }
    }

    /// How the bar looks. Escapes of color in it take no columns.
    fn template(self, in_color: bool) -> String {
        let bar = Tone::Progress.paint("{bar:30}", in_color);
        match self.measure() {
            Measure::Bytes(_) => format!("{{msg}} [{bar}] {{prefix}} {{rate}}, {{elapsed}}, {{eta}} left"),
            Measure::Items(_) => {
                format!("{{msg}} [{bar}] {{prefix}} {{per_sec:.0}}, {{elapsed}}, {{eta}} left")
            }
            Measure::Unknown => {
                let spinner = Tone::Progress.paint("{spinner}", in_color);
                format!("{spinner} {{msg}} {{prefix}} {{elapsed}}")
            }
        }
    }
}

/// Bytes in a second.
fn rate(per_second: f64) -> String {
    // A rate that is not known yet is not a number.
    format!("{}/s", bytes(per_second.max(0.0) as u64))
}

/// The bar of a phase.
pub(super) struct Bar {
    drawn: ProgressBar,
    extent: Extent,
    done: Done,
}

impl Bar {
    /// No bar.
    pub(super) fn hidden() -> Self {
        Self { drawn: ProgressBar::hidden(), extent: Extent::default(), done: Done::default() }
    }

    /// The bar of a phase that begins.
    pub(super) fn new(name: &str, extent: Extent, in_color: bool) -> Self {
        let length = match extent.measure() {
            Measure::Bytes(total) | Measure::Items(total) => Some(total),
            Measure::Unknown => None,
        };
        let drawn = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr_with_hz(10));
        if let Ok(style) = ProgressStyle::with_template(&extent.template(in_color)) {
            let rate = |state: &ProgressState, text: &mut dyn Write| {
                let _ = text.write_str(&rate(state.per_sec()));
            };
            drawn.set_style(style.with_key("rate", rate).progress_chars("=> "));
        }
        drawn.set_message(name.to_owned());
        if length.is_some() {
            drawn.set_prefix(extent.text(Done::default()));
        }
        drawn.enable_steady_tick(Duration::from_millis(200));
        Self { drawn, extent, done: Done::default() }
    }

    /// So much of the phase is done.
    pub(super) fn advance(&mut self, items: u64, bytes: u64) {
        if self.drawn.is_hidden() {
            return;
        }
        self.done.note(items, bytes);
        self.drawn.set_prefix(self.extent.text(self.done));
        match self.extent.measure() {
            Measure::Bytes(total) => {
                if self.done.bytes > total {
                    // A file has grown.
                    self.drawn.set_length(self.done.bytes);
                }
                self.drawn.set_position(self.done.bytes);
            }
            Measure::Items(_) | Measure::Unknown => self.drawn.set_position(self.done.items),
        }
    }

    /// Does something while the bar is away.
    pub(super) fn suspend(&self, work: impl FnOnce()) {
        self.drawn.suspend(work);
    }

    /// Removes the bar.
    pub(super) fn end(&self) {
        self.drawn.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn bytes_are_measured_if_they_are_known() {
        let extent = Extent { items: Some(10_001), bytes: Some(100 * GIB) };
        assert_eq!(extent.text(Done { items: 0, bytes: 0 }), "0 B/100.0 GiB (0/10001)");
        assert_eq!(extent.text(Done { items: 10_000, bytes: 3 * GIB }), "3.0 GiB/100.0 GiB (10000/10001)");
        assert_eq!(
            extent.text(Done { items: 10_001, bytes: 101 * GIB }),
            "101.0 GiB/101.0 GiB (10001/10001)",
            "files have grown"
        );
        assert!(extent.template(false).contains("{rate}"));
        assert_eq!(Extent { items: None, ..extent }.text(Done { items: 0, bytes: GIB }), "1.0 GiB/100.0 GiB");
    }

    #[test]
    fn items_are_measured_if_bytes_are_not_known() {
        for bytes in [None, Some(0)] {
            let extent = Extent { items: Some(5), bytes };
            assert_eq!(extent.text(Done { items: 2, bytes: 1536 }), "2/5 1.5 KiB");
            assert!(extent.template(false).contains("{per_sec:.0}"));
        }
    }

    #[test]
    fn without_a_total_only_what_is_done_is_shown() {
        assert_eq!(Extent::default().text(Done { items: 2, bytes: 1536 }), "2 1.5 KiB");
        assert_eq!(Extent::default().text(Done { items: 0, bytes: 1536 }), "1.5 KiB");
        assert!(!Extent::default().template(false).contains("{bar"));
    }

    #[test]
    fn rates_are_bytes_in_a_second() {
        assert_eq!(rate(0.0), "0 B/s");
        assert_eq!(rate(f64::NAN), "0 B/s");
        assert_eq!(rate(300.0 * 1024.0 * 1024.0), "300.0 MiB/s");
    }
}
