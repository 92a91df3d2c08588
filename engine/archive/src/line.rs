//! A line of the manifest, read fast.
//!
//! An archive of hundreds of thousands of files has as many lines, and what serde derives for an [`Entry`] takes many times as
//! long as to read a line in the order in which it was written, as is done here. Whatever is not as expected is left to
//! serde.

use crate::entry::{Entry, Location};
use crate::facts::Facts;

/// Reads a line of the manifest.
pub(crate) fn read(line: &[u8]) -> Result<Entry, serde_json::Error> {
    match written(line, Cursor::facts) {
        Some(entry) => Ok(entry),
        None => serde_json::from_slice(line),
    }
}

/// Reads as much of a line as it takes to read its entry; its facts are [`Facts::Other`], and most often not needed.
pub(crate) fn read_place(line: &[u8]) -> Result<Entry, serde_json::Error> {
    match written(line, |_| Some(Facts::Other)) {
        Some(entry) => Ok(entry),
        None => serde_json::from_slice(line).map(|entry| Entry { facts: Facts::Other, ..entry }),
    }
}

/// An entry as [`crate::writer`] writes it: its members in their order, nothing between them, no escapes.
fn written<'a>(line: &'a [u8], facts: impl FnOnce(&mut Cursor<'a>) -> Option<Facts>) -> Option<Entry> {
    let mut line = Cursor(line);
    let name = line.text(b"{\"name\":\"")?.to_owned();
    let size = line.number(b",\"size\":")?;
    let blake3 = blake3::Hash::from_hex(line.text(b",\"blake3\":\"")?).ok()?;
    let at = match line.number(b",\"at\":{\"member\":") {
        Some(member) => Location::Packed {
            member,
            length: line.number(b",\"length\":")?,
            skip: line.number(b",\"skip\":")?,
        },
        None => Location::Large {
            start: line.number(b",\"at\":{\"start\":")?,
            header: line.number(b",\"header\":")?,
            chunks: line.numbers(b",\"chunks\":[")?,
        },
    };
    line.skip(b"},\"kind\":\"")?;
    Some(Entry { name, size, blake3, at, facts: facts(&mut line)? })
}

/// What is left of a line. Everything gives `None` if something else comes, and takes nothing then.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn skip(&mut self, literal: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(literal)?;
        Some(())
    }

    /// A text without escapes after `before`, with its closing quote.
    fn text(&mut self, before: &[u8]) -> Option<&'a str> {
        let rest = self.0.strip_prefix(before)?;
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
        let (text, rest) = rest.split_at_checked(end)?;
        let text = std::str::from_utf8(text).ok()?;
        self.0 = rest.strip_prefix(b"\"")?;
        Some(text)
    }

    fn owned(&mut self, before: &[u8]) -> Option<String> {
        self.text(before).map(str::to_owned)
    }

    /// A whole number after `before`.
    fn number(&mut self, before: &[u8]) -> Option<u64> {
        let rest = self.0.strip_prefix(before)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = rest.split_at_checked(digits)?;
        if number.is_empty() || (number.len() > 1 && number.starts_with(b"0")) {
            return None;
        }
        let add = |sum: u64, digit: &u8| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
        let number = number.iter().try_fold(0, add)?;
        self.0 = rest;
        Some(number)
    }

    /// Numbers with commas between, with the bracket after them.
    fn numbers(&mut self, before: &[u8]) -> Option<Vec<u32>> {
        let mut numbers = Vec::new();
        let mut rest = Cursor(self.0);
        let mut next = rest.number(before);
        while let Some(number) = next {
            numbers.push(u32::try_from(number).ok()?);
            next = rest.number(b",");
        }
        rest.skip(b"]")?;
        self.0 = rest.0;
        Some(numbers)
    }

    /// The kind and all that it has, to the end of the line.
    fn facts(&mut self) -> Option<Facts> {
        let facts = if self.skip(b"shard\"").is_some() {
            Facts::Shard {
                db: self.owned(b",\"db\":\"")?,
                range: self.owned(b",\"range\":\"")?,
                suffix: self.owned(b",\"suffix\":\"")?,
                node: self.owned(b",\"node\":\""),
                uuid: self.owned(b",\"uuid\":\""),
                seq: self.number(b",\"seq\":")?,
                purge_seq: self.number(b",\"purge_seq\":")?,
                docs: self.number(b",\"docs\":")?,
                deleted: self.number(b",\"deleted\":")?,
                header: self.number(b",\"header\":")?,
            }
        } else if self.skip(b"view\"").is_some() {
            Facts::View {
                db: self.owned(b",\"db\":\"")?,
                range: self.owned(b",\"range\":\"")?,
                suffix: self.owned(b",\"suffix\":\"")?,
                signature: self.owned(b",\"signature\":\"")?,
                node: self.owned(b",\"node\":\""),
                seq: self.number(b",\"seq\":")?,
                purge_seq: self.number(b",\"purge_seq\":")?,
            }
        } else {
            return None;
        };
        (self.0 == b"}").then_some(facts)
    }
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
            Facts::Shard {
                db: text("\u{e9}"),
                range: text("80000000-ffffffff"),
                suffix: text(""),
                node: None,
                uuid: Some(text("u")),
                seq: 0,
                purge_seq: u64::MAX,
                docs: 10,
                deleted: 0,
                header: 4096,
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
            for (at, name) in places.iter().flat_map(|at| [(at, "\"odd\" \u{e9}"), (at, "plain \u{e9}")]) {
                let entry = Entry {
                    name: format!("data/shards/{name}"),
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
    }

    #[test]
    fn what_there_is_much_of_is_read_fast() {
        for line in lines() {
            let derived: Entry = serde_json::from_slice(&line).unwrap();
            let is_plain = !line.contains(&b'\\');
            let fast = written(&line, Cursor::facts);
            let many = matches!(derived.facts, Facts::Shard { .. } | Facts::View { .. });
            assert_eq!(fast.is_some(), is_plain && many, "{}", String::from_utf8_lossy(&line));
            assert_eq!(written(&line, |_| Some(Facts::Other)).is_some(), !derived.name.contains('"'));
            let place = read_place(&line).unwrap();
            assert_eq!((place.name, place.size, place.blake3), (derived.name, derived.size, derived.blake3));
            assert_eq!((place.at, place.facts), (derived.at, Facts::Other));
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
                ("\"size\":12", "\"size\":012"),
                ("\"size\":12", "\"size\":12.0"),
                ("\"size\":12", "\"size\":99999999999999999999"),
                ("\"size\":12", "\"size\":"),
                ("\"chunks\":[1", "\"chunks\":[4294967296"),
                ("\"chunks\":[1,", "\"chunks\":[,"),
                ("\"chunks\":[1,2,4294967295]", "\"chunks\":[]"),
                ("plain ", "plain\u{1} "),
                ("plain ", "plain\\u0041 "),
                ("}", "},"),
                (",\"kind\"", ", \"kind\""),
                (",\"seq\"", ",\"size\":1,\"seq\""),
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
