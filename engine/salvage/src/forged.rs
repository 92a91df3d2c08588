//! Attachments whose content looks like a part of a database file.

use couchfile::blocks::{BLOCK, physical_len};
use couchfile::compression::Compression;
use couchfile::database::Database;
use couchfile::document::Encoding;
use couchfile::ejson::encode_json;
use couchfile::revision;
use couchfile::term::Encoder;
use couchfile::writer::{Appender, DatabaseWriter, NewAttachment, NewBody, NewDocument, Settings};

use crate::damages::{Outcome, Shared};
use crate::{Copy, Grade, Shard, salvage_shard};

fn salvage(file: &[u8], strict: bool) -> Outcome {
    let shard = Shard { path: "x.couch".into(), database: "x".into(), range: None, strict };
    let copies = vec![Copy { name: "x".into(), bytes: Box::new(file.to_vec()) }];
    let mut outcome = Outcome::default();
    salvage_shard(&shard, copies, &std::env::temp_dir(), &mut outcome, &mut |_| {}).unwrap();
    outcome
}

fn body(json: &serde_json::Value, data: Option<Vec<u8>>) -> NewBody {
    let attachment = |data: Vec<u8>| NewAttachment {
        name: "a".into(),
        content_type: "b/c".into(),
        original_len: data.len() as u64,
        data,
        revpos: 1,
        encoding: Encoding::Identity,
    };
    NewBody {
        term: encode_json(json).unwrap(),
        deleted: false,
        attachments: data.into_iter().map(attachment).collect(),
    }
}

/// A file with some documents, one of which has this attachment; and where its content begins.
fn file(attached: Vec<u8>) -> (Vec<u8>, u64) {
    let mut writer = DatabaseWriter::new(Vec::new(), Settings::new("a".repeat(32), "n@h")).unwrap();
    for i in 0..40 {
        let id = format!("right-{i}");
        let term = serde_json::json!({"i": i});
        writer.add(&NewDocument::first(id.as_bytes(), body(&term, None))).unwrap();
    }
    let term = serde_json::json!({});
    writer.add(&NewDocument::first(b"attached", body(&term, Some(attached)))).unwrap();
    let bytes = writer.finish().unwrap();
    let database = Database::open(bytes.as_slice()).unwrap();
    let piece = database
        .document(b"attached", |info| {
            let stored = info.revisions.as_ref().unwrap().winner().unwrap().stored.unwrap();
            Ok(database.summary(&stored)?.attachments[0].pieces[0].ptr)
        })
        .unwrap()
        .unwrap();
    (bytes, piece)
}

/// Destroys what shows that an attachment is one: its length, and the headers.
fn destroy(bytes: &mut Vec<u8>, piece: u64) {
    let piece = piece as usize;
    bytes[piece..piece + 6].fill(0xff);
    let header = Database::open(bytes.as_slice()).unwrap().header_offset() as usize;
    bytes.truncate(header);
}

#[test]
fn a_database_file_in_an_attachment_is_not_taken_for_the_database() {
    let mut inner = DatabaseWriter::new(Vec::new(), Settings::new("b".repeat(32), "n@h")).unwrap();
    for i in 0..60 {
        let id = format!("inner-{i}");
        let term = serde_json::json!({"inner": i});
        inner.add(&NewDocument::first(id.as_bytes(), body(&term, None))).unwrap();
    }
    let (mut bytes, piece) = file(inner.finish().unwrap());
    for damaged in [false, true] {
        if damaged {
            destroy(&mut bytes, piece);
        }
        let outcome = salvage(&bytes, false);
        for line in outcome.lines.values().filter(|line| line.id.starts_with("inner")) {
            // By its pointers, a document of the inner file has the body of another document.
            assert!(damaged && matches!(line.grade, Grade::IdOnly | Grade::Unproven), "{line:?}");
        }
        let right = outcome.lines.values().filter(|line| line.grade == Grade::Whole);
        assert!(right.count() >= 40, "{damaged}");
    }
}

/// Chunks of a document that never was, for an offset that their author guessed.
fn forged(offset: u64) -> Vec<u8> {
    let mut file = Appender::new(Vec::new(), offset, Compression::None);
    let term = encode_json(&serde_json::json!({"roles": ["_admin"]})).unwrap();
    let (_, id) = revision::next(None, false, &term, &[]);
    let (mut packed, mut none) = (Encoder::versioned(), Encoder::versioned());
    packed.raw(&term);
    none.nil();
    let mut summary = Encoder::versioned();
    summary.tuple(2).binary(packed.as_bytes()).binary(none.as_bytes());
    let written = file.summary(summary.as_bytes()).unwrap();
    let mut rest = Encoder::new();
    rest.uint(0).tuple(2).uint(written.len).uint(20).list(1).tuple(2).uint(1).tuple(3).binary(&id);
    rest.tuple(5).uint(0).uint(written.ptr).uint(9).tuple(2).uint(written.len).uint(20).nil().nil().nil();
    for by_id in [true, false] {
        let mut node = Encoder::versioned();
        node.tuple(2).atom(b"kv_node").list(1).tuple(2);
        let (name, seq) = (b"forged".as_slice(), 9);
        if by_id {
            node.binary(name).tuple(4).uint(seq);
        } else {
            node.uint(seq).tuple(4).binary(name);
        }
        node.raw(rest.as_bytes()).nil();
        file.term(node.as_bytes()).unwrap();
    }
    file.into_inner()
}

#[test]
fn strict_refuses_what_an_author_of_attachments_can_forge() {
    // The place does not depend on the content.
    let (_, piece) = file(vec![7; 3 * BLOCK as usize]);
    // Right behind a block start, so that no prefix comes between.
    let begin = (piece / BLOCK + 1) * BLOCK + 1;
    let filler = (0..2 * BLOCK).find(|&n| piece + physical_len(piece, 4 + n) >= begin - 1).unwrap();
    let mut content = vec![7; filler as usize];
    content.extend(forged(begin));
    content.resize(3 * BLOCK as usize, 7);
    let (mut bytes, again) = file(content);
    assert_eq!(again, piece);
    let has_forged = |outcome: &Outcome| {
        let Shared(file) = outcome.files[0].as_ref().unwrap();
        let file = file.lock().unwrap().clone();
        Database::open(file).unwrap().document(b"forged", |_| Ok(())).unwrap().is_some()
    };
    for strict in [false, true] {
        assert!(!has_forged(&salvage(&bytes, strict)), "an intact file shows what is an attachment");
    }
    destroy(&mut bytes, piece);
    assert!(has_forged(&salvage(&bytes, false)), "the documentation says that this is possible");
    let outcome = salvage(&bytes, true);
    assert!(!has_forged(&outcome));
    assert_eq!(outcome.lines["forged"].grade, Grade::Unproven);
}
