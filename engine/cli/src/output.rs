//! Results on standard output.

use std::io::{self, Write};

use serde::Serialize;

/// Prints results, as text or as JSON.
pub(crate) struct Output {
    /// Whether JSON was asked for.
    pub(crate) json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints a result. That nobody reads it any more is no error.
    pub(crate) fn print<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) {
        let mut printed =
            if self.json { serde_json::to_string_pretty(value).unwrap_or_default() } else { text(value) };
        if !printed.ends_with('\n') && !printed.is_empty() {
            printed.push('\n');
        }
        self.put(&printed);
    }

    /// Prints one line of JSON, which is there at once.
    pub(crate) fn print_line<T: Serialize>(&self, value: &T) {
        self.put(&format!("{}\n", serde_json::to_string(value).unwrap_or_default()));
    }

    #[allow(clippy::unused_self)]
    fn put(&self, printed: &str) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(printed.as_bytes()).and_then(|()| out.flush());
    }
}

/// Prints a line on standard error. That nobody reads it any more is no error.
pub(crate) fn error_line(line: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(format!("{line}\n").as_bytes());
}

/// A number of bytes as people read it.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64;
    let mut unit = "";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// `1 database`, `2 databases`.
pub(crate) fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(5 << 30), "5.0 GiB");
        assert_eq!(count(1, "file", "files"), "1 file");
    }
}
