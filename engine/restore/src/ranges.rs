//! Other numbers of ranges for restored databases.

use outcome::{Code, Failure, Result};
use serde::{Deserialize, Serialize};

use crate::rules::Rules;

/// The most ranges that a database can get.
const MOST: u32 = 1024;

/// Which databases get another number of ranges (`q`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ranges {
    rules: Rules<Number>,
}

/// A number of ranges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Number {
    q: u32,
}

impl Number {
    fn parse(text: &str) -> Option<Self> {
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|q| is_number && (1..=MOST).contains(q)).map(|q| Self { q })
    }
}

impl Ranges {
    /// Reads `N` and `PATTERN=N`; of several that match a database, the last one counts.
    pub fn parse(texts: &[String]) -> Result<Self> {
        let wrong = |text: &str| {
            Failure::refused(
                Code::new("CC-R97"),
                format!("{text:?} is not a number of ranges"),
                format!(
                    "Give --q N or --q PATTERN=N, with a number from 1 to {MOST}, for example --q 'team/*=8'."
                ),
            )
        };
        let number = |text: &str, number: &str| Number::parse(number).ok_or_else(|| wrong(text));
        Ok(Self { rules: Rules::parse(texts, wrong, number)? })
    }

    /// Whether all databases keep their ranges.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The number of ranges that a database of the archive gets; `None`: it keeps its ranges.
    pub fn of(&self, name: &str) -> Option<u32> {
        self.rules.of(name).map(|number| number.q)
    }

    /// Refuses a pattern that matches none of the archive's databases, whose names are read if they are needed.
    pub(crate) fn check(&self, names: impl FnOnce() -> Result<Vec<String>>) -> Result<()> {
        let Some(pattern) = self.rules.idle(names)? else { return Ok(()) };
        Err(Failure::refused(
            Code::new("CC-R98"),
            format!("--q {pattern:?} matches no database of the archive"),
            "Patterns match the names in the archive. `couchcopy ls ARCHIVE` lists them.",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(texts: &[&str]) -> Result<Ranges> {
        Ranges::parse(&texts.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn the_last_that_matches_counts() {
        let ranges = ranges(&["2", "team/*=8", "team/a=16"]).unwrap();
        assert_eq!([ranges.of("x"), ranges.of("team/b"), ranges.of("team/a")], [Some(2), Some(8), Some(16)]);
        let for_one = self::ranges(&["team/a=16"]).unwrap();
        assert_eq!([for_one.of("team/a"), for_one.of("x")], [Some(16), None]);
        assert!(Ranges::default().is_empty() && !for_one.is_empty());
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "0", "1025", "a", "a=", "=2", "a=0", "+2", "a=+2", "-1", "2 "] {
            let code = ranges(&[text]).map_err(|failure| failure.code().to_string());
            assert_eq!(code, Err("CC-R97".into()), "{text:?}");
        }
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_refused() {
        let names = || Ok(vec!["a".to_owned(), "team/a".to_owned()]);
        ranges(&["2", "team/?=3", "*=4"]).unwrap().check(names).unwrap();
        let failure = ranges(&["2", "tem/*=3"]).unwrap().check(names).unwrap_err();
        assert_eq!(failure.code().to_string(), "CC-R98");
        ranges(&["2"]).unwrap().check(|| panic!("names are not needed")).unwrap();
    }
}
