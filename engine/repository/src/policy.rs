//! Which backups are kept, by rule.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Which backups are kept. A backup that no rule keeps is thrown away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// The last so many.
    pub last: u32,
    /// The last one of each of the last so many hours that have one.
    pub hourly: u32,
    /// The last one of each of the last so many days that have one.
    pub daily: u32,
    /// The last one of each of the last so many weeks (from Monday on) that have one.
    pub weekly: u32,
    /// The last one of each of the last so many months that have one.
    pub monthly: u32,
    /// The last one of each of the last so many years that have one.
    pub yearly: u32,
    /// All that were begun at most so many seconds before the newest one.
    pub within: Option<u64>,
}

/// A backup as a policy sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// When it was begun, in seconds since 1970.
    pub second: i64,
    /// Whether it is complete. Of an hour, day, week, month or year, the last complete one is kept.
    pub complete: bool,
}

/// Why a backup is kept, in the words of the options: `last 1`, `daily 3`.
pub type Reasons = Vec<String>;

impl Policy {
    /// Whether no rule is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Why each backup is kept; nothing if it is not. Backups are given in the order of their times. Periods are those of `zone`.
    ///
    /// The newest complete backup is always kept: what comes after it may be of no use.
    pub fn apply(&self, backups: &[Candidate], zone: &TimeZone) -> Vec<Reasons> {
        let mut reasons: Vec<Reasons> = vec![Vec::new(); backups.len()];
        let newest_complete = backups.iter().rposition(|backup| backup.complete);
        for (number, position) in (0..backups.len()).rev().take(self.last as usize).enumerate() {
            add(&mut reasons, position, format!("last {}", number + 1));
        }
        if let (Some(within), Some(newest)) = (self.within, backups.last()) {
            for (position, backup) in backups.iter().enumerate() {
                if newest.second.saturating_sub(backup.second) <= within.try_into().unwrap_or(i64::MAX) {
                    add(&mut reasons, position, "within".to_owned());
                }
            }
        }
        for (word, count, period) in [
            ("hourly", self.hourly, Period::Hour),
            ("daily", self.daily, Period::Day),
            ("weekly", self.weekly, Period::Week),
            ("monthly", self.monthly, Period::Month),
            ("yearly", self.yearly, Period::Year),
        ] {
            let mut seen = BTreeSet::new();
            for (position, backup) in backups.iter().enumerate().rev().filter(|(_, backup)| backup.complete) {
                if seen.len() >= count as usize {
                    break;
                }
                if seen.insert(period.of(backup.second, zone)) {
                    add(&mut reasons, position, format!("{word} {}", seen.len()));
                }
            }
        }
        if let Some(newest) = newest_complete
            && reasons.get(newest).is_some_and(Vec::is_empty)
        {
            add(&mut reasons, newest, "newest complete".to_owned());
        }
        reasons
    }
}

fn add(reasons: &mut [Reasons], position: usize, reason: String) {
    if let Some(reasons) = reasons.get_mut(position) {
        reasons.push(reason);
    }
}

#[derive(Clone, Copy)]
enum Period {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Period {
    /// A number that all moments of the same period have, and no others.
    fn of(self, second: i64, zone: &TimeZone) -> (i16, i16, i8, i64) {
        let moment = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone.clone());
        match self {
            // By the clock of the world: the hour that comes twice in autumn is two hours.
            Self::Hour => (0, 0, 0, second.div_euclid(3600)),
            Self::Day => (moment.year(), i16::from(moment.month()), moment.day(), 0),
            Self::Week => {
                let week = moment.date().iso_week_date();
                (week.year(), i16::from(week.week()), 0, 0)
            }
            Self::Month => (moment.year(), i16::from(moment.month()), 0, 0),
            Self::Year => (moment.year(), 0, 0, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn every(seconds: i64, count: i64) -> Vec<Candidate> {
        let first = "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap().as_second();
        (0..count).map(|number| Candidate { second: first + number * seconds, complete: true }).collect()
    }

    fn kept(policy: &Policy, backups: &[Candidate]) -> Vec<usize> {
        let reasons = policy.apply(backups, &TimeZone::UTC);
        reasons
            .iter()
            .enumerate()
            .filter(|(_, reasons)| !reasons.is_empty())
            .map(|(position, _)| position)
            .collect()
    }

    #[test]
    fn the_last_of_each_period_is_kept() {
        // Every six hours for ten days.
        let backups = every(6 * 3600, 40);
        assert_eq!(kept(&Policy { last: 2, ..Policy::default() }, &backups), [38, 39]);
        assert_eq!(kept(&Policy { daily: 3, ..Policy::default() }, &backups), [31, 35, 39]);
        // 2026-01-01 is a Thursday: weeks end on Sunday the 4th and 11th; the 10th is the last day.
        assert_eq!(kept(&Policy { weekly: 5, ..Policy::default() }, &backups), [15, 39]);
        assert_eq!(kept(&Policy { within: Some(12 * 3600), ..Policy::default() }, &backups), [37, 38, 39]);
        let years = every(100 * 86_400, 12);
        assert_eq!(kept(&Policy { yearly: 2, ..Policy::default() }, &years), [10, 11]);
    }

    #[test]
    fn an_incomplete_backup_takes_no_place_of_a_complete_one() {
        let mut backups = every(3600, 6);
        backups[5].complete = false;
        assert_eq!(kept(&Policy { daily: 1, ..Policy::default() }, &backups), [4]);
        // Nothing is kept but what may be of use.
        assert_eq!(kept(&Policy { last: 1, ..Policy::default() }, &backups), [4, 5]);
        assert_eq!(kept(&Policy::default(), &backups), [4]);
        assert_eq!(kept(&Policy::default(), &[]), [0; 0]);
    }

    #[test]
    fn periods_are_those_of_the_zone() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let at =
            |text: &str| Candidate { second: text.parse::<Timestamp>().unwrap().as_second(), complete: true };
        // 23:00 and 01:00 there are two days; in UTC it is one.
        let backups = [at("2026-06-01T21:00:00Z"), at("2026-06-01T23:00:00Z")];
        let policy = Policy { daily: 2, ..Policy::default() };
        assert!(policy.apply(&backups, &zone).iter().all(|reasons| !reasons.is_empty()));
        assert_eq!(kept(&policy, &backups), [1]);
    }

    proptest! {
        #[test]
        fn what_a_policy_has_kept_it_keeps_again(times in proptest::collection::vec(0i64..100_000_000, 0..60), last in 0u32..4, daily in 0u32..5, monthly in 0u32..5) {
            let mut times = times;
            times.sort_unstable();
            let backups: Vec<_> = times.iter().map(|second| Candidate { second: *second, complete: second % 3 > 0 }).collect();
            let policy = Policy { last, daily, monthly, ..Policy::default() };
            let first = kept(&policy, &backups);
            let left: Vec<_> = first.iter().map(|position| backups[*position]).collect();
            prop_assert_eq!(kept(&policy, &left).len(), left.len());
        }
    }
}
