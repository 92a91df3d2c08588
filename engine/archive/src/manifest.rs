//! The manifest: one JSON line per entry, cut into blocks that decompress on their own.

use crate::Facts;
use crate::gzip::{Deflater, Kind};

/// Size in bytes from which on a block is closed.
const BLOCK_SIZE: usize = 256 << 10;

/// A manifest line whose place in the archive is still to be filled in.
#[derive(Debug)]
pub(crate) struct PendingLine {
    text: Vec<u8>,
    /// Where the place belongs in `text`.
    split: usize,
    name_length: usize,
    /// Documents of a shard; zero for anything else, and for copied lines.
    documents: Documents,
}

/// Documents of all shards of an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Documents {
    /// Documents that exist.
    pub live: u64,
    /// Documents that are deleted.
    pub deleted: u64,
}

impl PendingLine {
    /// Everything but the place.
    pub(crate) fn new(
        name: &str,
        size: u64,
        hash: &blake3::Hash,
        facts: &Facts,
    ) -> Result<Self, serde_json::Error> {
        let mut text = Vec::with_capacity(name.len() + 512);
        text.extend_from_slice(b"{\"name\":");
        serde_json::to_writer(&mut text, name)?;
        let name_length = text.len();
        text.extend_from_slice(b",\"size\":");
        text.extend_from_slice(size.to_string().as_bytes());
        text.extend_from_slice(b",\"blake3\":\"");
        text.extend_from_slice(hash.to_hex().as_bytes());
        text.extend_from_slice(b"\",\"at\":");
        let split = text.len();
        serde_json::to_writer(&mut text, facts)?;
        // The facts are an object; its members go on where the place ends.
        if let Some(brace) = text.get_mut(split) {
            *brace = b',';
        }
        text.push(b'\n');
        text.shrink_to_fit();
        let documents = match *facts {
            Facts::Shard { docs, deleted, .. } => Documents { live: docs, deleted },
            _ => Documents::default(),
        };
        Ok(Self { text, split, name_length, documents })
    }

    /// A line of another archive with a new place. Members that this version does not know stay in it.
    ///
    /// Fails if it is not a line of a manifest.
    pub(crate) fn copied(line: &[u8]) -> Result<Self, serde_json::Error> {
        let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(line)?;
        let mut text = Vec::with_capacity(line.len());
        text.extend_from_slice(b"{\"name\":");
        serde_json::to_writer(&mut text, &fields.get("name"))?;
        let name_length = text.len();
        let mut split = None;
        for (key, value) in fields.iter().filter(|(key, _)| *key != "name") {
            text.push(b',');
            serde_json::to_writer(&mut text, key)?;
            text.push(b':');
            if key == "at" {
                split = Some(text.len());
            } else {
                serde_json::to_writer(&mut text, value)?;
            }
        }
        let split = split.unwrap_or_else(|| {
            text.extend_from_slice(b",\"at\":");
            text.len()
        });
        text.extend_from_slice(b"}\n");
        text.shrink_to_fit();
        Ok(Self { text, split, name_length, documents: Documents::default() })
    }

    fn name_json(&self) -> &[u8] {
        &self.text[b"{\"name\":".len()..self.name_length]
    }
}

/// A closed block, compressed.
pub(crate) struct ClosedBlock {
    pub(crate) first: String,
    pub(crate) member: Vec<u8>,
    pub(crate) size: u64,
}

/// Takes lines and keeps compressed blocks.
#[derive(Default)]
pub(crate) struct ManifestBuilder {
    open: Vec<u8>,
    first: String,
    pub(crate) closed: Vec<ClosedBlock>,
    pub(crate) entries: u64,
    pub(crate) documents: Documents,
    hasher: blake3::Hasher,
}

impl ManifestBuilder {
    /// Adds a line; `at` is the place as JSON.
    pub(crate) fn push(&mut self, line: &PendingLine, at: &[u8], deflater: &mut Deflater) {
        if self.open.is_empty() {
            self.first = serde_json::from_slice(line.name_json()).unwrap_or_default();
        }
        let (head, tail) = line.text.split_at(line.split);
        self.open.extend_from_slice(head);
        self.open.extend_from_slice(at);
        self.open.extend_from_slice(tail);
        self.entries += 1;
        self.documents.live = self.documents.live.saturating_add(line.documents.live);
        self.documents.deleted = self.documents.deleted.saturating_add(line.documents.deleted);
        if self.open.len() >= BLOCK_SIZE {
            self.close(deflater);
        }
    }

    /// Closes the last block and gives the hash of all of them.
    pub(crate) fn finish(&mut self, deflater: &mut Deflater) -> blake3::Hash {
        self.close(deflater);
        self.hasher.finalize()
    }

    fn close(&mut self, deflater: &mut Deflater) {
        if self.open.is_empty() {
            return;
        }
        self.hasher.update(&self.open);
        self.closed.push(ClosedBlock {
            first: std::mem::take(&mut self.first),
            member: deflater.member(&self.open, Kind::Packed),
            size: self.open.len() as u64,
        });
        self.open.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Entry, Facts, Location};

    #[test]
    fn lines_are_what_serde_makes_of_an_entry() {
        let entry = Entry {
            name: "data/shards/\"odd\"".into(),
            size: 12,
            blake3: blake3::hash(b"x"),
            at: Location::Packed { member: 1, length: 2, skip: 3 },
            facts: Facts::ShardMaps { node: None, maps: 3, uuid: Some("u".into()), seq: 4, header: 5 },
        };
        let line = PendingLine::new(&entry.name, entry.size, &entry.blake3, &entry.facts).unwrap();
        let mut builder = ManifestBuilder::default();
        builder.push(&line, &serde_json::to_vec(&entry.at).unwrap(), &mut Deflater::new(1));
        assert_eq!(builder.first, entry.name);
        assert_eq!(builder.open, (serde_json::to_string(&entry).unwrap() + "\n").as_bytes());
    }

    #[test]
    fn a_copied_line_differs_in_the_place_alone() {
        let old = br#"{"name":"data/_dbs.couch","size":5,"blake3":"00","at":{"member":1,"length":2,"skip":3},"kind":"of-tomorrow","list":[1,{"a":null}]}"#;
        let line = PendingLine::copied(old).unwrap();
        let mut builder = ManifestBuilder::default();
        builder.push(&line, br#"{"start":9}"#, &mut Deflater::new(1));
        assert_eq!(builder.first, "data/_dbs.couch");
        let old = std::str::from_utf8(old).unwrap();
        let new = old.replace(r#"{"member":1,"length":2,"skip":3}"#, r#"{"start":9}"#) + "\n";
        assert_eq!(std::str::from_utf8(&builder.open).unwrap(), new);
        assert!(PendingLine::copied(b"[]").is_err());
    }
}
