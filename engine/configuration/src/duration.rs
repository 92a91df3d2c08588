//! Durations and shares, as people write them.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A duration such as `24h` or `7d`, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub u64);

/// A share such as `5%`, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(pub f64);

/// Reads a duration such as `24h`, `7d` or `1d 12h`. A day has 24 hours.
pub fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a duration: write, for example, 90s, 24h or 7d");
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    let relative = jiff::SpanRelativeTo::days_are_24_hours();
    let seconds = span.total((jiff::Unit::Second, relative)).map_err(|_| wrong())?;
    if seconds >= 0.0 { Ok(seconds as u64) } else { Err(wrong()) }
}

/// Reads a share such as `5%`; the result is from 0 to 1.
pub fn share(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    match number {
        Some(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent / 100.0),
        _ => Err(format!("{text:?} is not a share: write, for example, 5%")),
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        seconds(&String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        share(&String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, expected) in
            [("90s", 90), ("24h", 86_400), ("7d", 604_800), ("1w", 604_800), ("1d 12h", 129_600), ("0s", 0)]
        {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "7", "d", "-1h", "1 month"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_read() {
        assert_eq!((share("5%"), share("100 %")), (Ok(0.05), Ok(1.0)));
        for text in ["", "5", "0%", "-1%", "101%", "NaN%", "x%"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
