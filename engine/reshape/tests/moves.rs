//! Databases that move from any number of ranges to any other keep everything.

mod common;

use common::{content, database, document, reshaped};
use couchfile::Database;
use couchfile::btree::TreeKind;
use couchfile::data_dir::{Range, document_hash};
use couchfile::document::{Attachment, DocInfo, Encoding};
use couchfile::error::CouchFileError;
use couchfile::writer::{DatabaseWriter, NewBody, NewDocument, NewRevision, OrderedWriter, Settings};
use reshape::OldShard;

#[test]
fn everything_comes_along_and_back() {
    for partitioned in [false, true] {
        for (from, to) in [(8, 1), (1, 8), (3, 5), (5, 3), (16, 2), (1, 1), (7, 100)] {
            let old = database(from, 450, partitioned);
            let expected = content(&old);
            let (new, counts) = reshaped(&old, to, partitioned, 3).unwrap();
            assert_eq!(content(&new), expected, "{from} to {to}");
            assert_eq!((counts.documents, counts.locals, counts.purges), (450, 90, 150));
            let (back, _) = reshaped(&new, from, partitioned, 1).unwrap();
            assert_eq!(content(&back), expected, "{from} to {to} and back");
        }
    }
}

#[test]
fn an_empty_database_gets_other_ranges_too() {
    let (new, counts) = reshaped(&database(2, 0, false), 3, false, 2).unwrap();
    assert_eq!((new.len(), counts.documents), (3, 0));
}

/// The ids of a shard's documents in the order of their sequences.
fn order(shard: &OldShard) -> Vec<Vec<u8>> {
    let mut ids = Vec::new();
    let mut cursor = shard.file.cursor(TreeKind::Seq).unwrap();
    while let Some(entry) = cursor.next_entry().unwrap() {
        ids.push(DocInfo::from_seq_tree(&entry).unwrap().id.to_vec());
    }
    ids
}

#[test]
fn what_was_changed_last_comes_last() {
    let old = database(4, 2000, false);
    let (new, _) = reshaped(&old, 1, false, 1).unwrap();
    let merged = order(&new[0]);
    for shard in &old {
        let mut rest = merged.iter();
        // Of each old shard the documents are in the order that they had there.
        assert!(order(shard).iter().all(|id| rest.any(|other| other == id)));
    }
    // Documents were written one after the other, so each is about where it was.
    let written: Vec<Vec<u8>> = (0..2000).map(|i| document(i, false).id).collect();
    for (i, id) in written.iter().enumerate() {
        let at = merged.iter().position(|other| other == id).unwrap();
        assert!(at.abs_diff(i) < 200, "{i} is at {at}");
    }
    // A range that is a part of an old one keeps the order exactly.
    let (split, _) = reshaped(&old, 8, false, 2).unwrap();
    for shard in &split {
        let of_old = old.iter().find(|old| old.range.overlaps(shard.range)).unwrap();
        let mut expected = order(of_old);
        expected.retain(|id| shard.range.contains(document_hash(id, false)));
        assert_eq!(order(shard), expected);
    }
}

fn whole(file: Vec<u8>) -> Vec<OldShard> {
    let file = Database::open(Box::new(file) as contents::AnySource).unwrap();
    vec![OldShard { name: "old".into(), range: Range::split(1)[0], file }]
}

fn settings() -> Settings {
    Settings { revs_limit: 77, security: Some(security()), ..Settings::new("a".repeat(32), "a@b") }
}

fn security() -> Vec<u8> {
    let security = serde_json::json!({"admins": {"names": ["joe"]}, "members": {}});
    couchfile::ejson::encode_json(&security).unwrap()
}

#[test]
fn an_attachment_that_revisions_share_is_copied_once() {
    const LEN: usize = 1 << 20;
    let data = vec![7; LEN];
    let mut writer = OrderedWriter::new(Vec::new(), settings()).unwrap();
    let mut pieces = Vec::new();
    // CouchDB cuts attachments into small pieces.
    for piece in data.chunks(4000) {
        writer.attachment_bytes(piece, &mut pieces).unwrap();
    }
    let shared = Attachment {
        name: "shared".into(),
        content_type: "a/b".into(),
        pieces,
        stored_len: LEN as u64,
        original_len: LEN as u64,
        revpos: 1,
        md5: couchfile::database::attachment_md5(&data).to_vec(),
        encoding: Encoding::Identity,
    };
    let term = couchfile::ejson::encode_json(&serde_json::json!({})).unwrap();
    let revision = |generation, id: u8, parent| NewRevision {
        generation,
        id: vec![id; 16],
        parent,
        body: Some(NewBody { term: term.clone(), deleted: false, attachments: vec![shared.clone()] }),
    };
    let revisions = vec![revision(1, 1, None), revision(2, 2, Some(0)), revision(2, 3, Some(0))];
    writer.add(&NewDocument { id: b"doc".to_vec(), revisions }).unwrap();
    let old = whole(writer.finish().unwrap());
    let (new, _) = reshaped(&old, 2, false, 1).unwrap();
    assert_eq!(content(&new), content(&old));
    let bytes: u64 = new.iter().map(|shard| shard.file.header_end()).sum();
    assert!((LEN as u64..LEN as u64 * 11 / 10).contains(&bytes), "{bytes}");
    let sizes: u64 = new.iter().map(|shard| shard.file.sizes().unwrap().external).sum();
    assert!((LEN as u64..LEN as u64 * 11 / 10).contains(&sizes), "{sizes}");
}

#[test]
fn sizes_are_those_that_couchdb_would_count() {
    let old = database(2, 500, false);
    let (new, _) = reshaped(&old, 1, false, 1).unwrap();
    let external =
        |shards: &[OldShard]| shards.iter().map(|shard| shard.file.sizes().unwrap().external).sum::<u64>();
    assert_eq!(external(&new), external(&old));
}

#[test]
fn misplaced_and_doubled_documents_are_refused() {
    let mut old = database(2, 300, false);
    old.reverse();
    let swapped = [old[0].range, old[1].range];
    (old[0].range, old[1].range) = (swapped[1], swapped[0]);
    let failure = reshaped(&old, 1, false, 1).map(|_| ()).unwrap_err();
    assert_eq!(failure.code().to_string(), "CC-R95");
    let text = failure.to_string();
    assert!(text.contains("does not belong") && text.contains("db"), "{text}");

    let mut writer = DatabaseWriter::new(Vec::new(), settings()).unwrap();
    writer.add(&document(1, false)).unwrap();
    let file = writer.finish().unwrap();
    let mut twice = whole(file.clone());
    twice.extend(whole(file));
    let failure = reshaped(&twice, 1, false, 1).map(|_| ()).unwrap_err();
    assert_eq!(failure.code().to_string(), "CC-R96");
}

#[test]
fn damage_is_named_with_its_file() {
    let mut writer = DatabaseWriter::new(Vec::new(), settings()).unwrap();
    for i in 0..100 {
        writer.add(&document(i, false)).unwrap();
    }
    let file = writer.finish().unwrap();
    let intact = whole(file.clone());
    let mut offsets = Vec::new();
    intact[0]
        .file
        .for_each_document(|doc| {
            let leaf = doc.revisions.as_ref().unwrap().winner().unwrap().stored.unwrap();
            offsets.extend(leaf.summary);
            Ok::<(), CouchFileError>(())
        })
        .unwrap();
    let mut damaged = file;
    damaged[offsets[50] as usize + 30] ^= 1;
    let failure = reshaped(&whole(damaged), 3, false, 2).map(|_| ()).unwrap_err();
    assert_eq!(failure.code().to_string(), "CC-D01");
    assert!(failure.to_string().contains("old"), "{failure}");
}
