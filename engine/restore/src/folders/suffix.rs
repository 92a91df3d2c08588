//! What follows the names of restored databases in file names.
//!
//! An index that lies outside the data folder is found by the name of its shard, and is brought up to date only where its
//! database's sequence is larger than its own. One that has seen a newer state than the one that comes back would answer from
//! it for ever. So a database that replaces a newer state gets a new suffix, as CouchDB gives one to a database that is made
//! again.

use std::collections::HashSet;

/// Which suffix restored databases get.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Suffixes {
    /// A new one where they may replace a newer state, else the one that they have in the archive.
    #[default]
    AsNeeded,
    /// A new one.
    New,
    /// The one that they have in the archive.
    Keep,
    /// This one, which an interrupted restore has chosen.
    Chosen(String),
}

/// Seconds that a suffix may lie ahead of our clock before it does not count as a time any more.
const AHEAD: u64 = 24 * 3600;

/// Suffixes that databases have or had, as far as they are times.
#[derive(Debug, Clone, Default)]
pub(crate) struct TakenSuffixes(HashSet<u64>);

impl TakenSuffixes {
    /// Notes a suffix; one that is no time cannot be met again.
    pub(crate) fn note(&mut self, suffix: &str) {
        self.0.extend(seconds(suffix));
    }

    /// Notes all of another list.
    pub(crate) fn note_all(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// A suffix that no database has: the present time, or a later second where clocks that run ahead of ours have used it.
    pub(crate) fn next(&self, now: u64) -> String {
        let plausible = self.0.iter().copied().filter(|&taken| taken < now + AHEAD);
        let after_all = plausible.max().map_or(now, |last| now.max(last + 1));
        format!(".{after_all:010}")
    }
}

/// The time that a suffix stands for.
fn seconds(suffix: &str) -> Option<u64> {
    let digits = suffix.strip_prefix('.')?;
    let is_time = digits.len() == 10 && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| is_time)
}

/// The present time in seconds since 1970.
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
