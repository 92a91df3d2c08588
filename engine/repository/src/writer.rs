//! Adds a backup to a repository.

mod job;
mod old;
mod pipeline;

use std::collections::HashSet;
use std::sync::Arc;

use archive::{Documents, EntrySource, Facts, Progress};
use outcome::{Failure, parallel};

use crate::PIECE;
use crate::error::{RepositoryError, Result};
use crate::manifest::{BaseLine, Line, Manifest, ManifestWriter, PackTable};
use crate::names::{INTENTS, PackName, SnapshotName, timed_key};
use crate::pack::PackWriter;
use crate::prune::marked_packs;
use crate::record::FileRecord;
use crate::repository::Repository;
use crate::snapshot::{ManifestPart, Snapshot};

use old::Old;
use pipeline::{Done, Pipeline};

/// How a backup is added.
#[derive(Debug, Clone)]
pub struct SnapshotOptions {
    /// Names of the nodes that are saved. It builds on the newest backup of the same nodes.
    pub nodes: Vec<String>,
    /// The machine that makes the backup.
    pub host: String,
    /// Threads that read and compress; 0: the number of cores.
    pub threads: usize,
    /// Level of compression of zstd.
    pub level: i32,
    /// Open every file, also those that the file system says are as they were.
    pub paranoid: bool,
    /// When the backup was made, if it was made before and is only brought here.
    pub made: Option<jiff::Timestamp>,
    /// Add nothing if no file but `metadata.yaml` differs from the backup that it builds on.
    pub only_if_changed: bool,
}

impl SnapshotOptions {
    /// The usual ones.
    pub fn new(nodes: Vec<String>) -> Self {
        Self {
            nodes,
            host: String::new(),
            threads: 0,
            level: crate::piece::LEVEL,
            paranoid: false,
            made: None,
            only_if_changed: false,
        }
    }
}

/// A finished backup.
#[derive(Debug, Clone)]
pub struct Added {
    /// Its name.
    pub name: SnapshotName,
    /// What the repository records of it.
    pub snapshot: Snapshot,
}

/// What was counted so far.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    files: u64,
    content_bytes: u64,
    read_files: u64,
    new_bytes: u64,
    documents: Documents,
    /// Whether a file other than `metadata.yaml` has come, gone or changed.
    is_changed: bool,
}

/// Adds a backup to a repository. Entries come in the order of an archive: `metadata.yaml` first, then by name.
///
/// Nothing is to be seen of the backup before [`SnapshotWriter::finish_with`] has written its snapshot.
pub struct SnapshotWriter {
    repository: Repository,
    name: SnapshotName,
    begun: jiff::Timestamp,
    options: SnapshotOptions,
    parent: Option<Snapshot>,
    /// The packs of the parent.
    known: PackTable,
    old: Old,
    /// Whether the manifest is the changes to the parent's base.
    builds_on_base: bool,
    manifest: ManifestWriter,
    packs: Arc<PackWriter>,
    /// Packs from which nothing is taken over.
    avoid: Arc<HashSet<PackName>>,
    intent: Option<String>,
    totals: Totals,
    failed: bool,
}

impl SnapshotWriter {
    /// Begins a backup.
    pub fn begin(repository: &Repository, options: SnapshotOptions) -> Result<Self> {
        let begun = options.made.unwrap_or_else(jiff::Timestamp::now);
        let name = SnapshotName::new(begun)?;
        // Without it, nothing could be committed in the end.
        repository.host()?;
        let intent = timed_key(INTENTS)?;
        repository.put_signed("intent", &intent, &name.to_string())?;
        let parent = newest_of(repository, &options.nodes)?;
        let manifest = parent.as_ref().map(|parent| Manifest::open(repository, parent)).transpose()?;
        let known = manifest.as_ref().map(|manifest| manifest.packs().clone()).unwrap_or_default();
        let mut avoid = marked_packs(repository)?;
        avoid.extend(known.packs().iter().filter(|pack| pack.used * 2 < pack.content).map(|pack| pack.name));
        let bytes = |parts: &[ManifestPart]| parts.iter().map(|part| part.size).sum::<u64>();
        let builds_on_base =
            parent.as_ref().is_some_and(|parent| bytes(&parent.changes) * 4 <= bytes(&parent.base));
        Ok(Self {
            repository: repository.clone(),
            name,
            begun,
            parent,
            known,
            old: Old::new(manifest.as_ref()),
            builds_on_base,
            manifest: ManifestWriter::new(repository),
            packs: Arc::new(PackWriter::new(repository)),
            avoid: Arc::new(avoid),
            intent: Some(intent),
            totals: Totals::default(),
            failed: false,
            options,
        })
    }

    /// The name of the backup.
    pub fn name(&self) -> SnapshotName {
        self.name
    }

    /// What was added so far. `archive_bytes` are the bytes of content that were new.
    pub fn added(&self) -> Progress {
        let Totals { files, content_bytes, new_bytes, .. } = self.totals;
        Progress { entries: files, content_bytes, archive_bytes: new_bytes }
    }

    /// Adds a file that is in memory. `mtime` is in seconds since 1970.
    pub fn add_bytes(&mut self, name: &str, mtime: u64, facts: Facts, content: &[u8]) -> Result<()> {
        let source = InMemory { name: name.to_owned(), mtime, facts, content: content.to_vec() };
        self.add_all_waiting(std::iter::once(source), &|_| {}, &|| {})
    }

    /// Adds files: opens, reads and compresses what is not in the repository yet, on all threads. `give_up` is called if adding
    /// ends early; see [`archive::ArchiveWriter::add_all_waiting`].
    pub fn add_all_waiting<S: EntrySource>(
        &mut self,
        sources: impl Iterator<Item = S> + Send,
        progress: &(dyn Fn(Progress) + Sync),
        give_up: &(dyn Fn() + Sync),
    ) -> Result<()> {
        if self.failed {
            return Err(RepositoryError::Bug("a backup goes on after a failure").into());
        }
        self.failed = true;
        let pipeline = Pipeline {
            packs: Arc::clone(&self.packs),
            avoid: Arc::clone(&self.avoid),
            level: self.options.level,
            threads: parallel::threads(self.options.threads),
            paranoid: self.options.paranoid,
        };
        let old = std::mem::take(&mut self.old);
        let old = pipeline.run(sources, old, give_up, &mut |done| {
            for done in done {
                self.take(done)?;
            }
            progress(self.added());
            Ok(())
        })?;
        self.old = old;
        self.failed = false;
        Ok(())
    }

    /// Writes what has become of a file.
    fn take(&mut self, done: Done) -> Result<()> {
        match done {
            Done::Gone(name) => {
                self.totals.is_changed = true;
                if self.builds_on_base {
                    self.manifest.add(&Line::Gone(name), None)?;
                }
            }
            Done::Same(record) => {
                self.count(&record.file);
                match (self.builds_on_base, record.base) {
                    (true, BaseLine::Same) => {}
                    (true, BaseLine::Other(base)) => {
                        self.manifest.add(&Line::File(record.file), Some(&base))?
                    }
                    (true, BaseLine::None) | (false, _) => {
                        self.manifest.add(&Line::File(record.file), None)?
                    }
                }
            }
            Done::New { file, base, new_bytes } => {
                self.totals.read_files += 1;
                self.totals.is_changed |= new_bytes > 0 && file.name != archive::METADATA;
                self.totals.new_bytes += new_bytes;
                self.count(&file);
                let base = base.filter(|_| self.builds_on_base);
                self.manifest.add(&Line::File(*file), base.as_deref())?;
            }
        }
        Ok(())
    }

    fn count(&mut self, file: &FileRecord) {
        self.totals.files += 1;
        self.totals.content_bytes += file.size;
        if let Facts::Shard { docs, deleted, .. } = &file.facts {
            self.totals.documents.live += docs;
            self.totals.documents.deleted += deleted;
        }
        self.manifest.table.count(file);
    }

    /// Ends the backup. `record` makes what is recorded about the backup run from the number of documents; `complete` says whether
    /// everything was saved, `databases` how many there are.
    ///
    /// `None` if nothing has changed, and nothing was to be added then.
    pub fn finish_with(
        mut self,
        record: impl FnOnce(Documents) -> serde_json::Result<Finish>,
    ) -> Result<Option<Added>> {
        if self.failed {
            return Err(RepositoryError::Bug("a backup is committed after a failure").into());
        }
        for gone in std::mem::take(&mut self.old).rest() {
            self.take(Done::Gone(gone?))?;
        }
        let finish =
            record(self.totals.documents).map_err(|_| RepositoryError::Bug("a record cannot be written"))?;
        let is_as_before = !self.totals.is_changed
            && self.parent.as_ref().is_some_and(|parent| parent.complete == finish.complete);
        if self.options.only_if_changed && is_as_before {
            return Ok(None);
        }
        let new = self.packs.finish()?;
        let mut manifest = ManifestWriter::new(&self.repository);
        std::mem::swap(&mut manifest, &mut self.manifest);
        for info in new.iter().chain(self.known.packs()) {
            manifest.table.describe(info);
        }
        if let Some(unknown) = manifest.table.packs().iter().find(|pack| pack.blake3.is_empty()) {
            let _ = unknown;
            return Err(RepositoryError::Bug("a file lies in a pack that nobody wrote").into());
        }
        let reused: Vec<PackName> = manifest
            .table
            .packs()
            .iter()
            .map(|pack| pack.name)
            .filter(|name| self.known.get(*name).is_some())
            .collect();
        let parts = manifest.finish(finish.record)?;
        let (base, changes) = match self.parent.as_ref().filter(|_| self.builds_on_base) {
            Some(parent) => (parent.base.clone(), parts),
            None => (parts, Vec::new()),
        };
        let Totals { files, content_bytes, read_files, new_bytes, .. } = self.totals;
        let snapshot = Snapshot {
            repository: self.repository.id().to_owned(),
            name: self.name.to_string(),
            begun: self.begun.to_string(),
            committed: jiff::Timestamp::now().to_string(),
            host: self.options.host.clone(),
            nodes: self.options.nodes.clone(),
            databases: finish.databases,
            documents: finish.documents,
            complete: finish.complete,
            files,
            content_bytes,
            read_files,
            new_bytes,
            added_bytes: new.iter().map(|pack| pack.size).sum(),
            parent: self.parent.as_ref().map(|parent| parent.name.clone()),
            base,
            changes,
            signer: self.repository.host()?.signing()?.public(),
        };
        snapshot.put(&self.repository, self.name)?;
        self.confirm(&snapshot, &reused)?;
        self.end_intent();
        Ok(Some(Added { name: self.name, snapshot }))
    }

    /// Looks whether a prune deletes what this backup needs; then the backup is withdrawn. See `prune` for why that suffices.
    fn confirm(&self, snapshot: &Snapshot, reused: &[PackName]) -> Result<()> {
        let is_lost = || -> Result<bool> {
            let marked = crate::prune::deleted_objects(&self.repository)?;
            let is_marked = reused.iter().any(|name| marked.contains(&name.key()))
                || snapshot.parts().any(|part| marked.contains(&part.key));
            if is_marked {
                return Ok(true);
            }
            if reused.is_empty() {
                return Ok(false);
            }
            let there = crate::prune::pack_names(&self.repository)?;
            Ok(reused.iter().any(|name| !there.contains(name)))
        };
        let lost = is_lost();
        if matches!(lost, Ok(false)) {
            return Ok(());
        }
        let refused = self.repository.directory().delete(&[self.name.key()])?;
        if let Some((_, error)) = refused.into_iter().next() {
            return Err(error.into());
        }
        lost?;
        Err(RepositoryError::Pruned { place: self.repository.name() }.into())
    }

    fn end_intent(&mut self) {
        if let Some(intent) = self.intent.take() {
            // One that stays only makes a prune more careful for some days.
            let _ = self.repository.directory().delete(&[intent]);
        }
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        self.end_intent();
    }
}

/// What a backup records in the end.
#[derive(Debug, Clone)]
pub struct Finish {
    /// The record of the backup run.
    pub record: serde_json::Value,
    /// Databases saved.
    pub databases: u64,
    /// Documents that exist, if they were counted.
    pub documents: Option<u64>,
    /// Whether everything was saved.
    pub complete: bool,
}

/// The newest backup of the same nodes that can be read.
fn newest_of(repository: &Repository, nodes: &[String]) -> Result<Option<Snapshot>> {
    for name in repository.snapshot_names()?.into_iter().rev() {
        match repository.snapshot(name) {
            Ok(Some(snapshot)) if snapshot.nodes == nodes => return Ok(Some(snapshot)),
            Ok(_) => {}
            // A backup that nobody can read does not keep others from being made.
            Err(failure) if failure.get::<RepositoryError>().is_some_and(is_damage) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(None)
}

fn is_damage(error: &RepositoryError) -> bool {
    matches!(error, RepositoryError::Damaged { .. } | RepositoryError::Signature { .. })
}

/// A file that is in memory.
struct InMemory {
    name: String,
    mtime: u64,
    facts: Facts,
    content: Vec<u8>,
}

impl EntrySource for InMemory {
    fn glance(&self) -> Option<archive::Glance> {
        Some(archive::Glance { name: self.name.clone(), stat: None })
    }

    fn open(self, buf: &mut Vec<u8>) -> Result<archive::Opened, Failure> {
        let Self { name, mtime, facts, content } = self;
        if content.len() as u64 > PIECE {
            return Ok(archive::Opened::Large { name, mtime, facts, seen: None, data: Box::new(content) });
        }
        *buf = content;
        Ok(archive::Opened::Small { name, mtime, facts, seen: None })
    }
}
