//! The entries of the trees by key must come completely and in order.

use serde_json::json;

use super::*;
use crate::writer::{DatabaseWriter, NewBody, NewDocument};

/// A file with the documents `a` to `e`.
fn source() -> Database<Vec<u8>> {
    let mut writer = DatabaseWriter::new(Vec::new(), Settings::new("a".repeat(32), "n@h")).unwrap();
    for id in ["c", "a", "e", "b", "d"] {
        let term = crate::ejson::encode_json(&json!({ "id": id })).unwrap();
        let body = NewBody { term, deleted: id == "e", attachments: Vec::new() };
        writer.add(&NewDocument::first(id.as_bytes(), body)).unwrap();
    }
    Database::open(writer.finish().unwrap()).unwrap()
}

/// Key and value.
type Entry = (Vec<u8>, Vec<u8>);

/// A file with copies of all documents, and the entries of the tree by id.
fn copied() -> (SortedTrees<Vec<u8>>, Vec<Entry>) {
    let source = source();
    let mut writer = SequencedWriter::new(Vec::new(), Settings::new("b".repeat(32), "n@h")).unwrap();
    let mut entries = Vec::new();
    let mut cursor = source.cursor(TreeKind::Seq).unwrap();
    while let Some(entry) = cursor.next_entry().unwrap() {
        let doc = DocInfo::from_seq_tree(&entry).unwrap();
        entries.push((doc.id.to_vec(), writer.copy(&source, &doc).unwrap()));
    }
    assert_eq!(writer.documents(), 5);
    (writer.into_sorted().unwrap(), entries)
}

#[test]
fn a_copy_is_intact() {
    let (mut trees, mut entries) = copied();
    entries.sort();
    for (id, value) in &entries {
        trees.push(SortedTree::Documents, id, value).unwrap();
    }
    let body = crate::ejson::encode_json(&json!({})).unwrap();
    trees.push(SortedTree::Locals, b"_local/x", &SortedTree::local_value(3, &body)).unwrap();
    let file = Database::open(trees.finish().unwrap()).unwrap();
    let report = crate::check::check(&file, None).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!((report.documents, report.deleted, report.local_documents), (4, 1, 1));
    assert_eq!(file.sizes().unwrap().external, source().sizes().unwrap().external);
}

#[test]
fn entries_out_of_order_are_refused() {
    let (mut trees, mut entries) = copied();
    entries.sort();
    trees.push(SortedTree::Documents, b"b", &entries[1].1).unwrap();
    assert!(trees.push(SortedTree::Documents, b"a", &entries[0].1).is_err());
    assert!(trees.push(SortedTree::Documents, b"b", &entries[1].1).is_err());
    assert!(trees.push(SortedTree::Documents, b"_local/x", &entries[1].1).is_err());
    assert!(trees.push(SortedTree::Locals, b"x", &entries[1].1).is_err());
}

#[test]
fn missing_entries_are_noticed() {
    let (mut trees, mut entries) = copied();
    entries.sort();
    for (id, value) in entries.iter().skip(1) {
        trees.push(SortedTree::Documents, id, value).unwrap();
    }
    assert!(trees.finish().is_err());
}
