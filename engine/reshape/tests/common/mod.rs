//! Databases of every shape, as shard files in memory, and what is in them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Mutex;

use couchfile::Database;
use couchfile::check::{Placement, check};
use couchfile::data_dir::{Range, document_hash};
use couchfile::document::Encoding;
use couchfile::ejson::encode_json;
use couchfile::error::CouchFileError;
use couchfile::read_at::FileBytes;
use couchfile::writer::{DatabaseWriter, NewAttachment, NewBody, NewDocument, Settings, random_uuid};
use filter::Filter;
use outcome::Result;
use reshape::{Counts, NewShard, NewShards, OldShard, Reshaping};
use serde_json::{Value, json};

/// What a file holds: for each document its revisions with what is stored of each, for each local document its revision and body,
/// and the purges of each document.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) documents: BTreeMap<Vec<u8>, Vec<Revision>>,
    pub(crate) locals: BTreeMap<Vec<u8>, (u64, Vec<u8>)>,
    pub(crate) purges: BTreeMap<Vec<u8>, (Vec<u8>, Vec<String>)>,
}

/// Revision, revision of the parent, and deleted flag, body and attachments if they are stored.
pub(crate) type Revision = (String, Option<String>, Option<(bool, Vec<u8>, Vec<(String, Vec<u8>)>)>);

impl Content {
    /// Adds what a file holds; no document may be there already.
    pub(crate) fn add<R: couchfile::ReadAt>(&mut self, file: &Database<R>) {
        file.for_each_document(|doc| {
            let tree = doc.revisions.as_ref().unwrap().revisions();
            let mut revisions = Vec::new();
            for revision in tree {
                let stored = revision.stored.map(|stored| {
                    let summary = file.summary(&stored).unwrap();
                    let attachments = summary.attachments.iter().map(|attachment| {
                        let mut content = Vec::new();
                        let put = |bytes: &[u8]| {
                            content.extend_from_slice(bytes);
                            Ok(())
                        };
                        file.attachment(attachment, put).unwrap();
                        let facts = (&attachment.content_type, attachment.original_len, attachment.revpos);
                        let more = (attachment.encoding, hex::encode(&attachment.md5));
                        (format!("{} {facts:?} {more:?}", attachment.name), content)
                    });
                    (stored.deleted, summary.body.as_slice().to_vec(), attachments.collect())
                });
                revisions.push((revision.to_string(), revision.parent.map(|i| tree[i].to_string()), stored));
            }
            assert!(self.documents.insert(doc.id.to_vec(), revisions).is_none());
            Ok::<(), CouchFileError>(())
        })
        .unwrap();
        file.for_each_local(|doc| {
            self.locals.insert(doc.id.to_vec(), (doc.revision, doc.body.to_vec()));
            Ok::<(), CouchFileError>(())
        })
        .unwrap();
        file.for_each_purge(|purge| {
            let revisions = purge.revisions.iter().map(|(generation, id)| format!("{generation}-{id}"));
            self.purges.insert(purge.uuid.to_vec(), (purge.id.to_vec(), revisions.collect()));
            Ok::<(), CouchFileError>(())
        })
        .unwrap();
    }
}

fn body(json: &Value) -> NewBody {
    NewBody { term: encode_json(json).unwrap(), deleted: false, attachments: Vec::new() }
}

fn attachment(i: usize, len: usize) -> NewAttachment {
    NewAttachment {
        name: format!("file-{i}"),
        content_type: "text/plain".into(),
        data: (0..len).map(|n| (n * 7 % 251 + i) as u8).collect(),
        original_len: len as u64 * 2,
        revpos: 1,
        encoding: if i.is_multiple_of(2) { Encoding::Gzip } else { Encoding::Identity },
    }
}

/// A document of one of several kinds.
pub(crate) fn document(i: usize, partitioned: bool) -> NewDocument {
    let id = match (i % 50, partitioned) {
        (0, _) => format!("_design/d{i}"),
        (_, true) => format!("part{}:{:05}", i % 23, i * 7919 % 10_007),
        (_, false) => format!("{:05}", i * 7919 % 10_007),
    };
    let mut doc = NewDocument::first(id.as_bytes(), body(&json!({ "i": i, "t": "x".repeat(i % 300) })));
    match i % 7 {
        0 => {
            doc.edit(0, body(&json!({"v": 2}))).unwrap();
            let other = doc.edit(0, body(&json!({"v": 3}))).unwrap();
            doc.edit(other, NewBody { deleted: true, ..body(&json!({})) }).unwrap();
        }
        1 => {
            doc.edit(0, NewBody { deleted: true, ..body(&json!({"why": i})) }).unwrap();
        }
        2 => {
            // Of the ancestor only the id is known.
            doc.edit(0, body(&json!({"v": 2}))).unwrap();
            doc.revisions[0].body = None;
        }
        3 => {
            let mut with = body(&json!({"has": i}));
            let large = if i.is_multiple_of(70) { 300_000 } else { 100 };
            with.attachments =
                vec![attachment(i, large + i), attachment(i + 1, 0), attachment(i + 2, 65_536)];
            doc.edit(0, with).unwrap();
        }
        _ => {}
    }
    doc
}

/// A database of so many documents in so many ranges.
pub(crate) fn database(q: u32, count: usize, partitioned: bool) -> Vec<OldShard> {
    let ranges = Range::split(q);
    let mut writers: Vec<_> = ranges
        .iter()
        .map(|_| {
            let mut settings = Settings::new(random_uuid().unwrap(), "a@b");
            settings.partitioned = partitioned;
            settings.revs_limit = 77;
            let security = json!({"admins": {"names": ["joe"]}, "members": {}});
            settings.security = Some(encode_json(&security).unwrap());
            DatabaseWriter::new(Vec::new(), settings).unwrap()
        })
        .collect();
    let place = |id: &[u8]| {
        let hash = document_hash(id, partitioned);
        ranges.iter().position(|range| range.contains(hash)).unwrap()
    };
    for i in 0..count {
        let doc = document(i, partitioned);
        writers[place(&doc.id)].add(&doc).unwrap();
        if i.is_multiple_of(3) {
            let uuid =
                format!("{:032x}", (i as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834));
            writers[place(&doc.id)].add_purge(
                &uuid,
                &doc.id,
                &[(1, vec![i as u8; 16]), (2, b"text".to_vec())],
            );
        }
        if i.is_multiple_of(5) {
            let id = format!("_local/{i}");
            writers[place(id.as_bytes())].add_local(
                id.as_bytes(),
                i as u64 + 1,
                &encode_json(&json!({"i": i})).unwrap(),
            );
        }
    }
    for (i, writer) in writers.iter_mut().enumerate() {
        // CouchDB's own, which lie in every shard.
        for id in ["_local/shard-sync-a-b", "_local/purge-mem3-a", "_local/purge-mrview-a"] {
            writer.add_local(id.as_bytes(), i as u64, &encode_json(&json!({"seq": i})).unwrap());
        }
    }
    ranges
        .iter()
        .zip(writers)
        .map(|(range, writer)| {
            let file = writer.finish().unwrap();
            let file = Database::open(Box::new(file) as contents::AnySource).unwrap();
            OldShard { name: format!("shards/{range}/db.couch"), range: *range, file }
        })
        .collect()
}

/// Content of all shards, without CouchDB's own local documents.
pub(crate) fn content(shards: &[OldShard]) -> Content {
    let mut content = Content::default();
    for shard in shards {
        content.add(&shard.file);
    }
    content.locals.retain(|id, _| !id.starts_with(b"_local/shard-sync") && !id.starts_with(b"_local/purge"));
    content
}

/// New shards in files without names.
struct Files {
    finished: Mutex<BTreeMap<usize, File>>,
}

impl NewShards for Files {
    fn create(&self, _: usize) -> Result<File> {
        Ok(tempfile::tempfile().unwrap())
    }

    fn path(&self, number: usize) -> PathBuf {
        format!("/new/{number}").into()
    }

    fn finish(&self, number: usize, file: File) -> Result<()> {
        assert!(self.finished.lock().unwrap().insert(number, file).is_none());
        Ok(())
    }

    fn passed(&self, _: u64) -> Result<()> {
        Ok(())
    }
}

/// Moves a database to so many ranges; every new file must be intact.
pub(crate) fn reshaped(
    old: &[OldShard],
    q: u32,
    partitioned: bool,
    threads: usize,
) -> Result<(Vec<OldShard>, Counts)> {
    filtered(old, q, partitioned, threads, None)
}

/// The same through a filter.
pub(crate) fn filtered(
    old: &[OldShard],
    q: u32,
    partitioned: bool,
    threads: usize,
    filter: Option<&dyn Filter>,
) -> Result<(Vec<OldShard>, Counts)> {
    let new: Vec<NewShard> = Range::split(q)
        .into_iter()
        .map(|range| NewShard { range, uuid: random_uuid().unwrap(), node: "c@d".into() })
        .collect();
    let scratch = tempfile::tempdir().unwrap();
    let files = Files { finished: Mutex::default() };
    let scratch = scratch.path();
    let reshaping = Reshaping { database: "db", partitioned, old, new: &new, scratch, filter, threads };
    let counts = reshaping.run(&files)?;
    let finished = files.finished.into_inner().unwrap();
    assert_eq!(finished.len(), new.len());
    let shards = new.iter().zip(finished.into_values()).map(|(shard, file)| {
        let bytes = FileBytes::new(file).unwrap();
        let file = Database::open(Box::new(bytes) as contents::AnySource).unwrap();
        let report = check(&file, Some(Placement { range: shard.range, partitioned })).unwrap();
        assert!(report.is_whole(), "{} to {q}: {:?}", old.len(), report.problems);
        assert_eq!(file.header().uuid.as_deref(), Some(shard.uuid.as_str()));
        assert_eq!(file.header().revs_limit, 77);
        let security = json!({"admins": {"names": ["joe"]}, "members": {}});
        assert_eq!(file.security_json().unwrap(), Some(security.into()));
        OldShard { name: format!("shards/{}/new.couch", shard.range), range: shard.range, file }
    });
    Ok((shards.collect(), counts))
}
