//! The documents of a database.

use std::io::Write;

use couchfile::data_dir::document_hash;
use couchfile::document::Encoding;
use couchfile::term::Encoder;
use couchfile::writer::{NewAttachment, NewBody, NewDocument, NewRevision};

use crate::plan::{Attachments, Plan};
use crate::random::{Random, mix};
use crate::words::Words;

/// Level at which CouchDB gzips attachments.
const GZIP_LEVEL: u32 = 8;
/// What some documents say they are.
const TYPES: [&str; 4] = ["note", "order", "invoice", "message"];
/// Bytes of JSON of a document besides its text, on average.
const OVERHEAD: u64 = 96;

/// Makes the documents of one database, in any order and any number of times.
#[derive(Debug)]
pub struct Documents<'a> {
    words: &'a Words,
    random: Random,
    first_id: u64,
    size: u64,
    revisions: u64,
    attachments: Attachments,
}

impl<'a> Documents<'a> {
    pub(crate) fn new(plan: &Plan, words: &'a Words, database: &str) -> Self {
        let mut random = Random::new(plan.seed, &["documents", database]);
        let first_id = random.next();
        let Plan { doc_size: size, revisions, attachments, .. } = *plan;
        Self { words, random, first_id, size, revisions, attachments }
    }

    /// Id of document number `i`; no two have the same.
    pub fn id(&self, i: u64) -> String {
        format!("{:016x}", mix(self.first_id.wrapping_add(i)))
    }

    /// Hash of an id: tells the range that holds the document.
    pub fn hash(id: &str) -> u32 {
        document_hash(id.as_bytes(), false)
    }

    /// Document number `i`, whose id is `id`.
    pub fn document(&self, i: u64, id: &str) -> NewDocument {
        let mut random = self.random.nth(i);
        let term = self.body(i, &mut random);
        let attachments =
            (0..self.attachments.per_document).map(|n| self.attachment(n, &mut random)).collect();
        let body = NewBody { term, deleted: false, attachments };
        if self.revisions <= 1 {
            return NewDocument::first(id.as_bytes(), body);
        }
        let before = self.revisions as usize - 1;
        let ancestors = (0..before).map(|number| NewRevision {
            generation: number as u64 + 1,
            id: random.bytes(16),
            parent: number.checked_sub(1),
            body: None,
        });
        let mut document = NewDocument { id: id.as_bytes().to_vec(), revisions: ancestors.collect() };
        document.edit(before - 1, body).expect("an ancestor was made");
        document
    }

    /// An object such as `{"type":"note","n":7,"created":"2024-05-06T07:08:09Z","tags":["ab","cde"],"text":"…"}`.
    fn body(&self, i: u64, random: &mut Random) -> Vec<u8> {
        let text_len = random.about(self.size).saturating_sub(OVERHEAD) as usize;
        let mut body = Encoder::new();
        body.tuple(1).list(5);
        body.tuple(2).binary(b"type").binary(TYPES[random.below(TYPES.len() as u64) as usize].as_bytes());
        body.tuple(2).binary(b"n").uint(i);
        body.tuple(2).binary(b"created").binary(date(random).as_bytes());
        body.tuple(2).binary(b"tags").list(2);
        body.binary(self.words.word(random)).binary(self.words.word(random)).nil();
        body.tuple(2).binary(b"text").binary(&self.words.text(random, text_len));
        body.nil();
        body.finish()
    }

    /// Attachment number `n` of a document: text for even numbers, else noise such as an image is.
    fn attachment(&self, n: usize, random: &mut Random) -> NewAttachment {
        let len = random.about(self.attachments.size) as usize;
        if n.is_multiple_of(2) {
            let text = self.words.text(random, len);
            NewAttachment {
                name: format!("text-{n}.txt"),
                content_type: "text/plain".into(),
                original_len: text.len() as u64,
                data: gzip(&text),
                revpos: self.revisions,
                encoding: Encoding::Gzip,
            }
        } else {
            NewAttachment {
                name: format!("image-{n}.jpeg"),
                content_type: "image/jpeg".into(),
                original_len: len as u64,
                data: random.bytes(len),
                revpos: self.revisions,
                encoding: Encoding::Identity,
            }
        }
    }
}

/// A moment of some year.
fn date(random: &mut Random) -> String {
    let (year, month, day) = (2015 + random.below(10), 1 + random.below(12), 1 + random.below(28));
    let seconds = random.below(86_400);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL));
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a vector takes every byte")
}

#[cfg(test)]
mod tests {
    use super::*;
    use couchfile::ejson::write_json;
    use couchfile::term::Decoder;

    fn plan(doc_size: u64) -> Plan {
        Plan {
            databases: 1,
            empty: 0,
            docs: 1000,
            doc_size,
            revisions: 1,
            q: 1,
            copies: 1,
            nodes: vec!["a@b".into()],
            seed: 1,
            attachments: Attachments { per_document: 2, size: 1000 },
        }
    }

    fn json(document: &NewDocument) -> Vec<u8> {
        let mut text = Vec::new();
        let body = document.revisions[0].body.as_ref().unwrap();
        write_json(&mut Decoder::new(&body.term), &mut text).unwrap();
        text
    }

    #[test]
    fn sizes_are_what_was_asked_for() {
        for size in [300, 8192] {
            let words = Words::new(1);
            let plan = plan(size);
            let documents = Documents::new(&plan, &words, "a");
            let total: usize = (0..2000).map(|i| json(&documents.document(i, &documents.id(i))).len()).sum();
            let mean = total as f64 / 2000.0;
            assert!((mean / size as f64 - 1.0).abs() < 0.03, "{mean} instead of {size}");
        }
    }

    #[test]
    fn a_document_is_the_same_every_time() {
        let words = Words::new(1);
        let plan = plan(200);
        let make = |database| {
            let documents = Documents::new(&plan, &words, database);
            let document = documents.document(3, &documents.id(3));
            (document.id.clone(), document.revisions[0].id.clone(), json(&document))
        };
        assert_eq!(make("a"), make("a"));
        assert_ne!(make("a"), make("b"));
    }

    #[test]
    fn only_the_last_of_many_revisions_has_a_body() {
        let words = Words::new(1);
        let plan = Plan { revisions: 3, ..plan(300) };
        let document = Documents::new(&plan, &words, "a").document(0, "x");
        let known: Vec<_> =
            document.revisions.iter().map(|rev| (rev.generation, rev.parent, rev.body.is_some())).collect();
        assert_eq!(known, [(1, None, false), (2, Some(0), false), (3, Some(1), true)]);
        assert!(document.revisions.iter().all(|rev| rev.id.len() == 16));
    }

    #[test]
    fn attachments_of_both_kinds() {
        let words = Words::new(1);
        let documents = Documents::new(&plan(200), &words, "a").document(0, "x");
        let attachments = &documents.revisions[0].body.as_ref().unwrap().attachments;
        assert_eq!(attachments.len(), 2);
        assert!(attachments[0].original_len > attachments[0].data.len() as u64);
        assert_eq!(attachments[1].original_len, attachments[1].data.len() as u64);
    }
}
