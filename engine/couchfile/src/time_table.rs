//! The table of times and sequences that CouchDB's versions after 3.5 keep in a database.
//!
//! `#{v => 1, bins => [{Seconds, Seq}, …]}`, the newest first: at that time (in seconds since 1970, rounded down to three hours,
//! for older changes to days, months and years) the database had about this sequence.
//!
//! Source: `couch_time_seq.erl` of CouchDB's development version.

use crate::database::Database;
use crate::error::{CouchFileError, Result, TermError};
use crate::read_at::ReadAt;
use crate::term::{Decoder, Token};

/// The most entries that are read. CouchDB keeps 60.
const MOST: usize = 10_000;
/// Seconds: the finest step of the table.
const RESOLUTION: u64 = 3 * 3600;

/// Which sequence a database had when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimeTable {
    /// Seconds since 1970, and the sequence; the newest first.
    bins: Vec<(u64, u64)>,
}

/// What a table shows about a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtTime {
    /// The moment is before the first entry.
    Unknown,
    /// The highest sequence that is known to come before the moment.
    Seq(u64),
    /// The moment is after the last change.
    Newest,
}

impl TimeTable {
    /// Reads a table.
    pub fn decode(decoder: &mut Decoder<'_>) -> Result<Self, TermError> {
        let Token::Map(pairs) = decoder.token()? else { return Err(decoder.error("no map")) };
        let mut bins: Vec<(u64, u64)> = Vec::new();
        for _ in 0..pairs {
            match decoder.token()? {
                Token::Atom(b"v") => {
                    if decoder.uint()? != 1 {
                        return Err(decoder.error("a time table of another version"));
                    }
                }
                Token::Atom(b"bins") => decoder.list_items(|decoder| {
                    decoder.tuple_of(2)?;
                    let bin = (decoder.uint()?, decoder.uint()?);
                    if bins.len() >= MOST
                        || bins.last().is_some_and(|newer| newer.0 < bin.0 || newer.1 < bin.1)
                    {
                        return Err(decoder.error("times out of order"));
                    }
                    bins.push(bin);
                    Ok(())
                })?,
                _ => decoder.skip()?,
            }
        }
        decoder.end()?;
        Ok(Self { bins })
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    /// The sequence at a moment in seconds since 1970: `_changes` with this moment as `since` gives what changed after it.
    pub fn at(&self, moment: u64) -> AtTime {
        match self.bins.iter().enumerate().find(|(_, bin)| bin.0 <= moment) {
            None => AtTime::Unknown,
            Some((0, &(time, _))) if moment > time.saturating_add(RESOLUTION) => AtTime::Newest,
            Some((_, &(_, seq))) => AtTime::Seq(seq),
        }
    }

    /// The time, in seconds since 1970, at or after which a state with this sequence was reached.
    pub fn since(&self, seq: u64) -> Option<u64> {
        self.bins.iter().find(|bin| bin.1 <= seq).map(|bin| bin.0)
    }
}

impl<R: ReadAt> Database<R> {
    /// The table of times; an empty one if the file has none.
    pub fn time_table(&self) -> Result<TimeTable> {
        let Some(term) = self.time_seq()? else { return Ok(TimeTable::default()) };
        let at = self.header().time_seq_ptr.unwrap_or(0);
        TimeTable::decode(&mut term.decoder()).map_err(|e| CouchFileError::damaged("time table", at, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::tag;

    fn table(bins: &[(u64, u64)]) -> Vec<u8> {
        let mut encoder = crate::term::Encoder::new();
        encoder.raw(&[tag::MAP, 0, 0, 0, 2]).atom(b"bins").list(bins.len());
        for (time, seq) in bins {
            encoder.tuple(2).uint(*time).uint(*seq);
        }
        encoder.nil().atom(b"v").uint(1);
        encoder.finish()
    }

    #[test]
    fn moments_are_found() {
        let text = table(&[(1_000_000, 90), (900_000, 50), (800_000, 10)]);
        let table = TimeTable::decode(&mut Decoder::new(&text)).unwrap();
        for (moment, at) in [
            (700_000, AtTime::Unknown),
            (800_000, AtTime::Seq(10)),
            (899_999, AtTime::Seq(10)),
            (900_000, AtTime::Seq(50)),
            (1_000_100, AtTime::Seq(90)),
            (1_020_000, AtTime::Newest),
        ] {
            assert_eq!(table.at(moment), at, "{moment}");
        }
        assert_eq!(
            (table.since(9), table.since(10), table.since(95)),
            (None, Some(800_000), Some(1_000_000))
        );
        assert!(TimeTable::default().is_empty() && !table.is_empty());
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for wrong in [table(&[(5, 5), (6, 4)]), table(&[(6, 4), (5, 5)]), vec![106], Vec::new()] {
            assert!(TimeTable::decode(&mut Decoder::new(&wrong)).is_err(), "{wrong:?}");
        }
        let mut longer = table(&[(5, 5)]);
        longer.push(106);
        assert!(TimeTable::decode(&mut Decoder::new(&longer)).is_err());
    }
}
