//! An entry as its manifest line describes it.

use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::gzip::longest_member;
use crate::tar::encode::header_length;
use crate::tar::padding;

/// Largest entry in bytes: its list of chunks still fits into a manifest block.
pub(crate) const MAX_ENTRY: u64 = 8 << 40;

/// What a packed member may hold beyond one chunk: the headers and the padding of its only entry.
pub(crate) const PACK_SLACK: u64 = 16 << 10;

/// One file in an archive. Serialises to its line in the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Name, a relative path.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// BLAKE3 of the content.
    #[serde(with = "hex_hash")]
    pub blake3: blake3::Hash,
    /// Where its content lies in the archive file.
    pub at: Location,
    /// What it is.
    #[serde(flatten)]
    pub facts: Facts,
}

/// Where an entry lies in the archive file. All offsets and lengths are in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Location {
    /// In one gzip member, which it may share with others.
    Packed {
        /// Offset of the member in the file.
        member: u64,
        /// Length of the member in the file.
        length: u64,
        /// Offset of the entry's content in the decompressed member. Its tar headers stand right before.
        skip: u64,
    },
    /// In members of its own: one with its tar headers, then one per chunk, one after the other.
    Large {
        /// Offset of the first member, which holds the headers, in the archive file.
        start: u64,
        /// Length of that member.
        header: u64,
        /// Length of the member of each chunk.
        chunks: Vec<u32>,
    },
}

impl Entry {
    /// Says what in this line cannot be true of an archive whose data members end at `data_end`.
    pub(crate) fn check(&self, chunk_size: u64, data_end: u64) -> Result<(), &'static str> {
        const BEYOND: &str = "it lies beyond the data";
        if self.size > MAX_ENTRY {
            return Err("it claims an absurd size");
        }
        match &self.at {
            Location::Packed { member, length, skip } => {
                if self.size > chunk_size {
                    return Err("it is too large for the member it claims");
                }
                if *length > longest_member(chunk_size + PACK_SLACK) {
                    return Err("its member claims an absurd length");
                }
                if *skip < header_length(&self.name) as u64 {
                    return Err("its headers do not fit");
                }
                let end = skip.checked_add(self.size + padding(self.size) as u64);
                if end.is_none_or(|end| end > chunk_size + PACK_SLACK) {
                    return Err("it lies beyond its member");
                }
                if member.checked_add(*length).is_none_or(|end| end > data_end) {
                    return Err(BEYOND);
                }
            }
            Location::Large { start, header, chunks } => {
                if self.size <= chunk_size {
                    return Err("it is too small for members of its own");
                }
                if chunks.len() as u64 != self.size.div_ceil(chunk_size) {
                    return Err("the number of its chunks does not fit its size");
                }
                if *header > longest_member(header_length(&self.name) as u64)
                    || chunks.iter().any(|length| u64::from(*length) > longest_member(chunk_size + 512))
                {
                    return Err("one of its members claims an absurd length");
                }
                let length: u64 = chunks.iter().map(|length| u64::from(*length)).sum();
                let end = start.checked_add(*header).and_then(|end| end.checked_add(length));
                if end.is_none_or(|end| end > data_end) {
                    return Err(BEYOND);
                }
            }
        }
        Ok(())
    }
}

/// The hash as 64 hexadecimal digits.
mod hex_hash {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(hash: &blake3::Hash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hash.to_hex())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<blake3::Hash, D::Error> {
        let digits = std::borrow::Cow::<str>::deserialize(deserializer)?;
        blake3::Hash::from_hex(digits.as_bytes()).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(size: u64, member: u64, length: u64, skip: u64) -> Entry {
        Entry {
            name: "data/_dbs.couch".into(),
            size,
            blake3: blake3::hash(b""),
            at: Location::Packed { member, length, skip },
            facts: Facts::Other,
        }
    }

    fn large(size: u64, start: u64, header: u64, chunks: &[u32]) -> Entry {
        Entry { at: Location::Large { start, header, chunks: chunks.to_vec() }, ..packed(size, 0, 0, 0) }
    }

    #[test]
    fn impossible_places_are_seen() {
        let chunk = 1 << 20;
        assert_eq!(packed(5, 0, 100, 512).check(chunk, 100), Ok(()));
        assert_eq!(large(chunk + 1, 10, 20, &[30, 40]).check(chunk, 100), Ok(()));
        for entry in [
            packed(5, 1, 100, 512),
            packed(5, u64::MAX, 100, 512),
            packed(5, 0, 100, 511),
            packed(5, 0, 100, u64::MAX),
            packed(5, 0, 100, chunk + PACK_SLACK),
            packed(chunk + 1, 0, 100, 512),
            packed(u64::MAX, 0, 100, 512),
            packed(5, 0, u64::MAX, 512),
            large(chunk, 10, 20, &[30]),
            large(chunk + 1, 10, 20, &[30]),
            large(chunk + 1, 10, 20, &[30, 41]),
            large(chunk + 1, u64::MAX, 20, &[30, 40]),
            large(chunk + 1, 10, u64::MAX, &[30, 40]),
            large(chunk + 1, 10, 20, &[30, u32::MAX]),
            large(u64::MAX, 10, 20, &[30, 40]),
        ] {
            assert!(entry.check(chunk, 100).is_err(), "{entry:?}");
        }
    }

    #[test]
    fn a_line_is_as_the_format_draws_it() {
        let entry = Entry {
            facts: Facts::View {
                db: "a/b".into(),
                range: "00000000-ffffffff".into(),
                suffix: ".1".into(),
                signature: "ab".into(),
                node: None,
                seq: 3,
                purge_seq: 0,
            },
            ..packed(5, 7, 100, 512)
        };
        let line = serde_json::to_string(&entry).unwrap();
        assert_eq!(
            line,
            format!(
                r#"{{"name":"data/_dbs.couch","size":5,"blake3":"{}","at":{{"member":7,"length":100,"skip":512}},"kind":"view","db":"a/b","range":"00000000-ffffffff","suffix":".1","signature":"ab","seq":3,"purge_seq":0}}"#,
                blake3::hash(b"")
            )
        );
        assert_eq!(serde_json::from_str::<Entry>(&line).unwrap(), entry);
        let unknown = line.replace(r#""kind":"view""#, r#""kind":"of-tomorrow""#);
        assert_eq!(serde_json::from_str::<Entry>(&unknown).unwrap().facts, Facts::Other);
    }
}
