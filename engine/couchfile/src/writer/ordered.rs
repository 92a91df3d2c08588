//! Writes a complete database file whose documents come in the order of their ids, in memory that does not grow.

use std::io::Write;

use super::appender::Appender;
use super::new_document::NewDocument;
use super::placed;
use super::settings::{Settings, Written};
use super::tree::TreeBuilder;
use crate::btree::TreeKind;
use crate::document::{Attachment, Piece};
use crate::error::{CouchFileError, Result};
use crate::term::Encoder;

/// Writes a database whose documents come in the order of their ids. Their sequences are in the same order, so both trees are
/// written while the documents come, and memory stays at a few nodes per level, whatever the number of documents.
///
/// The bytes of an attachment come first, through [`Self::attachment_bytes`], then the document that names them.
#[derive(Debug)]
pub struct OrderedWriter<W> {
    out: Appender<W>,
    settings: Settings,
    written: Written,
    by_id: TreeBuilder,
    by_seq: TreeBuilder,
    last_id: Vec<u8>,
    seq: u64,
}

impl<W: Write> OrderedWriter<W> {
    /// Begins a file; `out` gets it from offset 0 on.
    ///
    /// Fails if the settings' uuid or node name is malformed.
    pub fn new(out: W, settings: Settings) -> Result<Self> {
        let (out, written) = settings.begin(out)?;
        Ok(Self {
            out,
            settings,
            written,
            by_id: TreeBuilder::new(TreeKind::Id),
            by_seq: TreeBuilder::new(TreeKind::Seq),
            last_id: Vec::new(),
            seq: 0,
        })
    }

    /// Writes bytes of an attachment, as they are to be stored; gives where they lie.
    pub fn attachment_bytes(&mut self, bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<()> {
        for piece in bytes.chunks(placed::PIECE) {
            let written = self.out.piece(piece)?;
            pieces.push(Piece { ptr: written.ptr, len: Some(piece.len() as u64) });
        }
        Ok(())
    }

    /// Adds a document, whose attachments have been written. It gets the next sequence.
    ///
    /// Fails if its id is not greater than the one before.
    pub fn add(&mut self, doc: &NewDocument<Attachment>) -> Result<()> {
        if doc.id <= self.last_id || doc.id.starts_with(super::database::LOCAL) {
            let id = String::from_utf8_lossy(&doc.id);
            return Err(CouchFileError::Invalid(format!("a document with the id \"{id}\" at this place")));
        }
        let seq = self.seq + 1;
        let out = &mut self.out;
        let rest =
            placed::revisions(doc, |body, tree| placed::body(out, body, &body.attachments, seq, tree))?;
        let (mut id, mut number) = (Encoder::new(), Encoder::new());
        id.binary(&doc.id);
        number.uint(seq);
        for (tree, key, first) in [(&mut self.by_id, &id, &number), (&mut self.by_seq, &number, &id)] {
            let mut value = Encoder::new();
            value.tuple(4).raw(first.as_bytes()).raw(&rest);
            tree.push(&mut self.out, key.as_bytes(), value.as_bytes())?;
        }
        self.seq = seq;
        self.last_id.clone_from(&doc.id);
        Ok(())
    }

    /// Number of documents that were added.
    pub fn documents(&self) -> u64 {
        self.seq
    }

    /// Writes what is left of the trees and the header, and returns the output.
    pub fn finish(mut self) -> Result<W> {
        let id_tree = self.by_id.finish(&mut self.out)?;
        let seq_tree = self.by_seq.finish(&mut self.out)?;
        let trees = [id_tree, seq_tree, None, None, None];
        let header = self.settings.header(self.seq, trees, self.written);
        self.out.header(&header.encode())?;
        Ok(self.out.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::database::Database;
    use crate::document::Encoding;
    use crate::writer::{NewBody, NewRevision};

    #[test]
    fn a_file_of_many_documents_is_intact() {
        let mut writer = OrderedWriter::new(Vec::new(), Settings::new("a".repeat(32), "n@h")).unwrap();
        for i in 0..3000u32 {
            let data = vec![i as u8; if i % 100 == 0 { 200_000 } else { 0 }];
            let mut attachments = Vec::new();
            if !data.is_empty() {
                let mut pieces = Vec::new();
                writer.attachment_bytes(&data, &mut pieces).unwrap();
                attachments.push(Attachment {
                    name: "a".into(),
                    content_type: "b/c".into(),
                    pieces,
                    stored_len: data.len() as u64,
                    original_len: data.len() as u64,
                    revpos: 1,
                    md5: crate::checksum::md5(&data).to_vec(),
                    encoding: Encoding::Identity,
                });
            }
            let term = crate::ejson::encode_json(&json!({"i": i})).unwrap();
            let body = NewBody { term, deleted: i % 7 == 0, attachments };
            let revision = NewRevision { generation: 1, id: vec![7; 16], parent: None, body: Some(body) };
            let id = format!("{i:06}").into_bytes();
            writer.add(&NewDocument { id, revisions: vec![revision] }).unwrap();
        }
        assert_eq!(writer.documents(), 3000);
        let database = Database::open(writer.finish().unwrap()).unwrap();
        let report = crate::check::check(&database, None).unwrap();
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        assert_eq!((report.documents + report.deleted, report.attachments), (3000, 30));
    }

    #[test]
    fn ids_must_ascend() {
        let mut writer = OrderedWriter::new(Vec::new(), Settings::new("a".repeat(32), "n@h")).unwrap();
        let term = crate::ejson::encode_json(&json!({})).unwrap();
        let doc = |id: &[u8]| NewDocument {
            id: id.to_vec(),
            revisions: vec![NewRevision {
                generation: 1,
                id: vec![7; 16],
                parent: None,
                body: Some(NewBody { term: term.clone(), deleted: false, attachments: Vec::new() }),
            }],
        };
        writer.add(&doc(b"b")).unwrap();
        for id in [b"a".as_slice(), b"b", b"_local/c"] {
            assert!(writer.add(&doc(id)).is_err());
        }
    }
}
