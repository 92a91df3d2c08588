//! A line of the manifest, read fast.
//!
//! An archive of hundreds of thousands of files has as many lines. What serde derives for an [`Entry`] keeps every field
//! aside until it knows which kind of entry it is, which takes several times as long as to read all fields that any kind
//! has, as is done here. Whatever is not as expected is left to the derived way.

use std::borrow::Cow;

use serde::Deserialize;

use crate::entry::{Entry, Location};
use crate::facts::Facts;

/// All fields that any kind of entry has.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    size: u64,
    #[serde(borrow)]
    blake3: &'a str,
    at: Place,
    #[serde(borrow)]
    kind: &'a str,
    db: Option<String>,
    range: Option<String>,
    suffix: Option<String>,
    signature: Option<String>,
    node: Option<String>,
    uuid: Option<String>,
    maps: Option<u64>,
    seq: Option<u64>,
    purge_seq: Option<u64>,
    docs: Option<u64>,
    deleted: Option<u64>,
    header: Option<u64>,
}

/// All fields that any location has.
#[derive(Deserialize)]
struct Place {
    member: Option<u64>,
    length: Option<u64>,
    skip: Option<u64>,
    start: Option<u64>,
    header: Option<u64>,
    chunks: Option<Vec<u32>>,
}

/// Reads a line of the manifest.
pub(crate) fn read(line: &[u8]) -> Result<Entry, serde_json::Error> {
    match serde_json::from_slice(line).ok().and_then(entry) {
        Some(entry) => Ok(entry),
        None => serde_json::from_slice(line),
    }
}

fn entry(line: Line<'_>) -> Option<Entry> {
    let at = match line.at {
        Place { member: Some(member), length: Some(length), skip: Some(skip), .. } => {
            Location::Packed { member, length, skip }
        }
        Place { start, header, chunks, .. } => {
            Location::Large { start: start?, header: header?, chunks: chunks? }
        }
    };
    let facts = match line.kind {
        "metadata" => Facts::Metadata,
        "shard-maps" => Facts::ShardMaps {
            node: line.node,
            maps: line.maps?,
            uuid: line.uuid,
            seq: line.seq?,
            header: line.header?,
        },
        "shard" => Facts::Shard {
            db: line.db?,
            range: line.range?,
            suffix: line.suffix?,
            node: line.node,
            uuid: line.uuid,
            seq: line.seq?,
            purge_seq: line.purge_seq?,
            docs: line.docs?,
            deleted: line.deleted?,
            header: line.header?,
        },
        "view" => Facts::View {
            db: line.db?,
            range: line.range?,
            suffix: line.suffix?,
            signature: line.signature?,
            node: line.node,
            seq: line.seq?,
            purge_seq: line.purge_seq?,
        },
        _ => return None,
    };
    let blake3 = blake3::Hash::from_hex(line.blake3.as_bytes()).ok()?;
    Some(Entry { name: line.name.into_owned(), size: line.size, blake3, at, facts })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Vec<Facts> {
        let text = |text: &str| text.to_owned();
        vec![
            Facts::Metadata,
            Facts::ShardMaps { node: None, maps: 3, uuid: Some(text("u")), seq: 4, header: 4096 },
            Facts::Shard {
                db: text("a/b+c$(d)\u{e9}\""),
                range: text("00000000-7fffffff"),
                suffix: text(".1"),
                node: Some(text("couchdb@h")),
                uuid: None,
                seq: 9,
                purge_seq: 8,
                docs: 7,
                deleted: 6,
                header: 8192,
            },
            Facts::View {
                db: text("d"),
                range: text("80000000-ffffffff"),
                suffix: text(""),
                signature: text("s"),
                node: None,
                seq: 5,
                purge_seq: 4,
            },
            Facts::Config { node: None, path: text("/etc/vm.args"), secrets: vec![text("[admins] a")] },
            Facts::Other,
        ]
    }

    fn lines() -> Vec<Vec<u8>> {
        let places = [
            Location::Packed { member: 1, length: 2, skip: 512 },
            Location::Large { start: 10, header: 40, chunks: vec![1, 2, u32::MAX] },
        ];
        let mut lines = Vec::new();
        for facts in facts() {
            for at in &places {
                let entry = Entry {
                    name: "data/shards/\"odd\" \u{e9}".into(),
                    size: 12,
                    blake3: blake3::hash(b"x"),
                    at: at.clone(),
                    facts: facts.clone(),
                };
                lines.push(serde_json::to_vec(&entry).unwrap());
            }
        }
        lines
    }

    #[test]
    fn both_ways_read_the_same() {
        for line in lines() {
            let derived: Entry = serde_json::from_slice(&line).unwrap();
            assert_eq!(read(&line).unwrap(), derived);
        }
        for line in lines().iter().take(8) {
            let fast: Line<'_> = serde_json::from_slice(line).unwrap();
            assert!(entry(fast).is_some(), "{} is not read fast", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn a_kind_or_a_field_of_tomorrow_is_passed_over() {
        let line = br#"{"name":"config,x","size":1,"blake3":"HASH","at":{"member":1,"length":2,"skip":512},"kind":"of-tomorrow","docs":"many","db":{}}"#;
        let hash = blake3::hash(b"x").to_hex();
        let line = String::from_utf8_lossy(line).replace("HASH", &hash);
        assert_eq!(read(line.as_bytes()).unwrap().facts, Facts::Other);
        let line =
            line.replace(r#""kind":"of-tomorrow","docs":"many","db":{}"#, r#""kind":"metadata","new":[1]"#);
        assert_eq!(read(line.as_bytes()).unwrap().facts, Facts::Metadata);
    }

    #[test]
    fn both_ways_refuse_the_same() {
        for line in lines() {
            for cut in 0..line.len() {
                assert!(read(&line[..cut]).is_err());
            }
            let text = String::from_utf8(line).unwrap();
            for (from, to) in [
                ("\"size\":12", "\"size\":-1"),
                ("\"blake3\":\"", "\"blake3\":\"0"),
                ("\"seq\":", "\"other\":"),
                ("\"seq\":", "\"seq\":\"1\",\"other\":"),
                ("\"skip\"", "\"start\""),
                ("\"chunks\":[", "\"chunks\":[-1,"),
                ("\"name\":", "\"name\":1,\"x\":"),
                ("\"kind\":", "\"x\":"),
                ("\"db\":", "\"db\":null,\"x\":"),
                ("\"node\":", "\"node\":null,\"x\":"),
            ] {
                let changed = text.replacen(from, to, 1);
                let derived = serde_json::from_str::<Entry>(&changed);
                assert_eq!(read(changed.as_bytes()).ok(), derived.ok(), "{changed}");
            }
        }
    }
}
