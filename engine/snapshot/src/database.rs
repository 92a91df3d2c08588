//! A database of an archive: its shards put together.

mod changes;
mod local;
mod opened;

use std::collections::VecDeque;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use contents::{AnySource, OpenFile};
use couchfile::btree::{Fault, Key, TreeKind};
use couchfile::data_dir::{ShardName, document_hash};
use couchfile::database::Database;
use couchfile::error::CouchFileError;
use couchfile::json::Json;
use couchfile::read_at::Prefix;
use couchfile::shard_map::ShardMap;
use serde_json::json;

use crate::document::Document;
use crate::error::{Error, Result};
use crate::iterators::InOrder;
use crate::lanes::Lanes;
use crate::moment::{Moment, Shard};
use crate::since::Since;
use crate::snapshot::Snapshot;
use crate::unpacked::unpack;
use crate::walk::{Flow, Walk};

pub(crate) use opened::Opened;

/// A database of an archive. Its shards are opened when they are needed.
pub struct SnapshotDatabase {
    snapshot: Arc<Snapshot>,
    opened: Arc<Opened>,
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
    /// A database that has been found in a snapshot.
    pub(crate) fn of(snapshot: Arc<Snapshot>, opened: Arc<Opened>) -> Self {
        Self { snapshot, opened }
    }

    /// Whether its files can be read at any offset without unpacking much more than what is requested.
    pub fn is_unpacked(&self) -> bool {
        self.opened.unpacked || !self.snapshot.is_indexed()
    }

    /// The same database with its files unpacked into temporary files without names, which are removed with it. `None` if
    /// `go_on`, which is called with the number of bytes of every piece of 1 MiB that is unpacked, ended the unpacking.
    pub fn unpacked_into(&self, folder: &Path, go_on: &(dyn Fn(u64) -> bool + Sync)) -> Result<Option<Self>> {
        let copy = self.opened.closed(true);
        let take = |number: usize, file| {
            copy.shards[number].file.get_or_init(|| file);
        };
        let whole = unpack(self, self.opened.shards.len(), folder, &take, go_on)?;
        Ok(whole.then(|| Self::of(Arc::clone(&self.snapshot), Arc::new(copy))))
    }

    /// The same database with one shard in the state whose header ends at `end`.
    pub fn with_shard_until(&self, number: usize, end: u64) -> Result<Self> {
        let path = self.opened.shards.get(number).map(|shard| shard.name.path()).unwrap_or_default();
        let file = self.open(&path)?;
        let before: AnySource = Box::new(Prefix::new(file.content, end));
        let state = Database::open(before).map_err(|e| self.damaged(number, e))?;
        let older = self.opened.closed(self.opened.unpacked);
        older.hold(file.memory);
        self.snapshot.make_room();
        older.shards[number].file.get_or_init(|| state);
        Ok(Self::of(Arc::clone(&self.snapshot), Arc::new(older)))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.opened.map.db
    }

    /// Its shard map.
    pub fn map(&self) -> &ShardMap {
        &self.opened.map
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
            created: self.opened.map.suffix.strip_prefix('.').and_then(|time| u64::from_str(time).ok()),
        };
        for number in 0..self.opened.shards.len() {
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
        // What was chosen when the backup was made is of that time.
        let chosen = self.snapshot.security_of(self.name()).filter(|_| self.snapshot.moment().is_none());
        let found = match chosen {
            Some(chosen) => Some(chosen.clone()).filter(|object| !object.is_null()).map(Json::from),
            None => self.file(0)?.security_json().map_err(|e| self.damaged(0, e))?,
        };
        let default = || json!({"members": {"roles": ["_admin"]}, "admins": {"roles": ["_admin"]}});
        Ok(found.unwrap_or_else(|| default().into()))
    }

    /// How many revisions of a document are remembered.
    pub fn revs_limit(&self) -> Result<u64> {
        match self.opened.limits.0 {
            Some(limit) => Ok(limit),
            None => Ok(self.file(0)?.header().revs_limit),
        }
    }

    /// How many purges are remembered.
    pub fn purge_infos_limit(&self) -> Result<u64> {
        match self.opened.limits.1 {
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
        for number in 0..self.opened.shards.len() {
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

    /// Shards that may hold a document: first the shard that its hash selects, then the others, in case a custom hash was used.
    pub fn shards_of(&self, id: &str) -> impl Iterator<Item = usize> + use<> {
        let hash = document_hash(id.as_bytes(), self.opened.map.is_partitioned());
        let (here, elsewhere): (Vec<usize>, Vec<usize>) = (0..self.opened.shards.len())
            .partition(|&number| self.opened.shards[number].name.range.contains(hash));
        let elsewhere = if self.has_own_hash() { elsewhere } else { Vec::new() };
        here.into_iter().chain(elsewhere)
    }

    /// Whether a function in the database's properties assigns documents to shards.
    fn has_own_hash(&self) -> bool {
        !self.opened.map.is_partitioned()
            && self.opened.map.props_json().is_some_and(|props| props.get("hash").is_some())
    }

    /// Its shards in the order of their ranges.
    pub fn shards(&self) -> impl Iterator<Item = &ShardName> {
        self.opened.shards.iter().map(|shard| &shard.name)
    }

    /// The file of shard number `number`.
    pub fn shard(&self, number: usize) -> Result<&Database<AnySource>> {
        self.file(number)
    }

    fn files(&self) -> Result<Vec<&Database<AnySource>>> {
        (0..self.opened.shards.len()).map(|number| self.file(number)).collect()
    }

    /// A shard's file, opened when it is first needed.
    pub(crate) fn file(&self, number: usize) -> Result<&Database<AnySource>> {
        let shard = &self.opened.shards[number];
        if let Some(file) = shard.file.get() {
            return Ok(file);
        }
        let path = shard.name.path();
        let OpenFile { content, memory } = self.open(&path)?;
        let mut file = Database::open(content).map_err(|e| self.snapshot.damaged(path, e))?;
        if let Some(moment) = self.snapshot.moment() {
            file = self.as_it_was(number, file, moment)?;
        }
        let mut is_new = false;
        let file = shard.file.get_or_init(|| {
            is_new = true;
            file
        });
        if is_new {
            self.opened.hold(memory);
            self.snapshot.make_room();
        }
        Ok(file)
    }

    fn open(&self, path: &str) -> Result<OpenFile> {
        self.snapshot.files().open(path)?.ok_or_else(|| Error::MissingShard {
            archive: self.snapshot.name().to_owned(),
            db: self.opened.map.db.clone(),
            path: path.to_owned(),
        })
    }

    /// A shard's file up to its state at a moment.
    fn as_it_was(
        &self,
        number: usize,
        file: Database<AnySource>,
        moment: &Moment,
    ) -> Result<Database<AnySource>> {
        let name = &self.opened.shards[number].name;
        let shown = format!("{} in {}", name.path(), self.snapshot.name());
        let shard = Shard { name: &shown, range: name.range, number, count: self.opened.shards.len() };
        let state = moment.find(&shard, &file)?;
        let before: AnySource = Box::new(Prefix::new(file.into_source(), state.end));
        Database::open(before).map_err(|e| self.damaged(number, e))
    }

    /// The error for damage that was skipped in a shard's tree of `what`.
    pub(crate) fn lost(&self, number: usize, what: &'static str, fault: Fault) -> Error {
        let Some(lost) = fault.lost else { return self.damaged(number, fault.why) };
        let path = self.opened.shards.get(number).map_or_else(String::new, |shard| shard.name.path());
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
        let what = self
            .opened
            .shards
            .get(number)
            .map_or_else(|| self.opened.map.db.clone(), |shard| shard.name.path());
        self.snapshot.damaged(what, e)
    }
}
