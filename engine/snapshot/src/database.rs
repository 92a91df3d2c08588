//! A database of an archive: its shards put together.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use contents::{AnySource, OpenFile};
use couchfile::btree::{Fault, Key, TreeKind};
use couchfile::data_dir::{Range, ShardName, document_hash};
use couchfile::database::Database;
use couchfile::document::{self, LocalDocument};
use couchfile::error::CouchFileError;
use couchfile::json::Json;
use couchfile::ring;
use couchfile::shard_map::ShardMap;
use serde_json::{Value, json};

use crate::document::Document;
use crate::error::{Error, Result};
use crate::iterators::{InOrder, ShardChanges};
use crate::lanes::Lanes;
use crate::since::Since;
use crate::snapshot::Snapshot;
use crate::unpacked::unpack;
use crate::walk::{Flow, Walk};

/// A database of an archive. Its shards are opened when they are needed.
pub struct SnapshotDatabase {
    snapshot: Arc<Snapshot>,
    map: ShardMap,
    shards: Vec<Shard>,
    /// `_revs_limit` and `_purged_infos_limit` as CouchDB reported them, if it was queried.
    limits: (Option<u64>, Option<u64>),
    /// Whether its files were unpacked.
    unpacked: bool,
    /// Bytes of memory that its open shards take, as the snapshot counts them.
    held: AtomicU64,
}

impl Drop for SnapshotDatabase {
    fn drop(&mut self) {
        self.snapshot.release(self.held.load(Ordering::Relaxed));
    }
}

struct Shard {
    name: ShardName,
    file: OnceLock<Database<AnySource>>,
}

/// The figures of a database, summed over its shards.
#[derive(Debug, Clone, PartialEq)]
pub struct Info {
    /// Documents that exist.
    pub documents: u64,
    /// Documents that are deleted.
    pub deleted: u64,
    /// The sequence of the last change of every shard.
    pub update_seq: Since,
    /// The last purge of every shard.
    pub purge_seq: Since,
    /// Bytes of the files.
    pub file_size: u64,
    /// Bytes in use in the files.
    pub active_size: u64,
    /// Bytes of the content as JSON.
    pub external_size: u64,
    /// Version of the format of the files.
    pub disk_format_version: u64,
    /// When the database was created, in seconds since 1970, according to the names of its files.
    pub created: Option<u64>,
}

impl SnapshotDatabase {
    /// Combines the shards in use: one ring of them if the database was saved during shard splitting. `others` are ranges that
    /// were saved although the map does not name them.
    pub(crate) fn new(
        snapshot: Arc<Snapshot>,
        map: ShardMap,
        others: &[Range],
        limits: &Value,
    ) -> Result<Self> {
        let map = counted(&snapshot, map, others)?;
        let shards = map.shards().map(|name| Shard { name, file: OnceLock::new() }).collect();
        let limits = (limits["revs_limit"].as_u64(), limits["purged_infos_limit"].as_u64());
        Ok(Self { snapshot, map, shards, limits, unpacked: false, held: AtomicU64::new(0) })
    }

    /// Whether its files can be read at any offset without unpacking much more than what is requested.
    pub fn is_unpacked(&self) -> bool {
        self.unpacked || !self.snapshot.is_indexed()
    }

    /// The same database with its files unpacked into temporary files without names, which are removed with it. `None` if
    /// `go_on`, which is called after every MiB, ended the unpacking.
    pub fn unpacked_into(&self, folder: &Path, go_on: &(dyn Fn() -> bool + Sync)) -> Result<Option<Self>> {
        let closed = |shard: &Shard| Shard { name: shard.name.clone(), file: OnceLock::new() };
        let copy = Self {
            snapshot: Arc::clone(&self.snapshot),
            map: self.map.clone(),
            shards: self.shards.iter().map(closed).collect(),
            limits: self.limits,
            unpacked: true,
            held: AtomicU64::new(0),
        };
        let take = |number: usize, file| {
            copy.shards[number].file.get_or_init(|| file);
        };
        let whole = unpack(self, self.shards.len(), folder, &take, go_on)?;
        Ok(whole.then_some(copy))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.map.db
    }

    /// Its shard map.
    pub fn map(&self) -> &ShardMap {
        &self.map
    }

    /// The archive.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Counts, sizes and sequences.
    pub fn info(&self) -> Result<Info> {
        let mut info = Info {
            documents: 0,
            deleted: 0,
            update_seq: Since::default(),
            purge_seq: Since::default(),
            file_size: 0,
            active_size: 0,
            external_size: 0,
            disk_format_version: 0,
            created: self.map.suffix.strip_prefix('.').and_then(|time| u64::from_str(time).ok()),
        };
        for number in 0..self.shards.len() {
            let file = self.file(number)?;
            let failed = |e| self.damaged(number, e);
            let (documents, deleted) = file.counts().map_err(failed)?;
            let sizes = file.sizes().map_err(failed)?;
            info.documents = info.documents.saturating_add(documents);
            info.deleted = info.deleted.saturating_add(deleted);
            info.update_seq.0.push(file.header().update_seq);
            info.purge_seq.0.push(file.purge_seq().map_err(failed)?);
            info.file_size = info.file_size.saturating_add(file.source().len());
            info.active_size = info.active_size.saturating_add(sizes.active);
            info.external_size = info.external_size.saturating_add(sizes.external);
            info.disk_format_version = info.disk_format_version.max(file.header().disk_version);
        }
        Ok(info)
    }

    /// The security object; CouchDB's default if there is none.
    pub fn security(&self) -> Result<Json> {
        let found = match self.snapshot.security_of(self.name()) {
            Some(chosen) => Some(chosen.clone()).filter(|object| !object.is_null()).map(Json::from),
            None => self.file(0)?.security_json().map_err(|e| self.damaged(0, e))?,
        };
        let default = || json!({"members": {"roles": ["_admin"]}, "admins": {"roles": ["_admin"]}});
        Ok(found.unwrap_or_else(|| default().into()))
    }

    /// How many revisions of a document are remembered.
    pub fn revs_limit(&self) -> Result<u64> {
        match self.limits.0 {
            Some(limit) => Ok(limit),
            None => Ok(self.file(0)?.header().revs_limit),
        }
    }

    /// How many purges are remembered.
    pub fn purge_infos_limit(&self) -> Result<u64> {
        match self.limits.1 {
            Some(limit) => Ok(limit),
            None => Ok(self.file(0)?.header().purge_infos_limit),
        }
    }

    /// Looks up a document, including deleted ones.
    pub fn document(&self, id: &str) -> Result<Option<Document<'_>>> {
        for number in self.shards_of(id) {
            let file = self.file(number)?;
            let mut cursor = file
                .cursor_from(TreeKind::Id, Key::Bytes(id.as_bytes()))
                .map_err(|e| self.damaged(number, e))?;
            let entry = cursor.next_entry().map_err(|e| self.damaged(number, e))?;
            if let Some(entry) = entry
                && entry.key == Key::Bytes(id.as_bytes())
            {
                let document = Document::from_id_tree(file, id.as_bytes(), entry.value.to_vec())
                    .map_err(|e| self.damaged(number, e))?;
                return Ok(Some(document));
            }
        }
        Ok(None)
    }

    /// Calls `each` with the documents of a walk over the ids, including deleted ones.
    pub fn documents<E: From<Error>>(
        &self,
        walk: &Walk,
        mut each: impl FnMut(&Document<'_>) -> Result<Flow, E>,
    ) -> Result<(), E> {
        for found in self.in_order(walk)? {
            let (_, document) = found?;
            if each(&document)? == Flow::Stop {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The documents of a walk over the ids, one by one.
    pub fn in_order(&self, walk: &Walk) -> Result<InOrder<'_>> {
        let files = self.files()?;
        let lanes = Lanes::new(files.iter().copied(), TreeKind::Id, walk);
        let lanes = lanes.map_err(|(number, e)| self.damaged(number, e))?;
        Ok(InOrder::new(self, lanes))
    }

    /// The documents of a walk over the ids, skipping whatever is damaged: shards that cannot be opened, nodes of their trees,
    /// documents. Each damage comes as an error among the documents ([`Error::is_damage`]).
    pub fn in_order_around_damage(&self, walk: &Walk) -> Result<InOrder<'_>> {
        let (files, damage) = self.readable_files()?;
        let lanes = Lanes::around_damage(files, TreeKind::Id, walk);
        let lanes = lanes.map_err(|(number, e)| self.damaged(number, e))?;
        Ok(InOrder::around_damage(self, lanes, damage))
    }

    /// The shards that can be opened, with their numbers, and the errors of the others.
    #[allow(clippy::type_complexity)]
    fn readable_files(&self) -> Result<(Vec<(usize, &Database<AnySource>)>, VecDeque<Error>)> {
        let (mut files, mut damage) = (Vec::new(), VecDeque::new());
        for number in 0..self.shards.len() {
            match self.file(number) {
                Ok(file) => files.push((number, file)),
                Err(e) if e.is_damage() => damage.push_back(e),
                Err(e) => return Err(e),
            }
        }
        Ok((files, damage))
    }

    /// Number of documents that are not deleted and whose ids come before `id`. Fast for any number of documents.
    pub fn documents_before(&self, id: &[u8]) -> Result<u64> {
        let mut count = 0u64;
        for (number, file) in self.files()?.into_iter().enumerate() {
            let before =
                file.reduce_before(TreeKind::Id, Key::Bytes(id)).map_err(|e| self.damaged(number, e))?;
            count = count.saturating_add(before.count);
        }
        Ok(count)
    }

    /// Number of documents that changed after `since`. Fast for any number of documents.
    pub fn changes_after(&self, since: &Since) -> Result<u64> {
        let mut count = 0u64;
        for (number, file) in self.files()?.into_iter().enumerate() {
            let until = |seq| file.reduce_before(TreeKind::Seq, Key::Seq(seq)).map(|before| before.count);
            let failed = |e| self.damaged(number, e);
            let all = until(u64::MAX).map_err(failed)?;
            let before = until(since.of(number).saturating_add(1)).map_err(failed)?;
            count = count.saturating_add(all.saturating_sub(before));
        }
        Ok(count)
    }

    /// Calls `each` once with every document that changed after `since`, in the order of the changes within each shard, and with
    /// the sequence reached. Shards come one after the other: changes of different shards have no order in CouchDB either. If
    /// descending, everything comes in the opposite order and `since` is ignored.
    pub fn changes<E: From<Error>>(
        &self,
        since: &Since,
        descending: bool,
        mut each: impl FnMut(&Document<'_>, &Since) -> Result<Flow, E>,
    ) -> Result<(), E> {
        let files = self.files()?;
        let mut reached = Since((0..files.len()).map(|number| since.of(number)).collect());
        if descending {
            reached.0 = files.iter().map(|file| file.header().update_seq).collect();
            for (number, file) in files.iter().enumerate().rev() {
                let failed = |e| self.damaged(number, e);
                let mut cursor = file.cursor_back(TreeKind::Seq, None).map_err(failed)?;
                while let Some(entry) = cursor.next_entry().map_err(failed)? {
                    let document =
                        Document::from_seq_tree(file, entry.key, entry.value.to_vec()).map_err(failed)?;
                    reached.0[number] = document.seq();
                    if each(&document, &reached)? == Flow::Stop {
                        return Ok(());
                    }
                }
                reached.0[number] = 0;
            }
            return Ok(());
        }
        for (number, file) in files.iter().enumerate() {
            for document in self.shard_changes(number, since.of(number))? {
                let document = document?;
                reached.0[number] = document.seq();
                if each(&document, &reached)? == Flow::Stop {
                    return Ok(());
                }
            }
            reached.0[number] = reached.0[number].max(file.header().update_seq);
        }
        Ok(())
    }

    /// The documents of one shard that changed after `since`, in the order of the changes.
    pub fn shard_changes(&self, number: usize, since: u64) -> Result<ShardChanges<'_>> {
        let file = self.file(number)?;
        let cursor = file
            .cursor_from(TreeKind::Seq, Key::Seq(since.saturating_add(1)))
            .map_err(|e| self.damaged(number, e))?;
        Ok(ShardChanges::new(self, number, file, cursor, false))
    }

    /// The documents of one shard that changed after `since`, skipping damaged nodes of the tree and damaged entries, which come
    /// as errors among the documents ([`Error::is_damage`]).
    pub fn shard_changes_around_damage(&self, number: usize) -> Result<ShardChanges<'_>> {
        let file = self.file(number)?;
        let cursor = file.cursor_around_damage(TreeKind::Seq).map_err(|e| self.damaged(number, e))?;
        Ok(ShardChanges::new(self, number, file, cursor, true))
    }

    /// Looks up a local document; `id` begins with `_local/`.
    pub fn local(&self, id: &str) -> Result<Option<Json>> {
        for number in self.shards_of(id) {
            let file = self.file(number)?;
            let found =
                file.local_document(id.as_bytes(), local_value).map_err(|e| self.damaged(number, e))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Calls `each` with the local documents of a walk over their ids. CouchDB's own are among them, see
    /// [`Self::is_internal_local`].
    pub fn locals<E: From<Error>>(
        &self,
        walk: &Walk,
        mut each: impl FnMut(&str, Json) -> Result<Flow, E>,
    ) -> Result<(), E> {
        let files = self.files()?;
        let failed = |(number, e)| self.damaged(number, e);
        let mut lanes = Lanes::new(files.iter().copied(), TreeKind::Local, walk).map_err(failed)?;
        while let Some(entry) = lanes.next().map_err(failed)? {
            let raw = couchfile::btree::Entry { key: Key::Bytes(&entry.key), value: &entry.value };
            let document = LocalDocument::from_entry(&raw)
                .map_err(|e| CouchFileError::Invalid(e.to_string()))
                .and_then(|doc| local_value(&doc))
                .map_err(|e| self.damaged(entry.lane, e))?;
            if each(&String::from_utf8_lossy(&entry.key), document)? == Flow::Stop {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Calls `each` with all local documents, and with an error for each damaged one.
    pub fn locals_around_damage<E: From<Error>>(
        &self,
        mut each: impl FnMut(Result<(&str, Json)>) -> Result<Flow, E>,
    ) -> Result<(), E> {
        let failed = |(number, e)| self.damaged(number, e);
        // Shards that cannot be opened are told of where documents are read.
        let (files, _) = self.readable_files()?;
        let mut lanes = Lanes::around_damage(files, TreeKind::Local, &Walk::default()).map_err(failed)?;
        loop {
            let next = lanes.next().map_err(failed)?;
            for (number, fault) in lanes.take_faults() {
                if each(Err(self.lost(number, "local documents", fault)))? == Flow::Stop {
                    return Ok(());
                }
            }
            let Some(entry) = next else { return Ok(()) };
            let raw = couchfile::btree::Entry { key: Key::Bytes(&entry.key), value: &entry.value };
            let id = String::from_utf8_lossy(&entry.key);
            let document = LocalDocument::from_entry(&raw)
                .map_err(|e| CouchFileError::Invalid(format!("{id}: {e}")))
                .and_then(|doc| local_value(&doc))
                .map_err(|e| self.damaged(entry.lane, e));
            if each(document.map(|document| (&*id, document)))? == Flow::Stop {
                return Ok(());
            }
        }
    }

    /// Whether a local document belongs to CouchDB itself (internal replication, purges of view indexes) and has no meaning
    /// elsewhere.
    pub fn is_internal_local(id: &str) -> bool {
        id.starts_with(couchfile::internal_replication::PREFIX) || id.starts_with("_local/purge-")
    }

    /// Shards that may hold a document: first the shard that its hash selects, then the others, in case a custom hash was used.
    fn shards_of(&self, id: &str) -> impl Iterator<Item = usize> + use<> {
        let hash = document_hash(id.as_bytes(), self.map.is_partitioned());
        let (here, elsewhere): (Vec<usize>, Vec<usize>) =
            (0..self.shards.len()).partition(|&number| self.shards[number].name.range.contains(hash));
        let elsewhere = if self.has_own_hash() { elsewhere } else { Vec::new() };
        here.into_iter().chain(elsewhere)
    }

    /// Whether a function in the database's properties assigns documents to shards.
    fn has_own_hash(&self) -> bool {
        !self.map.is_partitioned() && self.map.props_json().is_some_and(|props| props.get("hash").is_some())
    }

    fn files(&self) -> Result<Vec<&Database<AnySource>>> {
        (0..self.shards.len()).map(|number| self.file(number)).collect()
    }

    /// A shard's file, opened when it is first needed.
    pub(crate) fn file(&self, number: usize) -> Result<&Database<AnySource>> {
        let shard = &self.shards[number];
        if let Some(file) = shard.file.get() {
            return Ok(file);
        }
        let path = shard.name.path();
        let found = self.snapshot.files().open(&path)?;
        let OpenFile { content, memory } = found.ok_or_else(|| Error::MissingShard {
            archive: self.snapshot.name().to_owned(),
            db: self.map.db.clone(),
            path: path.clone(),
        })?;
        let file = Database::open(content).map_err(|e| self.snapshot.damaged(path, e))?;
        let mut is_new = false;
        let file = shard.file.get_or_init(|| {
            is_new = true;
            file
        });
        if is_new {
            self.held.fetch_add(memory, Ordering::Relaxed);
            self.snapshot.hold(memory);
        }
        Ok(file)
    }

    /// The error for damage that was skipped in a shard's tree of `what`.
    pub(crate) fn lost(&self, number: usize, what: &'static str, fault: Fault) -> Error {
        let Some(lost) = fault.lost else { return self.damaged(number, fault.why) };
        let path = self.shards.get(number).map_or_else(String::new, |shard| shard.name.path());
        Error::Lost {
            archive: self.snapshot.name().to_owned(),
            path,
            what,
            entries: lost.entries,
            keys: lost.to_string(),
            source: Box::new(fault.why),
        }
    }

    pub(crate) fn damaged(&self, number: usize, e: CouchFileError) -> Error {
        let what = self.shards.get(number).map_or_else(|| self.map.db.clone(), |shard| shard.name.path());
        self.snapshot.damaged(what, e)
    }
}

/// The map with the ranges in use. Reads files only if ranges overlap or are missing.
fn counted(snapshot: &Snapshot, map: ShardMap, others: &[Range]) -> Result<ShardMap> {
    if ring::is_closed(map.by_range.keys()) && others.is_empty() {
        return Ok(map);
    }
    let mut documents = HashMap::new();
    for range in map.by_range.keys().chain(others) {
        let path = ShardName { range: *range, db: map.db.clone(), suffix: map.suffix.clone() }.path();
        let Some(file) = snapshot.files().open(&path)? else { continue };
        // One that is damaged is told when it is needed: where no other files make a ring.
        if let Ok((live, deleted)) = Database::open(file.content).and_then(|file| file.counts()) {
            documents.insert(*range, live.saturating_add(deleted));
        }
    }
    let ring = ring::counted(&map, |range| documents.get(&range).copied(), || others.to_vec());
    Ok(match ring {
        Some(ring) => map.with_ranges(&ring),
        None => map,
    })
}

fn local_value(doc: &LocalDocument<'_>) -> couchfile::error::Result<Json> {
    let mut text = Vec::new();
    document::local_json(doc, &mut text)?;
    Json::parse(&text).map_err(|e| CouchFileError::Invalid(e.to_string()))
}
