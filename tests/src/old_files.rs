//! Files of CouchDB 1.x, as its versions wrote them: entries without sizes or with one number, leaves without attachments, bodies
//! that stand in the file directly, headers that end earlier.
//!
//! Source: `couch_db_updater.erl` and `couch_db.hrl` of CouchDB 1.1 and 1.6.

use couchfile::btree::TreeKind;
use couchfile::compression::Compression;
use couchfile::database::attachment_md5;
use couchfile::ejson::encode_json;
use couchfile::header::TreeState;
use couchfile::revision;
use couchfile::term::Encoder;
use couchfile::writer::{Appender, TreeBuilder};
use serde_json::{Value, json};

use crate::Result;

/// Which versions of CouchDB write a file in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// CouchDB 0.11 to 1.1: disk version 5.
    UpTo1_1,
    /// CouchDB 1.2 to 1.7: disk version 6.
    From1_2,
}

/// A document with one revision.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its id.
    pub id: String,
    /// Its body.
    pub body: Value,
    /// Whether it is deleted.
    pub deleted: bool,
    /// The content of an attachment `a.txt`.
    pub attachment: Option<Vec<u8>>,
}

/// A database.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// In the order of their sequences.
    pub documents: Vec<Document>,
    /// Local documents: id with `_local/` in front, and body.
    pub local: Vec<(String, Value)>,
    /// Its security object.
    pub security: Option<Value>,
}

impl Content {
    /// So many documents, some deleted, some with an attachment, and a security object.
    pub fn sample(documents: usize) -> Self {
        let document = |i: usize| Document {
            id: if i == 7 { "_design/seven".into() } else { format!("doc-{:04}", i * 7919 % 10_007) },
            body: json!({"number": i, "text": "x".repeat(i % 200)}),
            deleted: i % 10 == 9,
            attachment: (i % 4 == 1).then(|| vec![i as u8; 10 + i * 100]),
        };
        Self {
            documents: (0..documents).map(document).collect(),
            local: vec![("_local/mine".into(), json!({"seq": 1}))],
            security: Some(
                json!({"admins": {"names": ["joe"], "roles": []}, "members": {"names": [], "roles": ["staff"]}}),
            ),
        }
    }

    /// What HTTP tells of such a database, in the form of the oracles, but for its ranges.
    pub fn expected(&self) -> Result<Value> {
        use base64::prelude::{BASE64_STANDARD, Engine};
        let mut docs = serde_json::Map::new();
        for document in &self.documents {
            let (rev, md5) = Self::revision(document)?;
            let mut json = document.body.clone();
            json["_id"] = json!(document.id);
            json["_rev"] = json!(format!("1-{}", hex(&rev)));
            json["_revisions"] = json!({"start": 1, "ids": [hex(&rev)]});
            if document.deleted {
                json["_deleted"] = json!(true);
            }
            if let Some(data) = &document.attachment {
                json["_attachments"] = json!({"a.txt": {
                    "content_type": "text/plain",
                    "revpos": 1,
                    "digest": format!("md5-{}", BASE64_STANDARD.encode(md5)),
                    "data": BASE64_STANDARD.encode(data),
                }});
            }
            docs.insert(document.id.clone(), json!([json]));
        }
        let local: Vec<Value> = self
            .local
            .iter()
            .map(|(id, body)| {
                let mut body = body.clone();
                body["_id"] = json!(id);
                json!([id, body])
            })
            .collect();
        let deleted = self.documents.iter().filter(|document| document.deleted).count();
        let admins = json!({"members": {"roles": ["_admin"]}, "admins": {"roles": ["_admin"]}});
        Ok(json!({
            "doc_count": self.documents.len() - deleted,
            "doc_del_count": deleted,
            "props": {},
            "security": self.security.clone().unwrap_or(admins),
            "revs_limit": 1000,
            "local": local,
            "docs": docs,
        }))
    }

    /// The id of a document's revision, and the MD5 of its attachment.
    fn revision(document: &Document) -> Result<([u8; 16], [u8; 16])> {
        let md5 = document.attachment.as_ref().map_or([0; 16], |data| attachment_md5(data));
        let digest = |_| revision::AttachmentDigest { name: b"a.txt", content_type: b"text/plain", md5 };
        let digests: Vec<_> = document.attachment.iter().map(digest).collect();
        let (_, rev) = revision::next(None, document.deleted, &encode_json(&document.body)?, &digests);
        Ok((rev, md5))
    }

    /// The file.
    pub fn write(&self, writer: Writer) -> Result<Vec<u8>> {
        let mut out = Appender::new(Vec::new(), 0, Compression::default());
        let mut by_id = Vec::new();
        let mut seqs = TreeBuilder::new(TreeKind::Seq);
        for (i, document) in self.documents.iter().enumerate() {
            let seq = i as u64 + 1;
            let (rev, md5) = Self::revision(document)?;
            let (ptr, size) = summary(&mut out, document, md5, writer)?;
            let deleted = u64::from(document.deleted);
            let tree = encoded(|e| {
                e.list(1).tuple(2).uint(1).tuple(3).binary(&rev);
                match writer {
                    Writer::UpTo1_1 => e.tuple(3).bool(document.deleted).uint(ptr).uint(seq),
                    Writer::From1_2 => e.tuple(4).uint(deleted).uint(ptr).uint(seq).uint(size),
                };
                e.nil().nil();
            });
            let id = encoded(|e| {
                e.binary(document.id.as_bytes());
            });
            let in_ids = encoded(|e| {
                match writer {
                    Writer::UpTo1_1 => e.tuple(3).uint(seq).bool(document.deleted),
                    Writer::From1_2 => e.tuple(4).uint(seq).uint(deleted).uint(size),
                };
                e.raw(&tree);
            });
            let in_seqs = encoded(|e| match writer {
                Writer::UpTo1_1 => {
                    e.tuple(3).raw(&id);
                    for wanted in [!document.deleted, document.deleted] {
                        e.list(usize::from(wanted));
                        if wanted {
                            e.tuple(3).tuple(2).uint(1).binary(&rev).uint(seq).uint(ptr).nil();
                        }
                    }
                }
                Writer::From1_2 => {
                    e.tuple(4).raw(&id).uint(deleted).uint(size).raw(&tree);
                }
            });
            by_id.push((document.id.clone(), id, in_ids));
            let key = encoded(|e| {
                e.uint(seq);
            });
            seqs.push(&mut out, &key, &in_seqs)?;
        }
        by_id.sort();
        let mut ids = TreeBuilder::new(TreeKind::Id);
        for (_, id, value) in &by_id {
            ids.push(&mut out, id, value)?;
        }
        let mut locals = TreeBuilder::new(TreeKind::Local);
        for (id, body) in &self.local {
            let key = encoded(|e| {
                e.binary(id.as_bytes());
            });
            let body = encode_json(body)?;
            let value = encoded(|e| {
                e.tuple(2).uint(1).raw(&body);
            });
            locals.push(&mut out, &key, &value)?;
        }
        let trees = [ids.finish(&mut out)?, seqs.finish(&mut out)?, locals.finish(&mut out)?];
        let security = match &self.security {
            Some(security) => {
                let object = encode_json(security)?;
                // Without the tuple around it.
                let mut term = Encoder::versioned();
                term.raw(&object[2..]);
                Some(out.term(term.as_bytes())?.ptr)
            }
            None => None,
        };
        let version = if writer == Writer::UpTo1_1 { 5 } else { 6 };
        let mut header = Encoder::versioned();
        header.tuple(11).atom(b"db_header").uint(version).uint(self.documents.len() as u64).uint(0);
        for tree in &trees {
            tree_state(tree.as_ref(), writer, &mut header);
        }
        header.uint(0).atom(b"nil");
        match security {
            Some(ptr) => header.uint(ptr),
            None => header.atom(b"nil"),
        };
        header.uint(1000);
        out.header(header.as_bytes())?;
        Ok(out.into_inner())
    }
}

/// Writes body and attachments; gives the place and the size.
fn summary(
    out: &mut Appender<Vec<u8>>,
    document: &Document,
    md5: [u8; 16],
    writer: Writer,
) -> Result<(u64, u64)> {
    let mut attachments = Encoder::new();
    attachments.list(document.attachment.iter().count());
    if let Some(data) = &document.attachment {
        let len = data.len() as u64;
        attachments.tuple(8).binary(b"a.txt").binary(b"text/plain").list(data.chunks(4096).count());
        for piece in data.chunks(4096) {
            let written = out.piece(piece)?;
            attachments.tuple(2).uint(written.ptr).uint(piece.len() as u64);
        }
        attachments.nil().uint(len).uint(len).uint(1).binary(&md5).atom(b"identity").nil();
    }
    let body = encode_json(&document.body)?;
    let mut term = Encoder::versioned();
    match writer {
        Writer::UpTo1_1 => {
            term.tuple(2).raw(&body).raw(attachments.as_bytes());
        }
        Writer::From1_2 => {
            let packed = |part: &[u8]| {
                let mut term = Encoder::versioned();
                term.raw(part);
                couchfile::compression::pack(term.as_bytes(), Compression::Snappy)
            };
            term.tuple(2).binary(&packed(&body)).binary(&packed(attachments.as_bytes()));
        }
    }
    let written = out.summary(term.as_bytes())?;
    Ok((written.ptr, written.len))
}

fn tree_state(tree: Option<&TreeState>, writer: Writer, header: &mut Encoder) {
    match (tree, writer) {
        (None, _) => header.atom(b"nil"),
        (Some(tree), Writer::UpTo1_1) => header.tuple(2).uint(tree.ptr).raw(&tree.reduction),
        (Some(tree), Writer::From1_2) => {
            header.tuple(3).uint(tree.ptr).raw(&tree.reduction).uint(tree.size.unwrap_or(0))
        }
    };
}

fn encoded(write: impl FnOnce(&mut Encoder)) -> Vec<u8> {
    let mut encoder = Encoder::new();
    write(&mut encoder);
    encoder.finish()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
