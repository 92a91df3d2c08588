//! Writes the data of a small shop, `tests/page/shop.json`, as a node's data folder.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use couchcopy_tests::Result;
use couchfile::data_dir::{SHARD_MAPS, document_hash};
use couchfile::document::Encoding;
use couchfile::ejson::encode_json;
use couchfile::shard_map::ShardMap;
use couchfile::writer::{
    DatabaseWriter, NewAttachment, NewBody, NewDocument, NewRevision, Settings, random_uuid,
};
use serde_json::{Map, Value};

/// The node whose data it is.
pub(crate) const NODE: &str = "couchdb@127.0.0.1";
/// When all of its databases were made.
const SUFFIX: &str = ".1700000000";
/// Ranges of each.
const Q: u32 = 2;

/// Writes one state of the shop, `monday` or `tuesday`, to a new folder.
pub(crate) fn write(state: &str, data: &Path) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("page/shop.json");
    let states: Value = serde_json::from_slice(&fs::read(path)?)?;
    let databases = states[state].as_object().ok_or("no such state of the shop")?;
    fs::create_dir_all(data.join(".shards"))?;
    let mut maps = create(&data.join(SHARD_MAPS))?;
    for (name, revisions) in databases {
        let map = ShardMap::new(name, SUFFIX, Q, 1, &[NODE.to_owned()]);
        let body = NewBody { term: map.encode(), deleted: false, attachments: Vec::new() };
        maps.add(&NewDocument::first(name.as_bytes(), body))?;
        let documents = documents(revisions.as_array().ok_or("a database is a list")?)?;
        for shard in map.shards() {
            let mut file = create(&data.join(shard.path()))?;
            for document in &documents {
                if shard.range.contains(document_hash(&document.id, false)) {
                    file.add(document)?;
                }
            }
            file.finish()?.flush()?;
        }
    }
    maps.finish()?.flush()?;
    Ok(())
}

fn create(path: &Path) -> Result<DatabaseWriter<BufWriter<File>>> {
    fs::create_dir_all(path.parent().ok_or("a file without a folder")?)?;
    let out = BufWriter::new(File::create_new(path)?);
    Ok(DatabaseWriter::new(out, Settings::new(random_uuid()?, NODE))?)
}

/// Documents out of their revisions, each with its ancestry as HTTP tells it. Ancestors that are not in the list are known by
/// their ids only.
fn documents(revisions: &[Value]) -> Result<Vec<NewDocument>> {
    let mut documents: Vec<NewDocument> = Vec::new();
    for revision in revisions {
        let id = revision["_id"].as_str().ok_or("a document without id")?;
        let at = documents.iter().position(|document| document.id == id.as_bytes()).unwrap_or_else(|| {
            documents.push(NewDocument { id: id.into(), revisions: Vec::new() });
            documents.len() - 1
        });
        add(&mut documents[at], revision)?;
    }
    Ok(documents)
}

fn add(document: &mut NewDocument, revision: &Value) -> Result<()> {
    let last = revision["_revisions"]["start"].as_u64().ok_or("a revision without generation")?;
    let ids = revision["_revisions"]["ids"].as_array().ok_or("a revision without ancestry")?;
    let mut parent = None;
    for (id, generation) in ids.iter().rev().zip(last + 1 - ids.len() as u64..) {
        let id = bytes(id.as_str().ok_or("a revision without id")?)?;
        let known = document.revisions.iter().position(|its| its.generation == generation && its.id == id);
        parent = Some(known.unwrap_or_else(|| {
            document.revisions.push(NewRevision { generation, id, parent, body: None });
            document.revisions.len() - 1
        }));
    }
    document.revisions[parent.ok_or("a revision without ids")?].body = Some(body(revision, last)?);
    Ok(())
}

fn bytes(digits: &str) -> Result<Vec<u8>> {
    let byte = |pair| -> Result<u8> { Ok(u8::from_str_radix(str::from_utf8(pair)?, 16)?) };
    digits.as_bytes().chunks(2).map(byte).collect()
}

fn body(revision: &Value, generation: u64) -> Result<NewBody> {
    let members = revision.as_object().ok_or("a document is an object")?;
    let own: Map<String, Value> = members
        .iter()
        .filter(|(name, _)| !name.starts_with('_'))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect();
    let mut attachments = Vec::new();
    for (name, attachment) in revision["_attachments"].as_object().into_iter().flatten() {
        let data =
            BASE64_STANDARD.decode(attachment["data"].as_str().ok_or("an attachment without data")?)?;
        attachments.push(NewAttachment {
            name: name.clone(),
            content_type: attachment["content_type"].as_str().ok_or("an attachment without type")?.into(),
            original_len: data.len() as u64,
            data,
            revpos: generation,
            encoding: Encoding::Identity,
        });
    }
    let deleted = revision["_deleted"] == true;
    Ok(NewBody { term: encode_json(&Value::Object(own))?, deleted, attachments })
}
