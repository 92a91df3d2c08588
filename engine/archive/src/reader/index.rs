//! Where the entries of a manifest block lie, kept for callers that look names up one by one.

use std::sync::{Arc, Mutex};

use outcome::Lock;

use super::recent::Recent;
use crate::entry::{Entry, Location};
use crate::error::Result;
use crate::facts::Facts;
use crate::names::METADATA;

/// The entries of one block of the manifest, as much of them as it takes to read them: a third of the bytes of their lines.
pub(super) struct BlockIndex {
    /// What all names but that of `metadata.yaml` begin with.
    prefix: String,
    /// What comes after it, of one name after the other.
    names: String,
    /// In the order of the names.
    rows: Vec<Row>,
}

struct Row {
    /// Where its name ends in `names`.
    name_end: usize,
    size: u64,
    blake3: blake3::Hash,
    at: Location,
}

impl BlockIndex {
    /// Takes the entries of a block. Their names ascend, which the caller has checked; `metadata.yaml` is left out.
    pub(super) fn new(entries: impl Iterator<Item = Result<Entry>>) -> Result<Self> {
        let entries = entries.filter(|entry| !entry.as_ref().is_ok_and(|entry| entry.name == METADATA));
        let entries = entries.collect::<Result<Vec<_>>>()?;
        // Names ascend, so what the first and the last have in common, all have.
        let prefix = match (entries.first(), entries.last()) {
            (Some(first), Some(last)) => common_prefix(&first.name, &last.name).to_owned(),
            _ => String::new(),
        };
        let mut names = String::with_capacity(entries.iter().map(|e| e.name.len() - prefix.len()).sum());
        let mut rows = Vec::with_capacity(entries.len());
        for entry in entries {
            names.push_str(entry.name.get(prefix.len()..).unwrap_or_default());
            let Entry { size, blake3, at, .. } = entry;
            rows.push(Row { name_end: names.len(), size, blake3, at });
        }
        Ok(Self { prefix, names, rows })
    }

    /// The entry of this name, but for its facts, which are not kept.
    pub(super) fn find(&self, name: &str) -> Option<Entry> {
        let rest = name.strip_prefix(&self.prefix)?;
        let name_of = |number: usize| {
            let start = number.checked_sub(1).map_or(0, |before| self.rows[before].name_end);
            self.names.get(start..self.rows[number].name_end).unwrap_or_default()
        };
        let (mut low, mut high) = (0, self.rows.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match name_of(middle).cmp(rest) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    let Row { size, blake3, ref at, .. } = self.rows[middle];
                    return Some(Entry {
                        name: name.to_owned(),
                        size,
                        blake3,
                        at: at.clone(),
                        facts: Facts::Other,
                    });
                }
            }
        }
        None
    }

    /// Bytes of memory that it takes.
    fn bytes(&self) -> usize {
        let chunks = |row: &Row| match &row.at {
            Location::Packed { .. } => 0,
            Location::Large { chunks, .. } => chunks.capacity() * size_of::<u32>(),
        };
        size_of::<Self>()
            + self.prefix.capacity()
            + self.names.capacity()
            + self.rows.capacity() * size_of::<Row>()
            + self.rows.iter().map(chunks).sum::<usize>()
    }
}

/// What both begin with.
fn common_prefix<'a>(one: &'a str, other: &str) -> &'a str {
    let end = one.char_indices().zip(other.chars()).find(|((_, a), b)| a != b).map(|((at, _), _)| at);
    let shorter = one.len().min(other.len());
    one.get(..end.unwrap_or(shorter)).unwrap_or_default()
}

/// The indexes of the blocks that were used last, by the numbers of the blocks.
pub(super) struct Indexes(Mutex<Recent<usize, Arc<BlockIndex>>>);

impl Indexes {
    /// Keeps up to `capacity` bytes.
    pub(super) fn new(capacity: usize) -> Self {
        Self(Mutex::new(Recent::new(capacity)))
    }

    /// The index of a block; `make` makes it if it is not kept.
    pub(super) fn get(
        &self,
        block: usize,
        make: impl FnOnce() -> Result<BlockIndex>,
    ) -> Result<Arc<BlockIndex>> {
        let recent = || self.0.locked();
        let kept = recent().get(&block).cloned();
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let index = Arc::new(make()?);
        let gone = recent().put(block, Arc::clone(&index), index.bytes());
        drop(gone);
        Ok(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, at: Location) -> Entry {
        Entry {
            name: name.into(),
            size: name.len() as u64,
            blake3: blake3::hash(b"x"),
            at,
            facts: Facts::Other,
        }
    }

    fn index(names: &[&str]) -> BlockIndex {
        let packed = |member| Location::Packed { member, length: 9, skip: 512 };
        let entries = names.iter().zip(0..).map(|(name, number)| Ok(entry(name, packed(number))));
        BlockIndex::new(entries).unwrap()
    }

    #[test]
    fn every_name_is_found_and_no_other() {
        for names in [
            &["data/shards/a", "data/shards/ab", "data/shards/b", "data/shards/\u{e9}", "data/shards/\u{ea}"]
                [..],
            &["config,n,x", "data/_dbs.couch", "data/shards/x"],
            &["data/shards/only"],
            &[],
        ] {
            let index = index(names);
            for (name, number) in names.iter().zip(0..) {
                let found = index.find(name).unwrap();
                assert_eq!(found, entry(name, Location::Packed { member: number, length: 9, skip: 512 }));
                let mut shorter = (*name).to_owned();
                shorter.pop();
                for other in [&*shorter, &format!("{name}x"), &format!("x{name}")] {
                    assert_eq!(index.find(other).is_some(), names.contains(&other), "{other}");
                }
            }
            assert!(index.find("").is_none());
        }
    }

    #[test]
    fn metadata_is_left_out_and_an_error_is_given_on() {
        let location = Location::Packed { member: 0, length: 9, skip: 512 };
        let both = [entry(METADATA, location.clone()), entry("data/_dbs.couch", location)].map(Ok);
        let index = BlockIndex::new(both.into_iter()).unwrap();
        assert!(index.find(METADATA).is_none());
        assert!(index.find("data/_dbs.couch").is_some());
        let failed = crate::error::ArchiveError::inconsistent("a", "b");
        assert!(BlockIndex::new([Err(failed)].into_iter()).is_err());
    }

    #[test]
    fn those_used_last_are_kept_within_the_bytes() {
        let make = || Ok(index(&["data/shards/a", "data/shards/b"]));
        let known = || -> Result<BlockIndex> { panic!("it is not kept") };
        let indexes = Indexes::new(3 * make().unwrap().bytes());
        for block in 0..3 {
            indexes.get(block, make).unwrap();
        }
        indexes.get(0, known).unwrap();
        indexes.get(3, make).unwrap();
        for block in [0, 2, 3] {
            indexes.get(block, known).unwrap();
        }
        let mut made = false;
        indexes
            .get(1, || {
                made = true;
                make()
            })
            .unwrap();
        assert!(made, "the one used longest ago went");
        let large = Location::Large { start: 0, header: 9, chunks: vec![1; 10_000] };
        indexes.get(4, || BlockIndex::new([Ok(entry("data/shards/l", large))].into_iter())).unwrap();
        assert_eq!(indexes.0.lock().unwrap().bytes(), 0, "chunks count, and nothing else is left");
    }
}
