//! Adds a backup to a repository.

mod grown;
mod job;
mod old;
mod parent;
mod pipeline;
mod plan;
mod small;
mod unit;

use std::collections::HashSet;
use std::sync::Arc;

use archive::{Documents, EntrySource, Facts, FileStat, Progress};
use outcome::{Failure, parallel};

use crate::PIECE;
use crate::error::{RepositoryError, Result};
use crate::known_sources::KnownSources;
use crate::manifest::{BaseLine, Line, Manifest, ManifestWriter, PackInfo, PackTable};
use crate::names::{INTENTS, PackName, SnapshotName, timed_key};
use crate::pack::PackWriter;
use crate::presence::Present;
use crate::prune::{deleted_objects, marked_objects, present_time};
use crate::record::FileRecord;
use crate::renewal::Renewal;
use crate::repository::{ListedSnapshot, Repository};
use crate::snapshot::{ManifestPart, Snapshot};

pub use grown::{Before, KnownEnd};
use old::Old;
use parent::newest_of;
use pipeline::{Done, Pipeline, Rules};

/// How a backup is added.
#[derive(Debug, Clone)]
pub struct SnapshotOptions {
    /// Names of the nodes that are saved. It builds on the newest backup of the same nodes and places.
    pub nodes: Vec<String>,
    /// Where their data directories are; see [`Snapshot::source`].
    pub source: Vec<String>,
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
    /// Seconds for which the store locks each object from its writing on. New backups do not build on objects that are so old that a
    /// half of this time is over, or less: see `renewal.rs`. `None`: what the repository says; 0: no object is too old.
    pub object_lock: Option<u64>,
    /// Add nothing if no file but `metadata.yaml` differs from the backup that it builds on.
    pub only_if_changed: bool,
}

impl SnapshotOptions {
    /// The usual ones.
    pub fn new(nodes: Vec<String>) -> Self {
        Self {
            nodes,
            source: Vec::new(),
            host: String::new(),
            threads: 0,
            level: crate::piece::LEVEL,
            paranoid: false,
            made: None,
            object_lock: None,
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
    /// All backups that there were, the newest first.
    listed: Vec<ListedSnapshot>,
    old: Old,
    /// The manifest of the parent.
    parent_manifest: Option<Manifest>,
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
    pub fn begin(repository: &Repository, mut options: SnapshotOptions) -> Result<Self> {
        // The order in which somebody names them says nothing.
        options.nodes.sort_unstable();
        options.source.sort_unstable();
        let begun = options.made.unwrap_or_else(jiff::Timestamp::now);
        let name = SnapshotName::new(begun)?;
        // Without it, nothing could be committed in the end.
        repository.signer()?;
        let intent = timed_key(INTENTS)?;
        repository.put_signed("intent", &intent, &name.to_string())?;
        // Not on what is gone, although a backup needs it, nor on what may be deleted soon.
        let (there, marked) = (Present::of(repository)?, marked_objects(repository)?);
        let mut listed = repository.listed_snapshots()?;
        listed.reverse();
        let (parent, manifest) = newest_of(repository, &options, &listed, &there)?.unzip();
        let lock = options.object_lock.or(repository.inner.config.object_lock);
        let renewal = Renewal::new(lock, present_time(there.objects().values()));
        let is_due = |key: &str| there.get(key).is_some_and(|object| renewal.is_due(object));
        let known = manifest.as_ref().map(|manifest| manifest.packs().clone()).unwrap_or_default();
        let is_avoided = |pack: &PackInfo| {
            let key = pack.name.key();
            !there.has(&key, pack.size)
                || marked.contains(&key)
                || pack.used * 2 < pack.content
                || is_due(&key)
        };
        let avoid = known.packs().iter().filter(|pack| is_avoided(pack)).map(|pack| pack.name).collect();
        let bytes = |parts: &[ManifestPart]| parts.iter().map(|part| part.size).sum::<u64>();
        let builds_on_base = parent.as_ref().is_some_and(|parent: &Snapshot| {
            bytes(&parent.changes) * 4 <= bytes(&parent.base)
                && !parent.base.iter().any(|part| marked.contains(&part.key) || is_due(&part.key))
        });
        // Also if nothing has changed: the newest backup is what a lock is there for.
        let is_renewal = parent.as_ref().is_some_and(|parent| {
            let is_old = |name: SnapshotName| renewal.is_due_at(&name.key(), name.second());
            parent.parts().any(|part| is_due(&part.key)) || parent.name.parse().is_ok_and(is_old)
        });
        Ok(Self {
            repository: repository.clone(),
            name,
            begun,
            parent,
            known,
            listed,
            old: Old::new(manifest.as_ref()),
            parent_manifest: manifest,
            builds_on_base,
            manifest: ManifestWriter::new(repository),
            packs: Arc::new(PackWriter::new(repository)),
            avoid: Arc::new(avoid),
            intent: Some(intent),
            totals: Totals { is_changed: is_renewal, ..Totals::default() },
            failed: false,
            options,
        })
    }

    /// The name of the backup.
    pub fn name(&self) -> SnapshotName {
        self.name
    }

    /// What is known of these files, in order, from the backup that this one builds on.
    pub fn before(&self, files: &[(String, Option<FileStat>)]) -> Result<Vec<Before>> {
        let mut old = Old::new(self.parent_manifest.as_ref());
        let rules = self.rules();
        let mut gone = Vec::new();
        let mut found = Vec::with_capacity(files.len());
        for (name, stat) in files {
            let known = old.advance(name, &mut gone)?;
            gone.clear();
            found.push(match (known.old, *stat) {
                (Some(old), stat) if rules.may_stay(&old.file, stat) => Before::AsItWas,
                (Some(old), Some(stat)) => {
                    grown::known_end(&old.file, stat, &self.avoid).map_or(Before::Unknown, Before::Grown)
                }
                _ => Before::Unknown,
            });
        }
        Ok(found)
    }

    fn rules(&self) -> Rules {
        Rules { avoid: Arc::clone(&self.avoid), paranoid: self.options.paranoid }
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
            rules: self.rules(),
            level: self.options.level,
            threads: parallel::threads(self.options.threads),
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
                        self.manifest.add(&Line::File(record.file), Some(&base))?;
                    }
                    (true, BaseLine::None) | (false, _) => {
                        self.manifest.add(&Line::File(record.file), None)?;
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
        if manifest.table.packs().iter().any(|pack| pack.blake3.is_empty()) {
            return Err(RepositoryError::Bug("a file lies in a pack that nobody wrote").into());
        }
        let needed = manifest.table.packs().iter().filter(|pack| pack.used > 0);
        let needed: Vec<String> = needed.map(|pack| pack.name.key()).collect();
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
            source: self.options.source.clone(),
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
            known: KnownSources::now(
                &self.repository,
                &self.listed,
                &self.options.nodes,
                &self.options.source,
            ),
            signer: self.repository.host()?.signing()?.public(),
        };
        if let Err(failure) = snapshot.put(&self.repository, self.name) {
            // It may be there, and only the answer was lost. Nobody has made sure that it lacks nothing.
            if !matches!(self.repository.directory().delete(&[self.name.key()]).as_deref(), Ok([])) {
                self.keep_intent();
            }
            return Err(failure);
        }
        self.confirm(&snapshot, &needed)?;
        self.end_intent();
        Ok(Some(Added { name: self.name, snapshot }))
    }

    /// Looks whether a prune deletes what this backup needs; then the backup is withdrawn. See `prune` for why that suffices, and why
    /// in this order. What it has written itself may be gone as well: to a prune, it may look like the rest of a killed backup.
    fn confirm(&mut self, snapshot: &Snapshot, packs: &[String]) -> Result<()> {
        let needed = || packs.iter().chain(snapshot.parts().map(|part| &part.key));
        let is_lost = || -> Result<bool> {
            let deleted = deleted_objects(&self.repository)?;
            if needed().any(|key| deleted.contains(key)) {
                return Ok(true);
            }
            let there = Present::of(&self.repository)?;
            Ok(needed().any(|key| !there.has_name(key)))
        };
        let lost = is_lost();
        if matches!(lost, Ok(false)) {
            return Ok(());
        }
        let deleted = self.repository.directory().delete(&[self.name.key()]);
        let deleted = deleted.and_then(|refused| match refused.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        });
        match (deleted, lost) {
            (Ok(()), Ok(_)) => Err(RepositoryError::Pruned { place: self.repository.name() }.into()),
            (Ok(()), Err(failure)) => Err(failure),
            (Err(why), _) => {
                self.keep_intent();
                let backup = format!("{}::{}", self.repository.name(), self.name);
                Err(RepositoryError::NotWithdrawn { backup, why }.into())
            }
        }
    }

    /// Leaves the note that the backup is being made, because its snapshot is there, or may be there, and nobody has made sure of it:
    /// whoever sees both looks for what the backup needs.
    fn keep_intent(&mut self) {
        self.intent = None;
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
