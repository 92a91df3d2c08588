//! A database as plain values, to be written and read back.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;

use couchfile::database::Database;
use couchfile::document::Encoding;
use couchfile::ejson::encode_json;
use couchfile::error::CouchFileError;
use couchfile::read_at::ReadAt;
use couchfile::term::{Decoder, ListHead};
use couchfile::writer::{NewAttachment, NewBody, NewDocument};
use serde_json::Value;

/// An attachment: name, type, stored bytes, length after decoding, generation, whether gzipped.
pub(crate) type Attached = (String, String, Vec<u8>, u64, u64, bool);

/// A leaf: revision, whether deleted, ids from itself to its oldest ancestor, body as a term, attachments.
pub(crate) type Leaf = (String, bool, Vec<String>, Vec<u8>, Vec<Attached>);

/// A purge: uuid, document id, revisions.
pub(crate) type Purged = (Vec<u8>, Vec<u8>, Vec<(u64, Vec<u8>)>);

/// Everything logical that a file holds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    /// Leaves by document id, sorted.
    pub(crate) documents: BTreeMap<Vec<u8>, Vec<Leaf>>,
    /// Revision and body by id.
    pub(crate) locals: BTreeMap<Vec<u8>, (u64, Vec<u8>)>,
    /// In order.
    pub(crate) purges: Vec<Purged>,
}

/// What a document is expected to read as.
pub(crate) fn leaves_of(doc: &NewDocument) -> Vec<Leaf> {
    let text = |id: &[u8]| {
        if id.len() == 16 { hex::encode(id) } else { String::from_utf8_lossy(id).into_owned() }
    };
    let mut leaves = Vec::new();
    for (i, revision) in doc.revisions.iter().enumerate() {
        if doc.revisions.iter().any(|other| other.parent == Some(i)) {
            continue;
        }
        let mut ancestry = Vec::new();
        let mut next = Some(i);
        while let Some(at) = next {
            ancestry.push(text(&doc.revisions[at].id));
            next = doc.revisions[at].parent;
        }
        let body = revision.body.as_ref().expect("a leaf has a body");
        let attachments = body
            .attachments
            .iter()
            .map(|a| {
                let gzip = a.encoding == Encoding::Gzip;
                (a.name.clone(), a.content_type.clone(), a.data.clone(), a.original_len, a.revpos, gzip)
            })
            .collect();
        let rev = format!("{}-{}", revision.generation, text(&revision.id));
        leaves.push((rev, body.deleted, ancestry, body.term.clone(), attachments));
    }
    leaves.sort();
    leaves
}

/// Reads everything.
pub(crate) fn read<R: ReadAt>(file: &Database<R>) -> Content {
    let mut content = Content::default();
    file.for_each_document(|doc| -> Result<(), CouchFileError> {
        let tree = doc.revisions.as_ref().expect("a revision tree");
        let mut leaves = Vec::new();
        for leaf in tree.leaves() {
            let stored = leaf.stored.expect("a body");
            let summary = file.summary(&stored)?;
            let mut attachments = Vec::new();
            for a in &summary.attachments {
                let mut data = Vec::new();
                file.attachment(a, |piece| {
                    data.extend_from_slice(piece);
                    Ok(())
                })?;
                let gzip = a.encoding == Encoding::Gzip;
                attachments.push((
                    a.name.clone(),
                    a.content_type.clone(),
                    data,
                    a.original_len,
                    a.revpos,
                    gzip,
                ));
            }
            let ancestry = tree.ancestry(leaf).map(|id| id.to_string()).collect();
            let body = summary.body.as_slice().to_vec();
            leaves.push((leaf.to_string(), stored.deleted, ancestry, body, attachments));
        }
        leaves.sort();
        content.documents.insert(doc.id.to_vec(), leaves);
        Ok(())
    })
    .expect("documents");
    file.for_each_local(|local| -> Result<(), CouchFileError> {
        content.locals.insert(local.id.to_vec(), (local.revision, local.body.to_vec()));
        Ok(())
    })
    .expect("local documents");
    file.for_each_purge(|purge| -> Result<(), CouchFileError> {
        let revisions = purge.revisions.iter().map(|(pos, id)| (*pos, id.0.to_vec())).collect();
        content.purges.push((purge.uuid.to_vec(), purge.id.to_vec(), revisions));
        Ok(())
    })
    .expect("purges");
    content
}

/// A body without attachments.
pub(crate) fn body(json: &Value) -> NewBody {
    NewBody { term: encode_json(json).expect("JSON"), deleted: false, attachments: Vec::new() }
}

/// An attachment of this many bytes, stored as they are.
pub(crate) fn attachment(name: &str, len: usize) -> NewAttachment {
    NewAttachment {
        name: name.to_owned(),
        content_type: "application/octet-stream".into(),
        data: (0..len).map(|i| (i * 7 % 251) as u8).collect(),
        original_len: len as u64,
        revpos: 1,
        encoding: Encoding::Identity,
    }
}

/// Levels of a tree, given its root's offset; panics where an inner node has one child only.
pub(crate) fn depth<R: ReadAt>(source: R, root: u64) -> usize {
    let blocks = couchfile::blocks::Blocks::new(source);
    let mut levels = Vec::from([root]);
    let mut depth = 0;
    while !levels.is_empty() {
        depth += 1;
        let mut below = Vec::new();
        for ptr in levels {
            let (term, _) = blocks.read_term(ptr, "node").expect("a node");
            let mut decoder = Decoder::new(term.as_slice());
            decoder.tuple_of(2).expect("a node");
            let leaf = decoder.atom().expect("a kind") == b"kv_node";
            let ListHead::Elements(n) = decoder.list().expect("entries") else { panic!("no entries") };
            assert!(n > usize::from(!leaf), "a node with {n} entries");
            for _ in 0..if leaf { 0 } else { n } {
                decoder.tuple_of(2).expect("an entry");
                decoder.skip().expect("a key");
                decoder.tuple_of(3).expect("a pointer");
                below.push(decoder.uint().expect("an offset"));
                decoder.skip().expect("a reduction");
                decoder.skip().expect("a size");
            }
        }
        levels = below;
    }
    depth
}
