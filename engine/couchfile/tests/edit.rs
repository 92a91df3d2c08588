//! Edits of a header change what they name and nothing else.

mod common;

use common::{body, read};
use couchfile::check::check;
use couchfile::database::Database;
use couchfile::edit::{Edit, edit};
use couchfile::ejson::encode_json;
use couchfile::header::{Epoch, HeaderEdit};
use couchfile::writer::{DatabaseWriter, NewDocument, Settings};
use serde_json::json;

const OLD: &str = "00000000000000000000000000000001";
const NEW: &str = "00000000000000000000000000000002";

/// A file with some documents, many local ones and bytes after its header.
fn sample(locals: usize) -> Vec<u8> {
    let mut settings = Settings::new(OLD.into(), "old@host");
    settings.revs_limit = 5;
    let mut writer = DatabaseWriter::new(Vec::new(), settings).unwrap();
    for i in 0..100 {
        writer.add(&NewDocument::first(format!("{i}").as_bytes(), body(&json!({"i": i})))).unwrap();
    }
    let term = encode_json(&json!({"seq": 1, "pad": "x".repeat(100)})).unwrap();
    for i in 0..locals {
        writer.add_local(format!("_local/shard-sync-{i}").as_bytes(), 1, &term);
        writer.add_local(format!("_local/kept-{i}").as_bytes(), 1, &term);
    }
    let mut bytes = writer.finish().unwrap();
    bytes.extend_from_slice(b"an unfinished write");
    bytes
}

fn apply(bytes: &[u8], change: &Edit<'_>) -> Database<Vec<u8>> {
    let tail = edit(&Database::open(bytes.to_vec()).unwrap(), change).unwrap();
    let mut edited = bytes[..tail.keep as usize].to_vec();
    edited.extend_from_slice(&tail.bytes);
    let len = edited.len() as u64;
    let file = Database::open(edited).unwrap();
    let report = check(&file, None).unwrap();
    assert!(report.is_whole(), "{:?}", report.problems);
    assert_eq!(file.header_end(), len);
    file
}

#[test]
fn an_empty_edit_drops_the_tail_only() {
    let bytes = sample(3);
    let before = Database::open(bytes.clone()).unwrap();
    let after = apply(&bytes, &Edit { header: HeaderEdit::default(), keep_local: &|_| true, add_local: &[] });
    assert_eq!(after.source().as_slice(), &bytes[..before.header_end() as usize]);
}

#[test]
fn uuid_node_and_limits() {
    let bytes = sample(3);
    let before = Database::open(bytes.clone()).unwrap();
    let header = HeaderEdit {
        uuid: Some(NEW.into()),
        node: Some("new@host".into()),
        revs_limit: Some(7),
        purge_infos_limit: Some(8),
        ..HeaderEdit::default()
    };
    let after = apply(&bytes, &Edit { header, keep_local: &|_| true, add_local: &[] });
    let header = after.header();
    assert_eq!(header.uuid.as_deref(), Some(NEW));
    let epochs = [Epoch { node: "new@host".into(), seq: 100 }, Epoch { node: "old@host".into(), seq: 0 }];
    assert_eq!(header.epochs, epochs);
    assert_eq!((header.revs_limit, header.purge_infos_limit, header.update_seq), (7, 8, 100));
    assert_eq!(header.trees(), before.header().trees());
    assert_eq!(read(&after), read(&before));
    assert_eq!(after.security_json().unwrap(), before.security_json().unwrap());
    // The old header is gone, not just followed by another one.
    assert_eq!(after.header_offset(), before.header_offset());
}

#[test]
fn a_file_for_one_node_alone() {
    let node = Some("new@host".to_owned());
    let header = HeaderEdit { node, only_node: true, ..HeaderEdit::default() };
    let after = apply(&sample(0), &Edit { header, keep_local: &|_| true, add_local: &[] });
    assert_eq!(after.header().epochs, [Epoch { node: "new@host".into(), seq: 0 }]);
}

#[test]
fn local_documents_go() {
    for locals in [1, 3, 400] {
        let bytes = sample(locals);
        let mut expected = read(&Database::open(bytes.clone()).unwrap());
        let header = HeaderEdit { uuid: Some(NEW.into()), ..HeaderEdit::default() };
        let sync = |id: &[u8]| !id.starts_with(b"_local/shard-sync");
        let after = apply(&bytes, &Edit { header: header.clone(), keep_local: &sync, add_local: &[] });
        expected.locals.retain(|id, _| sync(id));
        assert_eq!(expected.locals.len(), locals);
        assert_eq!(read(&after), expected);
        assert_eq!(after.header().uuid.as_deref(), Some(NEW));

        let none = apply(&bytes, &Edit { header, keep_local: &|_| false, add_local: &[] });
        assert!(none.header().local_tree.is_none());
        assert!(read(&none).locals.is_empty());
    }
}

#[test]
fn edits_of_edits() {
    let mut bytes = sample(20);
    let expected = read(&Database::open(bytes.clone()).unwrap()).documents;
    for round in 0..20u32 {
        let header = HeaderEdit {
            uuid: Some(format!("{round:032x}")),
            node: Some(format!("n{round}@host")),
            ..HeaderEdit::default()
        };
        let gone = format!("_local/kept-{round}");
        let after = apply(&bytes, &Edit { header, keep_local: &|id| id != gone.as_bytes(), add_local: &[] });
        // Nobody wrote in between, so only the last owner and the one that wrote are remembered.
        assert_eq!(after.header().epochs.len(), 2);
        assert_eq!(after.header().epochs[0].node, format!("n{round}@host"));
        assert_eq!(read(&after).locals.len(), 40 - round as usize - 1);
        bytes = after.into_source();
    }
    let file = Database::open(bytes).unwrap();
    assert_eq!(read(&file).documents, expected);
}

#[test]
fn malformed_names_are_refused() {
    let file = Database::open(sample(0)).unwrap();
    for (uuid, node) in [(Some("SHORT"), None), (None, Some("nobody")), (None, Some(""))] {
        let (uuid, node) = (uuid.map(str::to_owned), node.map(str::to_owned));
        let header = HeaderEdit { uuid, node, ..HeaderEdit::default() };
        assert!(edit(&file, &Edit { header, keep_local: &|_| true, add_local: &[] }).is_err());
    }
}
