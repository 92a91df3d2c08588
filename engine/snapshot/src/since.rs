//! Update sequences of a database: one number per shard.

use std::fmt;
use std::str::FromStr;

/// The position of a reader of a database's changes: the update sequence of every shard, in the order of the ranges.
///
/// The text form is the sum of the sequences, a dash, and the sequences separated by dots. As in CouchDB, only the server reads
/// the part after the dash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Since(pub Vec<u64>);

/// The text is not an update sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an update sequence of this archive")]
pub struct SinceError;

impl Since {
    /// The sum, as CouchDB shows it.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, seq| sum.saturating_add(*seq))
    }

    /// The sequence of shard number `shard`; 0 if it is not known.
    pub fn of(&self, shard: usize) -> u64 {
        self.0.get(shard).copied().unwrap_or(0)
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-", self.total())?;
        for (i, seq) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            write!(f, "{seq}")?;
        }
        Ok(())
    }
}

impl FromStr for Since {
    type Err = SinceError;

    /// Reads a sequence; `0` is the beginning.
    fn from_str(text: &str) -> Result<Self, SinceError> {
        if text == "0" {
            return Ok(Self::default());
        }
        let (total, numbers) = text.split_once('-').ok_or(SinceError)?;
        let numbers: Vec<u64> =
            numbers.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| SinceError)?;
        let since = Self(numbers);
        if total.parse() == Ok(since.total()) { Ok(since) } else { Err(SinceError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_from_its_text() {
        let since = Since(vec![3, 0, 12]);
        assert_eq!(since.to_string(), "15-3.0.12");
        assert_eq!("15-3.0.12".parse(), Ok(since));
        assert_eq!("0".parse(), Ok(Since::default()));
        for wrong in ["", "7", "14-3.0.12", "15-", "15-3.0.x", "-", "15-3.0.12.18446744073709551616"] {
            assert!(wrong.parse::<Since>().is_err(), "{wrong}");
        }
    }
}
