//! Times as the protocols of object stores write them.

use std::time::UNIX_EPOCH;

/// A time in UTC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    days: u64,
    seconds: u64,
}

impl Time {
    pub(super) fn now() -> Self {
        let now = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        Self { days: now / 86_400, seconds: now % 86_400 }
    }

    /// Year, month and day.
    fn date(&self) -> (u64, u64, u64) {
        let (mut year, mut left) = (1970, self.days);
        let is_leap =
            |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        loop {
            let length = if is_leap(year) { 366 } else { 365 };
            if left < length {
                break;
            }
            left -= length;
            year += 1;
        }
        let february = if is_leap(year) { 29 } else { 28 };
        let mut month = 1;
        for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
            if left < length {
                break;
            }
            left -= length;
            month += 1;
        }
        (year, month, left + 1)
    }

    fn clock(&self) -> (u64, u64, u64) {
        (self.seconds / 3600, self.seconds / 60 % 60, self.seconds % 60)
    }

    /// As signatures name a day.
    pub(super) fn day(&self) -> String {
        let (year, month, day) = self.date();
        format!("{year:04}{month:02}{day:02}")
    }

    /// As Amazon signs it.
    pub(super) fn compact(&self) -> String {
        let (hour, minute, second) = self.clock();
        format!("{}T{hour:02}{minute:02}{second:02}Z", self.day())
    }

    /// As lists of objects have it.
    pub(super) fn iso(&self) -> String {
        let ((year, month, day), (hour, minute, second)) = (self.date(), self.clock());
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z")
    }

    /// As HTTP headers have it.
    pub(super) fn http(&self) -> String {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (year, month, day) = self.date();
        let (hour, minute, second) = self.clock();
        let (weekday, month) = (DAYS[self.days as usize % 7], MONTHS[month as usize - 1]);
        format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
    }
}

#[cfg(test)]
mod tests {
    use super::Time;

    #[test]
    fn times_are_written_as_the_protocols_want() {
        let time = Time { days: 19_782, seconds: 45_296 };
        assert_eq!(time.compact(), "20240229T123456Z");
        assert_eq!(time.http(), "Thu, 29 Feb 2024 12:34:56 GMT");
        assert_eq!(time.iso(), "2024-02-29T12:34:56.000Z");
        let time = Time { days: 20_818, seconds: 0 };
        assert_eq!(time.compact(), "20261231T000000Z");
    }
}
