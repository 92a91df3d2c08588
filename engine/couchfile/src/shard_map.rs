//! Shard maps: which node holds which range of a database.
//!
//! The document in `_dbs.couch` whose id is the database's name. Only `shard_suffix`, `by_range`, `by_node`, `engine` and
//! `props` are read by CouchDB; `changelog` is history.
//!
//! Source: `fabric_db_create.erl` (`make_document/3`), `mem3_util.erl` (`build_shards_by_node/2`).

use std::collections::BTreeMap;

use crate::data_dir::{Range, ShardName};
use crate::ejson;
use crate::error::TermError;
use crate::json::Json;
use crate::revision;
use crate::ring;
use crate::term::{Decoder, Encoder, ListHead, Token};

/// The shard map of one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardMap {
    /// The database's name.
    pub db: String,
    /// What follows the name in file names: `.` and ten digits, or nothing.
    pub suffix: String,
    /// Nodes that hold a copy of each range, the preferred one first.
    pub by_range: BTreeMap<Range, Vec<String>>,
    /// The encoded value of `engine`, if there is one.
    engine: Option<Vec<u8>>,
    /// The encoded value of `props`, if there is one.
    props: Option<Vec<u8>>,
}

impl ShardMap {
    /// A map with `copies` of each of `q` ranges, placed round robin over `nodes` as CouchDB does.
    pub fn new(db: &str, suffix: &str, q: u32, copies: usize, nodes: &[String]) -> Self {
        let empty_props = Encoder::new().tuple(1).nil().as_bytes().to_vec();
        let mut map = Self {
            db: db.to_owned(),
            suffix: suffix.to_owned(),
            by_range: Range::split(q).into_iter().map(|range| (range, Vec::new())).collect(),
            engine: None,
            props: Some(empty_props),
        };
        map.place(nodes, copies, 0);
        map
    }

    /// Reads a map from its document's body (an encoded term).
    ///
    /// Fails if there are no ranges, a range is malformed or the names are not text.
    pub fn decode(db: &str, body: &mut Decoder<'_>) -> Result<Self, TermError> {
        let mut map = Self {
            db: db.to_owned(),
            suffix: String::new(),
            by_range: BTreeMap::new(),
            engine: None,
            props: None,
        };
        body.tuple_of(1)?;
        body.list_items(|d| -> Result<(), TermError> {
            d.tuple_of(2)?;
            match d.binary()? {
                b"shard_suffix" => map.suffix = suffix(d)?,
                b"by_range" => map.by_range = by_range(d)?,
                b"engine" => map.engine = Some(d.raw()?.to_vec()),
                b"props" => map.props = Some(d.raw()?.to_vec()),
                _ => d.skip()?,
            }
            Ok(())
        })?;
        if map.by_range.is_empty() {
            return Err(body.error("a shard map without ranges"));
        }
        Ok(map)
    }

    /// The body of the document, in CouchDB's order of keys, without version byte.
    pub fn encode(&self) -> Vec<u8> {
        let by_node = self.by_node();
        let mut encoder = Encoder::new();
        let size = 4 + usize::from(self.engine.is_some()) + usize::from(self.props.is_some());
        encoder.tuple(1).list(size);
        encoder.tuple(2).binary(b"shard_suffix").byte_list(self.suffix.as_bytes());

        let mut changes: Vec<(String, &str)> = self
            .by_range
            .iter()
            .flat_map(|(range, nodes)| nodes.iter().map(move |node| (range.to_string(), node.as_str())))
            .collect();
        changes.sort_unstable();
        encoder.tuple(2).binary(b"changelog").list(changes.len());
        for (range, node) in &changes {
            encoder.list(3).binary(b"add").binary(range.as_bytes()).binary(node.as_bytes()).nil();
        }
        end_list(&mut encoder, changes.len());

        encoder.tuple(2).binary(b"by_node").tuple(1).list(by_node.len());
        for (node, ranges) in &by_node {
            encoder.tuple(2).binary(node.as_bytes()).list(ranges.len());
            for range in ranges {
                encoder.binary(range.to_string().as_bytes());
            }
            end_list(&mut encoder, ranges.len());
        }
        end_list(&mut encoder, by_node.len());

        encoder.tuple(2).binary(b"by_range").tuple(1).list(self.by_range.len());
        for (range, nodes) in &self.by_range {
            encoder.tuple(2).binary(range.to_string().as_bytes()).list(nodes.len());
            for node in nodes {
                encoder.binary(node.as_bytes());
            }
            end_list(&mut encoder, nodes.len());
        }
        end_list(&mut encoder, self.by_range.len());
        if let Some(engine) = &self.engine {
            encoder.tuple(2).binary(b"engine").raw(engine);
        }
        if let Some(props) = &self.props {
            encoder.tuple(2).binary(b"props").raw(props);
        }
        encoder.nil();
        encoder.finish()
    }

    /// The revision of a document with this map that follows `parent` (generation and id), as CouchDB computes it.
    pub fn revision(&self, parent: Option<(u64, &[u8])>) -> (u64, [u8; 16]) {
        revision::next(parent, false, &self.encode(), &[])
    }

    /// The ranges that each node holds.
    pub fn by_node(&self) -> BTreeMap<&str, Vec<Range>> {
        let mut by_node: BTreeMap<&str, Vec<Range>> = BTreeMap::new();
        for (range, nodes) in &self.by_range {
            for node in nodes {
                by_node.entry(node).or_default().push(*range);
            }
        }
        by_node
    }

    /// The largest number of nodes that hold a copy of the same documents. Where shards are being split, a node with the parts
    /// of a range and one with all of it are two.
    pub fn copies(&self) -> usize {
        if ring::is_closed(self.by_range.keys()) {
            return self.by_range.values().map(Vec::len).max().unwrap_or(0);
        }
        self.by_range
            .keys()
            .map(|range| self.holders(Range { end: range.begin, ..*range }).len())
            .max()
            .unwrap_or(0)
    }

    /// The nodes that hold something of this range.
    fn holders(&self, range: Range) -> Vec<String> {
        let mut holders = Vec::new();
        // Who holds just this range is preferred.
        let own = self.by_range.get(&range).into_iter().flatten();
        let overlapping = self.by_range.iter().filter(|(other, _)| other.overlaps(range));
        for node in own.chain(overlapping.flat_map(|(_, nodes)| nodes)) {
            if !holders.contains(node) {
                holders.push(node.clone());
            }
        }
        holders
    }

    /// The map of the same database with these ranges; each range on all nodes that hold a part of it.
    #[must_use]
    pub fn with_ranges(&self, ranges: &[Range]) -> Self {
        let by_range = ranges.iter().map(|range| (*range, self.holders(*range))).collect();
        Self { by_range, ..self.clone() }
    }

    /// Names of the shards' files, by range.
    pub fn shards(&self) -> impl Iterator<Item = ShardName> + '_ {
        self.by_range.keys().map(|range| ShardName {
            range: *range,
            db: self.db.clone(),
            suffix: self.suffix.clone(),
        })
    }

    /// Puts `copies` of each range (at most one per node) on `nodes`, round robin from node number `first` on.
    pub fn place(&mut self, nodes: &[String], copies: usize, first: usize) {
        if nodes.is_empty() {
            return;
        }
        let copies = copies.clamp(1, nodes.len());
        for (i, holders) in self.by_range.values_mut().enumerate() {
            // CouchDB's own placement rotates the list of nodes by one for each further range.
            *holders = (0..copies).map(|copy| nodes[(first + i + copy) % nodes.len()].clone()).collect();
        }
    }

    /// Gives the map these properties: an object as a term, without version byte.
    pub fn set_properties(&mut self, object: Vec<u8>) {
        self.props = Some(object);
    }

    /// Whether documents are placed by the part of their id before the first colon.
    pub fn is_partitioned(&self) -> bool {
        self.props_json().is_some_and(|props| props.get("partitioned").and_then(Json::as_bool) == Some(true))
    }

    /// The properties as JSON, if there are any.
    pub fn props_json(&self) -> Option<Json> {
        let mut text = Vec::new();
        ejson::write_json(&mut Decoder::new(self.props.as_deref()?), &mut text).ok()?;
        Json::parse(&text).ok()
    }

    /// Whether the ranges cover the hash space without gap, as CouchDB sees it: whether a [ring](crate::ring) can be made of
    /// them. A database whose shards are being split has both the old and the new ranges.
    pub fn covers_everything(&self) -> bool {
        ring::is_closed(self.by_range.keys()) || ring::of(self.by_range.keys().copied()).is_some()
    }
}

fn end_list(encoder: &mut Encoder, len: usize) {
    if len > 0 {
        encoder.nil();
    }
}

fn text(decoder: &mut Decoder<'_>) -> Result<String, TermError> {
    let bytes = decoder.binary()?;
    String::from_utf8(bytes.to_vec()).map_err(|_| decoder.error("no text"))
}

fn suffix(decoder: &mut Decoder<'_>) -> Result<String, TermError> {
    let bytes = match decoder.peek()? {
        Token::Binary(bytes) => {
            decoder.skip()?;
            bytes
        }
        _ => match decoder.list()? {
            ListHead::Bytes(bytes) => bytes,
            ListHead::Elements(0) => &[],
            ListHead::Elements(_) => return Err(decoder.error("no suffix")),
        },
    };
    let safe = bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if !safe {
        return Err(decoder.error("a suffix that makes no file name"));
    }
    String::from_utf8(bytes.to_vec()).map_err(|_| decoder.error("no suffix"))
}

fn by_range(decoder: &mut Decoder<'_>) -> Result<BTreeMap<Range, Vec<String>>, TermError> {
    let mut ranges = BTreeMap::new();
    decoder.tuple_of(1)?;
    decoder.list_items(|d| -> Result<(), TermError> {
        d.tuple_of(2)?;
        let range = text(d)?.parse().map_err(|_| d.error("a malformed range"))?;
        let mut nodes = Vec::new();
        d.list_items(|d| -> Result<(), TermError> {
            nodes.push(text(d)?);
            Ok(())
        })?;
        ranges.insert(range, nodes);
        Ok(())
    })?;
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(n: usize) -> Vec<String> {
        (1..=n).map(|i| format!("couchdb{i}@127.0.0.{i}")).collect()
    }

    #[test]
    fn comes_back_from_its_body() {
        let map = ShardMap::new("a/b", ".1795355234", 4, 2, &nodes(3));
        let body = map.encode();
        assert_eq!(ShardMap::decode("a/b", &mut Decoder::new(&body)).unwrap(), map);
        assert!(map.covers_everything() && map.copies() == 2);
    }

    #[test]
    fn copies_are_spread_evenly() {
        let map = ShardMap::new("a", "", 8, 3, &nodes(4));
        for ranges in map.by_node().values() {
            assert_eq!(ranges.len(), 6);
        }
        for holders in map.by_range.values() {
            let mut unique = holders.clone();
            unique.sort();
            unique.dedup();
            assert_eq!(unique.len(), 3);
        }
        assert_eq!(ShardMap::new("a", "", 2, 3, &nodes(1)).copies(), 1);
    }

    #[test]
    fn gaps_are_seen() {
        let mut map = ShardMap::new("a", "", 4, 1, &nodes(1));
        let second = *map.by_range.keys().nth(1).unwrap();
        map.by_range.remove(&second);
        assert!(!map.covers_everything());
    }
}
