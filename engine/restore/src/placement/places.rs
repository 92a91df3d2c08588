//! What `--place` asks for: zones for all databases, or for those whose name matches.

use std::fmt;

use outcome::{Code, Failure, Result};
use serde::{Deserialize, Serialize};

use super::zones::ZoneCopies;
use crate::rules::Rules;

/// Where the copies of databases go, as the user says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Places {
    rules: Rules<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    place: Where,
}

/// Where the copies of a database go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Where {
    /// To any nodes, whatever their zones.
    Any,
    /// So many to each zone.
    Zones(ZoneCopies),
}

impl Where {
    /// Reads `any` and CouchDB's form.
    fn parse(text: &str) -> Result<Self, String> {
        if text == "any" { Ok(Self::Any) } else { ZoneCopies::parse(text).map(Self::Zones) }
    }

    /// The zones, if it names any.
    pub fn zones(&self) -> Option<&ZoneCopies> {
        match self {
            Self::Any => None,
            Self::Zones(zones) => Some(zones),
        }
    }
}

impl Places {
    /// Reads `any`, `ZONE:COPIES,…` and either of them after `PATTERN=`; of several that match a database, the last one counts.
    pub fn parse(texts: &[String]) -> Result<Self> {
        let wrong = |text: &str, problem: &str| {
            Failure::refused(
                Code::new("CC-R60"),
                format!("{text:?} does not say where copies go: {problem}"),
                "Give --place ZONE:COPIES,…, for example --place 'z1:2,z2:1', for some databases --place 'team/*=z1:1,z2:1', or \
                 --place any.",
            )
        };
        let empty = |text: &str| wrong(text, "its pattern is empty");
        let place = |text: &str, place: &str| {
            let place = Where::parse(place).map_err(|problem| wrong(text, &problem))?;
            Ok(Place { place })
        };
        Ok(Self { rules: Rules::parse(texts, empty, place)? })
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Where a database of the archive goes, if that is asked for.
    pub fn of(&self, name: &str) -> Option<&Where> {
        self.rules.of(name).map(|place| &place.place)
    }

    /// Where databases go for which nothing more special is asked for, if that is said.
    pub fn for_all(&self) -> Option<&Where> {
        self.rules.for_all().map(|place| &place.place)
    }

    /// All zones that are asked for, with the pattern (`None`: all databases).
    pub fn zones(&self) -> impl Iterator<Item = (Option<&str>, &ZoneCopies)> {
        self.rules.iter().filter_map(|(pattern, place)| Some((pattern, place.place.zones()?)))
    }

    /// Refuses a pattern that matches none of the archive's databases, whose names are read if they are needed.
    pub(crate) fn check(&self, names: impl FnOnce() -> Result<Vec<String>>) -> Result<()> {
        let Some(pattern) = self.rules.idle(names)? else { return Ok(()) };
        Err(Failure::refused(
            Code::new("CC-R61"),
            format!("--place {pattern:?} matches no database"),
            "Patterns match the names in the archive. `couchcopy ls ARCHIVE` lists them.",
        ))
    }

    /// What is asked for, as it is written after `--place`.
    pub fn texts(&self) -> Vec<String> {
        let text = |(pattern, place): (Option<&str>, &Place)| match pattern {
            Some(pattern) => format!("{pattern}={}", place.place),
            None => place.place.to_string(),
        };
        self.rules.iter().map(text).collect()
    }
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Zones(zones) => zones.fmt(f),
        }
    }
}

impl TryFrom<String> for Where {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Where> for String {
    fn from(place: Where) -> Self {
        place.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(texts: &[&str]) -> Result<Places> {
        Places::parse(&texts.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn the_last_that_matches_counts() {
        let places = places(&["z1:2,z2:1", "team/*=any", "team/a=z3:1"]).unwrap();
        let of = |name: &str| places.of(name).map(ToString::to_string);
        assert_eq!(of("x").as_deref(), Some("z1:2,z2:1"));
        assert_eq!(of("team/b").as_deref(), Some("any"));
        assert_eq!(of("team/a").as_deref(), Some("z3:1"));
        assert_eq!(places.for_all(), places.of("x"));
        assert_eq!(places.zones().count(), 2);
        assert_eq!(places.texts(), ["z1:2,z2:1", "team/*=any", "team/a=z3:1"]);
        let some = self::places(&["team/*=any"]).unwrap();
        assert_eq!((some.for_all(), some.of("x")), (None, None));
        assert_eq!(self::places(&["*=any"]).unwrap().for_all(), Some(&Where::Any));
    }

    #[test]
    fn what_says_nothing_is_refused() {
        for text in ["", "z1", "=any", "a=", "a=z1", "z1:0", "z1:1,z1:2", "Any"] {
            let code = places(&[text]).map_err(|failure| failure.code().to_string());
            assert_eq!(code, Err("CC-R60".into()), "{text:?}");
        }
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_refused() {
        let names = || Ok(vec!["a".to_owned()]);
        places(&["any", "a=z1:1"]).unwrap().check(names).unwrap();
        let failure = places(&["b*=any"]).unwrap().check(names).unwrap_err();
        assert_eq!(failure.code().to_string(), "CC-R61");
        places(&["any"]).unwrap().check(|| panic!("names are not needed")).unwrap();
    }

    #[test]
    fn comes_back_from_a_journal() {
        let places = places(&["any", "team/*=z1:1,z2:1"]).unwrap();
        let json = serde_json::to_string(&places).unwrap();
        assert_eq!(json, r#"[{"place":"any"},{"pattern":"team/*","place":"z1:1,z2:1"}]"#);
        assert_eq!(serde_json::from_str::<Places>(&json).unwrap(), places);
    }
}
