//! What the writer writes, the reader reads, and the check finds whole.

mod common;

use std::collections::BTreeMap;

use common::{Content, attachment, body, depth, leaves_of, read};
use couchfile::check::check;
use couchfile::compression::Compression;
use couchfile::database::Database;
use couchfile::document::Encoding;
use couchfile::ejson::encode_json;
use couchfile::error::CouchFileError;
use couchfile::writer::{DatabaseWriter, NewBody, NewDocument, NewRevision, Settings, random_uuid};
use proptest::prelude::*;
use serde_json::json;

fn settings() -> Settings {
    Settings::new(random_uuid().unwrap(), "couchdb@127.0.0.1")
}

/// Opens a file that must be whole and end with its header.
fn open_whole(bytes: Vec<u8>) -> Database<Vec<u8>> {
    let len = bytes.len() as u64;
    let file = Database::open(bytes).unwrap();
    let report = check(&file, None).unwrap();
    assert!(report.is_whole(), "{:?}", report.problems);
    assert_eq!(file.header_end(), len);
    file
}

#[test]
fn an_empty_database() {
    let settings = settings();
    let uuid = settings.uuid.clone();
    let file = open_whole(DatabaseWriter::new(Vec::new(), settings).unwrap().finish().unwrap());
    let header = file.header();
    assert!(header.is_empty());
    assert_eq!((header.uuid.as_ref(), header.update_seq), (Some(&uuid), 0));
    assert_eq!((header.revs_limit, header.purge_infos_limit), (1000, 1000));
    assert_eq!((header.epochs.len(), header.epochs[0].node.as_str()), (1, "couchdb@127.0.0.1"));
    let admins = json!({"members": {"roles": ["_admin"]}, "admins": {"roles": ["_admin"]}});
    assert_eq!(file.security_json().unwrap(), Some(admins.into()));
    assert_eq!(read(&file), Content::default());
}

/// Conflicts at several generations, a deleted leaf, stemmed and text revisions, all kinds of attachments.
fn one_of_everything() -> Vec<NewDocument> {
    let mut docs = Vec::new();
    let mut conflicts = NewDocument::first(b"conflicts", body(&json!({"v": 1})));
    conflicts.edit(0, body(&json!({"v": 2}))).unwrap();
    let other = conflicts.edit(0, body(&json!({"v": 3}))).unwrap();
    conflicts.edit(other, NewBody { deleted: true, ..body(&json!({})) }).unwrap();
    docs.push(conflicts);

    let mut stemmed = NewDocument { id: b"stemmed".to_vec(), revisions: Vec::new() };
    let ancestor =
        |generation, id: &[u8], parent| NewRevision { generation, id: id.to_vec(), parent, body: None };
    stemmed.revisions.push(ancestor(16, &[1; 16], None));
    stemmed.revisions.push(ancestor(17, b"notahash", Some(0)));
    stemmed.edit(1, body(&json!({"of": "many"}))).unwrap();
    // A second root, further down.
    stemmed.revisions.push(NewRevision {
        generation: 3,
        id: b"x".to_vec(),
        parent: None,
        body: Some(body(&json!({"n": 1}))),
    });
    docs.push(stemmed);

    let mut gone = NewDocument::first(b"gone", body(&json!({"a": 1})));
    gone.edit(0, NewBody { deleted: true, ..body(&json!({"why": "tombstone with a body"})) }).unwrap();
    docs.push(gone);

    let mut with = body(&json!({"has": "attachments"}));
    let mut zipped = attachment("zipped.txt", 0);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, &[b'z'; 10_000]).unwrap();
    (zipped.data, zipped.original_len, zipped.encoding) = (encoder.finish().unwrap(), 10_000, Encoding::Gzip);
    with.attachments = vec![attachment("several pieces", 200_000), zipped, attachment("empty", 0)];
    with.attachments.extend((0..20).map(|i| attachment(&format!("a{i}"), 4090 + i)));
    docs.push(NewDocument::first(b"with", with));

    docs.push(NewDocument::first("_design/häß".as_bytes(), body(&json!({"views": {}}))));
    docs
}

#[test]
fn one_of_every_kind_of_thing() {
    for compression in [Compression::None, Compression::Snappy] {
        let mut settings = settings();
        settings.compression = compression;
        (settings.revs_limit, settings.purge_infos_limit) = (20, 77);
        let security = json!({"admins": {"names": ["joe"], "roles": []}, "members": {}});
        settings.security = Some(encode_json(&security).unwrap());
        settings.partitioned = true;
        let mut writer = DatabaseWriter::new(Vec::new(), settings).unwrap();
        let mut expected = Content::default();
        for doc in one_of_everything() {
            writer.add(&doc).unwrap();
            expected.documents.insert(doc.id.clone(), leaves_of(&doc));
        }
        for (id, revision) in [("_local/b", 1), ("_local/a", 300)] {
            let term = encode_json(&json!({"seq": revision})).unwrap();
            writer.add_local(id.as_bytes(), revision, &term);
            expected.locals.insert(id.into(), (revision, term));
        }
        for (i, doc) in ["never was", "p1", "p1"].iter().enumerate() {
            let uuid = format!("{:032x}", 0xfff_fff - i);
            let revisions = vec![(1, vec![i as u8; 16]), (2, b"text".to_vec())];
            writer.add_purge(&uuid, doc.as_bytes(), &revisions);
            expected.purges.push((uuid.into(), doc.as_bytes().to_vec(), revisions));
        }
        let file = open_whole(writer.finish().unwrap());
        assert_eq!(read(&file), expected);
        assert_eq!(file.counts().unwrap(), (4, 1));
        assert_eq!(file.purge_seq().unwrap(), 3);
        assert_eq!((file.header().revs_limit, file.header().purge_infos_limit), (20, 77));
        assert_eq!(file.security_json().unwrap(), Some(security.into()));
        let props = file.props().unwrap().unwrap();
        let mut text = Vec::new();
        couchfile::ejson::write_members(&mut props.decoder(), &mut text).unwrap();
        assert_eq!(text, br#"{"partitioned":true,"hash":["couch_partition","hash",[]]}"#);
    }
}

#[test]
fn trees_of_several_levels() {
    const COUNT: usize = 7000;
    let mut writer = DatabaseWriter::new(Vec::new(), settings()).unwrap();
    let mut expected = Content::default();
    for i in 0..COUNT {
        // Neither in the order of ids nor of equal length.
        let id = format!("{:x}{}", i * 7919 % COUNT, "é".repeat(i % 60));
        let doc = NewDocument::first(id.as_bytes(), body(&json!({"i": i})));
        writer.add(&doc).unwrap();
        expected.documents.insert(doc.id.clone(), leaves_of(&doc));
        let local = format!("_local/{id}");
        let term = encode_json(&json!({ "x": "y".repeat(i % 300) })).unwrap();
        writer.add_local(local.as_bytes(), 1, &term);
        expected.locals.insert(local.into(), (1, term));
        let uuid = format!("{:032x}", (i as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834));
        writer.add_purge(&uuid, id.as_bytes(), &[(1, vec![7; 16])]);
        expected.purges.push((uuid.into(), id.into(), vec![(1, vec![7; 16])]));
    }
    let bytes = writer.finish().unwrap();
    let file = open_whole(bytes.clone());
    assert_eq!(read(&file), expected);
    for (name, tree) in file.header().trees() {
        assert!(depth(&bytes, tree.unwrap().ptr) >= 3, "{name}");
    }
    // Look-ups go down one path.
    for id in expected.documents.keys().step_by(97) {
        let seq = file.document(id, |doc| Ok(doc.seq)).unwrap();
        assert!((1..=COUNT as u64).contains(&seq.unwrap()));
    }
    for missing in [&b""[..], b"0000", b"zzz", "éé".as_bytes()] {
        assert_eq!(file.document(missing, |_| Ok(())).unwrap(), None);
    }
}

#[test]
fn a_tree_of_any_number_of_entries() {
    for count in (0..130).chain([255, 256, 1000]) {
        let mut writer = DatabaseWriter::new(Vec::new(), settings()).unwrap();
        for i in 0..count {
            // Some entries are larger than a node wants to be.
            let id = format!("{i:05}{}", "-".repeat(if i % 9 == 0 { 1500 } else { 20 }));
            writer.add(&NewDocument::first(id.as_bytes(), body(&json!({})))).unwrap();
        }
        let bytes = writer.finish().unwrap();
        let file = open_whole(bytes.clone());
        assert_eq!(file.counts().unwrap(), (count, 0));
        for (_, tree) in file.header().trees() {
            if let Some(tree) = tree {
                depth(&bytes, tree.ptr);
            }
        }
    }
}

#[test]
fn an_attachment_at_every_place_in_a_block() {
    let mut writer = DatabaseWriter::new(Vec::new(), settings()).unwrap();
    let mut expected = BTreeMap::new();
    for i in 0..300usize {
        let mut with = body(&json!({ "pad": "p".repeat(i * 13 % 97) }));
        with.attachments = vec![attachment("a", i * 61 % 9000), attachment("b", 4091 + i % 9)];
        let doc = NewDocument::first(format!("{i}").as_bytes(), with);
        writer.add(&doc).unwrap();
        expected.insert(doc.id.clone(), leaves_of(&doc));
    }
    assert_eq!(read(&open_whole(writer.finish().unwrap())).documents, expected);
}

#[test]
fn an_attachment_larger_than_its_file_is_not_read() {
    let mut with = body(&json!({}));
    with.attachments = vec![attachment("a", 60_000)];
    let mut writer = DatabaseWriter::new(Vec::new(), settings()).unwrap();
    writer.add(&NewDocument::first(b"d", with)).unwrap();
    let file = open_whole(writer.finish().unwrap());
    let mut found = None;
    file.document(b"d", |doc| {
        let stored = doc.revisions.as_ref().unwrap().winner().unwrap().stored.unwrap();
        found = Some(file.summary(&stored)?.attachments.remove(0));
        Ok(())
    })
    .unwrap();
    // One chunk named a million times is a petabyte, if one believes it.
    let mut greedy = found.unwrap();
    greedy.pieces = vec![greedy.pieces[0]; 1_000_000];
    greedy.stored_len *= 1_000_000;
    let mut read = 0;
    let result = file.attachment(&greedy, |bytes| {
        read += bytes.len();
        Ok(())
    });
    assert!(matches!(result, Err(CouchFileError::Damaged { .. })), "{result:?}");
    assert_eq!(read, 0);
}

fn invalid<T: std::fmt::Debug>(result: &Result<T, CouchFileError>) {
    assert!(matches!(result, Err(CouchFileError::Invalid(_))), "{result:?}");
}

#[test]
fn what_makes_no_valid_file_is_refused() {
    let new = || DatabaseWriter::new(Vec::new(), settings()).unwrap();
    let term = encode_json(&json!({})).unwrap();

    let mut twice = new();
    twice.add(&NewDocument::first(b"a", body(&json!({})))).unwrap();
    twice.add(&NewDocument::first(b"a", body(&json!({})))).unwrap();
    invalid(&twice.finish());

    let mut locals = new();
    locals.add_local(b"_local/a", 1, &term);
    locals.add_local(b"_local/a", 2, &term);
    invalid(&locals.finish());
    let mut no_local = new();
    no_local.add_local(b"a", 1, &term);
    invalid(&no_local.finish());

    let mut purges = new();
    purges.add_purge(&"0".repeat(32), b"a", &[]);
    purges.add_purge(&"0".repeat(32), b"b", &[]);
    invalid(&purges.finish());

    let mut siblings = NewDocument::first(b"a", body(&json!({})));
    siblings.edit(0, body(&json!({"x": 1}))).unwrap();
    siblings.edit(0, body(&json!({"x": 1}))).unwrap();
    invalid(&new().add(&siblings));

    let mut bodiless = NewDocument::first(b"a", body(&json!({})));
    bodiless.revisions[0].body = None;
    invalid(&new().add(&bodiless));
    invalid(&new().add(&NewDocument { id: b"a".to_vec(), revisions: Vec::new() }));
    invalid(&new().add(&NewDocument::first(b"", body(&json!({})))));
    invalid(&new().add(&NewDocument::first(b"_local/a", body(&json!({})))));
    let mut orphan = NewDocument::first(b"a", body(&json!({})));
    orphan.revisions[0].parent = Some(3);
    invalid(&new().add(&orphan));
    let mut list = body(&json!({}));
    list.term = encode_json(&json!([1, 2])).unwrap();
    invalid(&new().add(&NewDocument::first(b"a", list)));

    let mut named = settings();
    named.uuid = "short".into();
    invalid(&DatabaseWriter::new(Vec::new(), named));
    let mut unsafe_security = settings();
    unsafe_security.security = Some(encode_json(&json!([])).unwrap());
    invalid(&DatabaseWriter::new(Vec::new(), unsafe_security).and_then(DatabaseWriter::finish));
}

/// Any JSON value that a body may hold.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let scalar = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        (-1.0e300..1.0e300f64).prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(Into::into),
    ];
    scalar.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map(".{0,6}", inner, 0..6)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// One revision: body, whether deleted, lengths of attachments, which earlier revision it follows (if any).
type Step = (serde_json::Value, bool, Vec<usize>, Option<prop::sample::Index>);

fn any_document() -> impl Strategy<Value = (String, Vec<Step>)> {
    let step = (
        any_json(),
        any::<bool>(),
        prop::collection::vec(prop_oneof![0usize..200, 4000usize..4200, 60_000usize..140_000], 0..3),
        prop::option::weighted(0.8, any::<prop::sample::Index>()),
    );
    ("[a-zé:/ ]{1,20}", prop::collection::vec(step, 1..7))
}

fn build(id: &str, steps: &[Step]) -> NewDocument {
    let mut doc = NewDocument { id: id.as_bytes().to_vec(), revisions: Vec::new() };
    for (i, (value, deleted, lengths, parent)) in steps.iter().enumerate() {
        // The counter keeps revisions apart.
        let mut new = body(&json!({"step": i, "value": value}));
        new.deleted = *deleted;
        new.attachments =
            lengths.iter().enumerate().map(|(n, len)| attachment(&format!("{n}"), *len)).collect();
        match parent {
            Some(parent) if i > 0 => {
                doc.edit(parent.index(i), new).unwrap();
            }
            _ => doc.revisions.extend(NewDocument::first(b"x", new).revisions),
        }
    }
    doc
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn documents_of_any_shape_come_back(
        docs in prop::collection::btree_map("[a-zé:/ ]{1,20}", any_document(), 0..12),
        packed in any::<bool>(),
    ) {
        let mut settings = settings();
        settings.compression = if packed { Compression::Snappy } else { Compression::None };
        let mut writer = DatabaseWriter::new(Vec::new(), settings).unwrap();
        let mut expected = BTreeMap::new();
        for (id, (_, steps)) in &docs {
            let doc = build(id, steps);
            writer.add(&doc).unwrap();
            expected.insert(doc.id.clone(), leaves_of(&doc));
        }
        let file = open_whole(writer.finish().unwrap());
        prop_assert_eq!(read(&file).documents, expected);
    }

    #[test]
    fn json_comes_back(value in any_json()) {
        let term = encode_json(&value).unwrap();
        let mut text = Vec::new();
        let mut decoder = couchfile::term::Decoder::new(&term);
        couchfile::ejson::write_json(&mut decoder, &mut text).unwrap();
        decoder.end().unwrap();
        let again: serde_json::Value = serde_json::from_slice(&text).unwrap();
        prop_assert_eq!(&encode_json(&again).unwrap(), &term);
        couchfile::ejson::external_size(&mut couchfile::term::Decoder::new(&term)).unwrap();
    }
}

/// Parts for several threads hold every document once, in order, however small or large the database is.
#[test]
fn parts_are_all_documents_in_order() {
    use couchfile::database::Database;
    use couchfile::error::CouchFileError;
    use couchfile::writer::{DatabaseWriter, NewBody, NewDocument, Settings};
    for count in [0usize, 1, 5, 300, 20_000] {
        let settings = Settings::new("a".repeat(32), "node@host");
        let mut writer = DatabaseWriter::new(Vec::new(), settings).unwrap();
        for i in 0..count {
            let term = couchfile::ejson::encode_json(&serde_json::json!({ "i": i })).unwrap();
            let body = NewBody { term, deleted: false, attachments: Vec::new() };
            writer
                .add(&NewDocument::first(format!("doc-{:06}", i * 7919 % 20_011).as_bytes(), body))
                .unwrap();
        }
        let database = Database::open(writer.finish().unwrap()).unwrap();
        let mut all = Vec::new();
        database
            .for_each_document(|doc| {
                all.push(doc.id.to_vec());
                Ok::<(), CouchFileError>(())
            })
            .unwrap();
        assert_eq!(all.len(), count);
        for parts in [1, 2, 3, 16] {
            let cut = database.document_parts(parts).unwrap();
            assert!(cut.len() <= parts.max(1));
            assert!(count < 20_000 || cut.len() == parts);
            let mut found = Vec::new();
            for part in &cut {
                database
                    .for_each_document_in(part, |doc| {
                        found.push(doc.id.to_vec());
                        Ok::<(), CouchFileError>(())
                    })
                    .unwrap();
            }
            assert_eq!(found, all, "{count} documents in {parts} parts");
        }
    }
}
