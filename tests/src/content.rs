//! The logical content of data folders, read with `couchfile` alone.
//!
//! It has the shape in which the oracles of `tests/data` tell what HTTP said: per database the document counts,
//! properties, security object, `_revs_limit`, ranges, local documents and, for every document id, the leaf revisions
//! sorted by `_rev`, with ancestry and attachments.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use couchfile::data_dir::SHARD_MAPS;
use couchfile::database::Database;
use couchfile::document::{self, AttachmentForm, DocInfo, JsonOptions};
use couchfile::read_at::{FileBytes, ReadAt};
use couchfile::shard_map::ShardMap;
use serde_json::{Map, Value, json};

use crate::Result;

/// What is CouchDB's own among the local documents, and differs from copy to copy.
const INTERNAL_LOCALS: [&str; 2] = ["_local/shard-sync", "_local/purge-"];

/// Opens a database file.
pub fn open(path: &Path) -> Result<Database<FileBytes>> {
    let named = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let file = File::open(path).and_then(FileBytes::new).map_err(|e| named(&e))?;
    Ok(Database::open(file).map_err(|e| named(&e))?)
}

/// The shard maps of a data folder by name of the database.
pub fn shard_maps(folder: &Path) -> Result<BTreeMap<String, ShardMap>> {
    let file = open(&folder.join(SHARD_MAPS))?;
    let mut maps = BTreeMap::new();
    file.for_each_document(|doc| -> Result<()> {
        let winner = doc.revisions.as_ref().and_then(|tree| tree.winner()).and_then(|leaf| leaf.stored);
        // Design documents stand among the maps; a deleted database leaves a deleted document.
        if doc.deleted || doc.id.starts_with(b"_design/") {
            return Ok(());
        }
        let stored = winner.ok_or("a shard map without body")?;
        let name = std::str::from_utf8(doc.id)?;
        let map = ShardMap::decode(name, &mut file.summary(&stored)?.body.decoder())
            .map_err(|e| format!("shard map of \"{name}\": {e}"))?;
        maps.insert(name.to_owned(), map);
        Ok(())
    })?;
    Ok(maps)
}

/// The content of a cluster, given the data folders of all its nodes. Every range is read from the first folder that
/// has its file. Where shards disagree about the security object or the limit of revisions, all values are given as an
/// array (CouchDB forgets a limit when it compacts a shard without local documents).
///
/// Fails where the nodes' maps differ, a range is in no folder, or a file is damaged.
pub fn read_cluster(folders: &[&Path]) -> Result<Value> {
    let mut databases = Map::new();
    for (name, map) in &agreed_maps(folders)? {
        let mut content = DatabaseContent::default();
        for shard in map.shards() {
            let path = shard.path();
            let file = folders.iter().map(|folder| folder.join(&path)).find(|file| file.exists());
            content.add(&open(&file.ok_or_else(|| format!("{path}: in no folder"))?)?, &path)?;
        }
        databases.insert(name.clone(), content.into_json(map));
    }
    Ok(databases.into())
}

/// The shard maps, which must be the same in every folder.
pub fn agreed_maps(folders: &[&Path]) -> Result<BTreeMap<String, ShardMap>> {
    let (first, others) = folders.split_first().ok_or("no folders")?;
    let maps = shard_maps(first)?;
    for other in others {
        if shard_maps(other)? != maps {
            return Err(format!("{} and {} hold different maps", first.display(), other.display()).into());
        }
    }
    Ok(maps)
}

/// The content of one shard's file, in the shape of a whole database.
pub fn read_shard(path: &Path, map: &ShardMap) -> Result<Value> {
    let mut content = DatabaseContent::default();
    content.add(&open(path)?, &path.display().to_string())?;
    Ok(content.into_json(map))
}

/// What the shards of a database hold together.
#[derive(Debug, Default)]
struct DatabaseContent {
    documents: u64,
    deleted: u64,
    /// Every security object and every limit found in its shards, as text.
    security: BTreeMap<String, Value>,
    revs_limits: BTreeSet<u64>,
    local: BTreeMap<String, Value>,
    docs: BTreeMap<String, Value>,
}

impl DatabaseContent {
    /// Adds a shard; `what` names it in errors.
    fn add(&mut self, file: &Database<FileBytes>, what: &str) -> Result<()> {
        let (documents, deleted) = file.counts()?;
        self.documents += documents;
        self.deleted += deleted;
        let security = security(file)?;
        self.security.insert(security.to_string(), security);
        self.revs_limits.insert(file.header().revs_limit);
        file.for_each_document(|doc| -> Result<()> {
            let id = std::str::from_utf8(doc.id)?.to_owned();
            let leaves = leaves(file, doc).map_err(|e| format!("{what}: {id}: {e}"))?;
            if self.docs.insert(id.clone(), leaves).is_some() {
                return Err(format!("{what}: {id} is in another shard, too").into());
            }
            Ok(())
        })?;
        for (id, mut doc) in locals(file)? {
            if INTERNAL_LOCALS.iter().any(|prefix| id.starts_with(prefix)) {
                continue;
            }
            doc.as_object_mut().ok_or("a local document that is no object")?.shift_remove("_rev");
            if self.local.insert(id.clone(), doc).is_some() {
                return Err(format!("{what}: {id} is in another shard, too").into());
            }
        }
        Ok(())
    }

    fn into_json(self, map: &ShardMap) -> Value {
        // Of the properties, HTTP shows this one only.
        let props = if map.is_partitioned() { json!({"partitioned": true}) } else { json!({}) };
        json!({
            "doc_count": self.documents,
            "doc_del_count": self.deleted,
            "props": props,
            "security": one_or_all(self.security.into_values()),
            "revs_limit": one_or_all(self.revs_limits.into_iter().map(Value::from)),
            "ranges": map.by_range.keys().map(ToString::to_string).collect::<Vec<_>>(),
            "local": self.local.into_iter().map(|(id, doc)| json!([id, doc])).collect::<Vec<_>>(),
            "docs": self.docs.into_iter().collect::<Map<_, _>>(),
        })
    }
}

/// The value where all shards agree, else an array of all values: no oracle has one there, so a comparison tells it.
fn one_or_all(mut values: impl ExactSizeIterator<Item = Value>) -> Value {
    if values.len() == 1 { values.next().unwrap_or_default() } else { values.collect() }
}

/// A file's security object; CouchDB's default where it has none.
pub fn security<R: ReadAt>(file: &Database<R>) -> Result<Value> {
    let default = || json!({"members": {"roles": ["_admin"]}, "admins": {"roles": ["_admin"]}});
    match file.security_json()? {
        Some(found) => Ok(serde_json::from_slice(&found.to_vec())?),
        None => Ok(default()),
    }
}

/// A document's leaf revisions, sorted by `_rev` as text.
pub fn leaves<R: ReadAt>(file: &Database<R>, doc: &DocInfo<'_>) -> Result<Value> {
    let tree = doc.revisions.as_ref().ok_or("an entry without revisions")?;
    let mut found = BTreeMap::new();
    for leaf in tree.leaves() {
        let mut text = Vec::new();
        let options =
            JsonOptions { revs: true, attachments: AttachmentForm::InlineAfter(0), ..JsonOptions::default() };
        document::leaf_json(file, doc, tree, leaf, options, &mut text)?;
        found.insert(leaf.to_string(), serde_json::from_slice::<Value>(&text)?);
    }
    Ok(found.into_values().collect())
}

/// All local documents of a file, CouchDB's own ones too, by id.
pub fn locals<R: ReadAt>(file: &Database<R>) -> Result<BTreeMap<String, Value>> {
    let mut found = BTreeMap::new();
    file.for_each_local(|doc| -> Result<()> {
        let mut text = Vec::new();
        document::local_json(doc, &mut text)?;
        found.insert(String::from_utf8(doc.id.to_vec())?, serde_json::from_slice(&text)?);
        Ok(())
    })?;
    Ok(found)
}
