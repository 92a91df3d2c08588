//! The keys of a repository's objects. They sort by time or are random.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::error::{RepositoryError, Result};

/// The object that makes a prefix a repository.
pub const CONFIG: &str = "couchcopy-repository.json";
pub(crate) const KEYS: &str = "keys";
pub(crate) const SNAPSHOTS: &str = "snapshots";
pub(crate) const MANIFESTS: &str = "manifests";
pub(crate) const PACKS: &str = "packs";
pub(crate) const MARKS: &str = "marks";
pub(crate) const INTENTS: &str = "intents";

/// How a time stands in a name: UTC, to the millisecond.
const TIME: &str = "%Y%m%dT%H%M%S%.3fZ";

/// Random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| RepositoryError::Bug("the system gives no random bytes"))?;
    Ok(bytes)
}

/// The name of a backup: `20261129T180000.000Z-0123456789abcdef`. Names are in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotName {
    millisecond: i64,
    random: [u8; 8],
}

impl SnapshotName {
    /// A new name for a backup that begins now.
    pub(crate) fn new(now: Timestamp) -> Result<Self> {
        Ok(Self { millisecond: now.as_millisecond(), random: random()? })
    }

    /// When the backup began, in seconds since 1970.
    pub fn second(&self) -> i64 {
        self.millisecond.div_euclid(1000)
    }

    /// The random part, as 16 hexadecimal digits.
    pub fn random(&self) -> String {
        hex::encode(self.random)
    }

    /// The key of its object.
    pub(crate) fn key(&self) -> String {
        format!("{SNAPSHOTS}/{self}")
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&timed(self.millisecond, self.random))
    }
}

impl FromStr for SnapshotName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (time, random) = text.split_once('-').ok_or(())?;
        let time = jiff::civil::DateTime::strptime(TIME, time).map_err(|_| ())?;
        let millisecond = time.to_zoned(TimeZone::UTC).map_err(|_| ())?.timestamp().as_millisecond();
        let mut bytes = [0; 8];
        hex::decode_to_slice(random, &mut bytes).map_err(|_| ())?;
        let name = Self { millisecond, random: bytes };
        // One name for each: no other spelling.
        if name.to_string() == text { Ok(name) } else { Err(()) }
    }
}

fn timed(millisecond: i64, random: [u8; 8]) -> String {
    let time = Timestamp::from_millisecond(millisecond).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{}-{}", time.to_zoned(TimeZone::UTC).strftime(TIME), hex::encode(random))
}

/// A new key in `folder` that sorts by time.
pub(crate) fn timed_key(folder: &str) -> Result<String> {
    Ok(format!("{folder}/{}", timed(Timestamp::now().as_millisecond(), random()?)))
}

/// The random name of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PackName(pub(crate) [u8; 16]);

impl PackName {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(random()?))
    }

    /// The key of its object: `packs/ab/ab…`, so that directories stay small.
    pub(crate) fn key(&self) -> String {
        let name = self.to_string();
        format!("{PACKS}/{}/{name}", name.get(..2).unwrap_or_default())
    }
}

impl fmt::Display for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for PackName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ())?;
        Ok(Self(bytes))
    }
}

/// A new random key of a manifest.
pub(crate) fn manifest_key() -> Result<String> {
    Ok(format!("{MANIFESTS}/{}", hex::encode(random::<16>()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let name = SnapshotName::new(Timestamp::from_second(1_795_975_200).unwrap()).unwrap();
        assert!(name.to_string().starts_with("20261129T"), "{name}");
        assert_eq!(name.to_string().parse(), Ok(name));
        for text in [
            "",
            "20261129T180000.000Z",
            "20261129T180000.000Z-0123",
            "x-0123456789abcdef",
            "20261129T180000Z-0123456789abcdef",
            "20261129T180000.000Z-0123456789ABCDEF",
        ] {
            assert!(text.parse::<SnapshotName>().is_err(), "{text}");
        }
        let pack = PackName::new().unwrap();
        assert_eq!(pack.to_string().parse(), Ok(pack));
        assert_eq!(pack.key(), format!("packs/{}/{pack}", &pack.to_string()[..2]));
    }
}
