//! Which objects are sent again because of their age: under an object lock, an object may be deleted some time after it was written,
//! however new the backups are that need it.

use store::Object;

/// Which objects are so old that new backups do not build on them.
///
/// Every object has an age of its own, between a quarter and a half of the time for which objects are locked, that follows from its
/// name. So an object that a new backup needs stays locked for another half of this time at least, and what was written on one day is
/// not all sent again on one day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Renewal {
    /// Seconds for which an object is locked from its writing on; `None` if nothing is sent again for its age.
    lock: Option<u64>,
    /// The present time, in seconds since 1970.
    now: i64,
}

impl Renewal {
    pub(crate) fn new(lock: Option<u64>, now: i64) -> Self {
        Self { lock: lock.filter(|lock| *lock > 0), now }
    }

    /// Whether an object is so old that a new backup does not need it any more.
    pub(crate) fn is_due(&self, object: &Object) -> bool {
        self.is_due_at(&object.key, object.modified)
    }

    /// The same of an object of this key that was written at this time, in seconds since 1970.
    pub(crate) fn is_due_at(&self, key: &str, written: i64) -> bool {
        let Some(lock) = self.lock else { return false };
        let age = u64::try_from(self.now.saturating_sub(written)).unwrap_or(0);
        age >= allowed(key, lock)
    }
}

/// The age in seconds at which an object is sent again.
fn allowed(key: &str, lock: u64) -> u64 {
    let hash = blake3::hash(key.as_bytes());
    let [first, second, ..] = *hash.as_bytes();
    let part = u128::from(u16::from_be_bytes([first, second]));
    // A quarter, and that part of another one.
    let quarter = u128::from(lock) * part / 4 / (1 << 16);
    lock / 4 + u64::try_from(quarter).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_spread_between_a_quarter_and_a_half() {
        const DAY: u64 = 86_400;
        let ages: Vec<u64> = (0..1000).map(|number| allowed(&format!("packs/{number}"), 40 * DAY)).collect();
        assert!(ages.iter().all(|age| (10 * DAY..=20 * DAY).contains(age)));
        for day in 10..20 {
            let due = ages.iter().filter(|age| **age / DAY == day).count();
            assert!((60..=140).contains(&due), "{due} of 1000 objects are due on day {day}");
        }
        assert!(allowed("packs/1", u64::MAX) >= u64::MAX / 4);
    }

    #[test]
    fn nothing_is_due_without_a_lock_or_before_its_time() {
        let old = |lock, age: i64| Renewal::new(lock, 1_000_000).is_due_at("packs/1", 1_000_000 - age);
        assert!(!old(None, 999_999) && !old(Some(0), 999_999));
        assert!(!old(Some(1000), 249) && old(Some(1000), 500));
        // A clock that is behind that of the store.
        assert!(!old(Some(1000), -5000));
    }
}
