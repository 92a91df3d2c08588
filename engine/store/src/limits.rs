//! Limits of bytes and requests a second.

use std::str::FromStr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use outcome::Lock;
use serde::{Deserialize, Deserializer};

/// Bytes a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(u64);

impl Rate {
    /// Bytes a second.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

/// Why a text is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a number of bytes a second; write for example 500K, 20M or 1G")]
pub struct RateError(String);

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let wrong = || RateError(text.to_owned());
        let (digits, unit) = match text.char_indices().find(|(_, c)| !c.is_ascii_digit()) {
            Some((at, _)) => text.split_at(at),
            None => (text, ""),
        };
        let factor: u64 = match unit.to_ascii_lowercase().as_str() {
            "" => 1,
            "k" => 1 << 10,
            "m" => 1 << 20,
            "g" => 1 << 30,
            _ => return Err(wrong()),
        };
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        match number.checked_mul(factor) {
            Some(bytes) if bytes > 0 => Ok(Self(bytes)),
            _ => Err(wrong()),
        }
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Says how long to wait before bytes or requests are sent, so that a number of them a second is not exceeded.
#[derive(Debug)]
pub struct Limiter {
    per_second: f64,
    /// The moment until which everything that was let through has had its time.
    busy_until: Mutex<Option<Instant>>,
}

impl Limiter {
    /// A limiter of this amount a second.
    pub fn new(per_second: f64) -> Self {
        Self { per_second, busy_until: Mutex::new(None) }
    }

    /// How long to wait before this amount.
    pub fn delay(&self, amount: f64, now: Instant) -> Duration {
        let mut busy_until = self.busy_until.locked();
        let start = busy_until.map_or(now, |until| until.max(now));
        let takes = Duration::try_from_secs_f64(amount / self.per_second).unwrap_or(Duration::ZERO);
        *busy_until = Some(start + takes);
        start.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_with_units() {
        for (text, bytes) in [("1", 1), ("20M", 20 << 20), ("500k", 500 << 10), ("1G", 1 << 30)] {
            assert_eq!(text.parse::<Rate>().unwrap().bytes(), bytes, "{text}");
        }
        for text in ["", "0", "M", "20 M", "-1", "20MB", "1.5M", "99999999999999999999", "99999999999999G"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_comes_too_early_waits() {
        let limiter = Limiter::new(10.0);
        let now = Instant::now();
        assert_eq!(limiter.delay(5.0, now), Duration::ZERO);
        assert_eq!(limiter.delay(20.0, now), Duration::from_millis(500));
        assert_eq!(limiter.delay(1.0, now), Duration::from_millis(2500));
        // Time that nobody used is not saved up.
        assert_eq!(limiter.delay(1.0, now + Duration::from_secs(60)), Duration::ZERO);
    }
}
