//! The suffixes of restored databases.
//!
//! An index outside the data directory is found by the name of its shard, and is updated only if its database's sequence is
//! larger than its own. An index of a newer state than the restored one would answer from that state for ever. So a database that
//! replaces a newer state gets a new suffix, as CouchDB gives one to a database that is created again.

use std::collections::HashSet;

/// Which suffix restored databases get.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Suffixes {
    /// A new suffix if the databases may replace a newer state, else their suffixes in the archive.
    #[default]
    AsNeeded,
    /// A new suffix.
    New,
    /// The suffixes in the archive.
    Keep,
    /// This suffix, which an interrupted restore has chosen.
    Chosen(String),
}

/// Seconds that a suffix may be ahead of the clock of this machine and still count as a time.
const AHEAD: u64 = 24 * 3600;

/// Suffixes that databases have or had, if they are times.
#[derive(Debug, Clone, Default)]
pub(crate) struct TakenSuffixes(HashSet<u64>);

impl TakenSuffixes {
    /// Records a suffix. A suffix that is not a time cannot occur again.
    pub(crate) fn note(&mut self, suffix: &str) {
        self.0.extend(seconds(suffix));
    }

    /// Records all suffixes of another list.
    pub(crate) fn note_all(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// A suffix that no database has: the current time, or a later second if clocks that run ahead have used it.
    pub(crate) fn next(&self, now: u64) -> String {
        let plausible = self.0.iter().copied().filter(|&taken| taken < now + AHEAD);
        let after_all = plausible.max().map_or(now, |last| now.max(last + 1));
        format!(".{after_all:010}")
    }
}

/// The time of a suffix.
fn seconds(suffix: &str) -> Option<u64> {
    let digits = suffix.strip_prefix('.')?;
    let is_time = digits.len() == 10 && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| is_time)
}

/// The current time in seconds since 1970.
pub(crate) fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(taken: &[&str], now: u64) -> String {
        let mut all = TakenSuffixes::default();
        for suffix in taken {
            all.note(suffix);
        }
        all.next(now)
    }

    #[test]
    fn a_new_suffix_is_the_time_and_is_nobody_elses() {
        assert_eq!(next(&[], 1_795_000_000), ".1795000000");
        assert_eq!(next(&["", ".1794000000", ".17", ".abcdefghij"], 1_795_000_000), ".1795000000");
        assert_eq!(next(&[".1795000000"], 1_795_000_000), ".1795000001");
        assert_eq!(next(&[".1795000000", ".1795000001", ".1795000600"], 1_795_000_000), ".1795000601");
    }

    #[test]
    fn a_clock_that_is_years_ahead_does_not_move_it() {
        assert_eq!(next(&[".9999999999", ".1894000000"], 1_795_000_000), ".1795000000");
    }
}
