//! How many copies of each range go to the nodes of which zone, as CouchDB writes it: `zoneA:2,zoneB:1`.
//!
//! Source: `mem3.erl` (`decode_placement_string/1`, `choose_shards/2`), `chttpd_db.erl` (`parse_shards_opt/3`).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Zones with the number of copies that each of them gets; at least one zone, each of them once, each with at least one copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ZoneCopies {
    zones: Vec<(String, usize)>,
}

impl ZoneCopies {
    /// Reads CouchDB's form. As there, spaces belong to the name of a zone, and empty parts do not count.
    ///
    /// The error says what is wrong, for example `"z1" is not ZONE:COPIES`. Two things are errors that CouchDB takes: a zone with
    /// no copy, which gets one there, and a zone that is given twice, where a node can be chosen twice for the same range.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut zones: Vec<(String, usize)> = Vec::new();
        for rule in text.split(',').filter(|rule| !rule.is_empty()) {
            let parts: Vec<&str> = rule.split(':').filter(|part| !part.is_empty()).collect();
            let wrong = || format!("{rule:?} is not ZONE:COPIES");
            let [zone, copies] = parts[..] else { return Err(wrong()) };
            // Erlang's list_to_integer takes a sign.
            let digits = copies.strip_prefix('+').unwrap_or(copies);
            let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            let copies = digits.parse::<u16>().ok().filter(|_| is_number).ok_or_else(wrong)?;
            if copies == 0 {
                return Err(format!("{rule:?} asks for no copy"));
            }
            if zones.iter().any(|(other, _)| other == zone) {
                return Err(format!("it names the zone {zone:?} twice"));
            }
            zones.push((zone.to_owned(), usize::from(copies)));
        }
        if zones.is_empty() { Err("it names no zone".to_owned()) } else { Ok(Self { zones }) }
    }

    /// The zones, each with its number of copies.
    pub fn iter(&self) -> impl Iterator<Item = (&str, usize)> {
        self.zones.iter().map(|(zone, copies)| (zone.as_str(), *copies))
    }

    /// The number of copies of each range.
    pub fn copies(&self) -> usize {
        self.zones.iter().map(|(_, copies)| copies).sum()
    }

    /// Whether both demand the same; the order of the zones means nothing.
    pub fn demands_same(&self, other: &Self) -> bool {
        let sorted = |zones: &Self| -> BTreeMap<String, usize> { zones.zones.iter().cloned().collect() };
        sorted(self) == sorted(other)
    }

    /// Why these nodes cannot meet it, if they cannot. `zone_of` gives the zone of each node that may hold copies.
    pub fn unmet<'n>(
        &self,
        nodes: &(impl Iterator<Item = (&'n str, Option<&'n str>)> + Clone),
    ) -> Option<String> {
        self.iter().find_map(|(zone, copies)| {
            let members: Vec<&str> =
                nodes.clone().filter(|(_, of)| *of == Some(zone)).map(|(node, _)| node).collect();
            match members.len() {
                n if n >= copies => None,
                0 => Some(format!("no node is in the zone {zone:?}")),
                n => Some(format!(
                    "the zone {zone:?} has {n} of the {copies} nodes that {copies} copies need: {}",
                    members.join(", ")
                )),
            }
        })
    }
}

impl fmt::Display for ZoneCopies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (zone, copies)) in self.zones.iter().enumerate() {
            write!(f, "{}{zone}:{copies}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl TryFrom<String> for ZoneCopies {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<ZoneCopies> for String {
    fn from(zones: ZoneCopies) -> Self {
        zones.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_as_couchdb_reads_it() {
        // Each was set on CouchDB 3.5.0, which created a database with it.
        for (text, copies) in [("z1:1,z2:1", 2), ("z1:3,z2:1", 4), ("z1:1,,z2::1", 2), ("z1:+1", 1)] {
            assert_eq!(ZoneCopies::parse(text).unwrap().copies(), copies, "{text}");
        }
        let zones = ZoneCopies::parse("a b:2, c:1").unwrap();
        assert_eq!(zones.iter().collect::<Vec<_>>(), [("a b", 2), (" c", 1)]);
        assert_eq!(zones.to_string(), "a b:2, c:1");
    }

    #[test]
    fn what_couchdb_cannot_use_is_an_error() {
        for text in ["", ",", "z1", "z1:", ":1", "z1:x", "z1: 1", "z1:-1", "z1:1:2", "z1:70000"] {
            assert!(ZoneCopies::parse(text).is_err(), "{text:?}");
        }
        assert!(ZoneCopies::parse("z1:0,z2:1").unwrap_err().contains("no copy"));
        assert!(ZoneCopies::parse("z1:1,z1:1").unwrap_err().contains("twice"));
    }

    #[test]
    fn the_order_of_zones_means_nothing() {
        let zones = |text| ZoneCopies::parse(text).unwrap();
        assert!(zones("a:1,b:2").demands_same(&zones("b:2,a:1")));
        assert!(!zones("a:1,b:2").demands_same(&zones("a:2,b:1")));
        assert!(!zones("a:1").demands_same(&zones("a:1,b:1")));
    }

    #[test]
    fn what_is_missing_is_named() {
        let nodes = [("n1", Some("a")), ("n2", Some("a")), ("n3", Some("b")), ("n4", None)];
        let unmet = |text| ZoneCopies::parse(text).unwrap().unmet(&nodes.iter().copied());
        assert_eq!(unmet("a:2,b:1"), None);
        assert_eq!(unmet("a:1,c:1").unwrap(), "no node is in the zone \"c\"");
        let few = unmet("a:3").unwrap();
        assert!(few.contains("has 2 of the 3 nodes") && few.ends_with("n1, n2"), "{few}");
    }

    #[test]
    fn kept_in_json_as_text() {
        let zones = ZoneCopies::parse("a:1,b:2").unwrap();
        let json = serde_json::to_string(&zones).unwrap();
        assert_eq!(json, "\"a:1,b:2\"");
        assert_eq!(serde_json::from_str::<ZoneCopies>(&json).unwrap(), zones);
        assert!(serde_json::from_str::<ZoneCopies>("\"a\"").is_err());
    }
}
