//! One database and its new ranges.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use contents::AnySource;
use couchfile::data_dir::Range;
use couchfile::header::DbHeader;
use couchfile::term::Encoder;
use couchfile::writer::Settings;
use filter::Filter;
use outcome::{Failure, Result, parallel};

use crate::job::jobs;
use crate::work::Work;

/// Bytes of entries that all jobs together sort in memory.
const SORTED: usize = 48 << 20;
/// Jobs that run at the same time, at most: each has files open and entries in memory.
const JOBS: usize = 4;
/// CouchDB's default of the limits of a database.
const DEFAULT_LIMIT: u64 = 1000;

/// A shard of the database as it was.
pub struct OldShard {
    /// What messages call its file.
    pub name: String,
    /// Its range.
    pub range: Range,
    /// Its file.
    pub file: couchfile::Database<AnySource>,
}

/// A shard of the database as it will be.
#[derive(Debug, Clone)]
pub struct NewShard {
    /// Its range.
    pub range: Range,
    /// Its uuid, 32 lower-case hexadecimal digits, and the name of the node that will open the file. Copies for other nodes need
    /// another uuid (`couchfile::edit`).
    pub uuid: String,
    /// See `uuid`.
    pub node: String,
}

/// Where the files of the new shards go. Called from several threads, for each shard from one.
pub trait NewShards: Sync {
    /// Creates the file of a new shard, by the number of the shard; it is written from the beginning to the end.
    fn create(&self, number: usize) -> Result<File>;

    /// The path of that file, for messages.
    fn path(&self, number: usize) -> PathBuf;

    /// Takes the complete file.
    fn finish(&self, number: usize, file: File) -> Result<()>;

    /// So many more bytes were written.
    ///
    /// Fails if the user has interrupted the operation.
    fn passed(&self, bytes: u64) -> Result<()>;
}

/// A database that gets other ranges.
pub struct Reshaping<'r> {
    /// Its name, for messages.
    pub database: &'r str,
    /// Whether documents are placed by the part of their id before the first colon.
    pub partitioned: bool,
    /// Its shards, in the order of their ranges, which cover the hash space without gap or overlap.
    pub old: &'r [OldShard],
    /// The new shards, likewise.
    pub new: &'r [NewShard],
    /// A directory for temporary files, which have no names: the entries of the trees by id, some 200 bytes for each document, if
    /// they are more than memory holds.
    pub scratch: &'r Path,
    /// Decides what becomes of each leaf revision; `None`: everything stays. With a filter, bodies of older revisions, purges and local
    /// documents are left out: they would hold what the filter takes away.
    pub filter: Option<&'r dyn Filter>,
    /// Number of threads; 0: the number of cores.
    pub threads: usize,
}

/// What was moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Documents, including deleted ones.
    pub documents: u64,
    /// Documents none of whose leaves the filter has let through.
    pub left_out: u64,
    /// Local documents.
    pub locals: u64,
    /// Purges.
    pub purges: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: Self) {
        self.documents += other.documents;
        self.left_out += other.left_out;
        self.locals += other.locals;
        self.purges += other.purges;
    }
}

impl Reshaping<'_> {
    /// Writes the new shards. Memory: about 100 MiB at most, and the attachments' places and revision tree of one document for each
    /// of at most four threads.
    ///
    /// Fails if a file of an old shard is damaged or a new one cannot be written; what was written is then useless.
    pub fn run(&self, out: &dyn NewShards) -> Result<Counts> {
        let settings = self.settings()?;
        let ranges = |shards: &mut dyn Iterator<Item = Range>| shards.collect::<Vec<_>>();
        let old = ranges(&mut self.old.iter().map(|shard| shard.range));
        let new = ranges(&mut self.new.iter().map(|shard| shard.range));
        let threads = parallel::threads(self.threads).min(JOBS);
        let jobs = jobs(&old, &new, threads);
        let memory = SORTED / threads.min(jobs.len()).max(1);
        let moved = Mutex::new(Counts::default());
        parallel::for_each_large(threads, &jobs, |_, job| {
            let counts = Work { reshaping: self, settings: &settings, job, memory, out }.run()?;
            moved.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(counts);
            Ok::<(), Failure>(())
        })?;
        let moved = moved.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut expected = 0u64;
        for shard in self.old {
            let (documents, deleted) = shard.file.counts().map_err(|e| contents::unusable(&shard.name, e))?;
            expected = expected.saturating_add(documents).saturating_add(deleted);
        }
        let seen = moved.documents + moved.left_out;
        if seen != expected {
            return Err(Failure::bug(format!(
                "{seen} documents of {} were written again instead of {expected}",
                self.database
            )));
        }
        Ok(moved)
    }

    /// What all new shards have in common: the properties of the old ones. Which of different limits is right is not known; a
    /// compaction can have set those of one shard back to the default.
    fn settings(&self) -> Result<Settings> {
        let mut settings = Settings::new(String::new(), "");
        let limit = |of: fn(&DbHeader) -> u64| {
            let mut limits = self.old.iter().map(|shard| of(shard.file.header()));
            limits.find(|limit| ![0, DEFAULT_LIMIT].contains(limit)).unwrap_or(DEFAULT_LIMIT)
        };
        settings.revs_limit = limit(|header| header.revs_limit);
        settings.purge_infos_limit = limit(|header| header.purge_infos_limit);
        settings.partitioned = self.partitioned;
        for shard in self.old {
            let security = shard.file.security().map_err(|e| contents::unusable(&shard.name, e))?;
            if let Some(members) = security {
                let mut object = Encoder::new();
                object.tuple(1).raw(members.as_slice());
                settings.security = Some(object.finish());
                break;
            }
        }
        Ok(settings)
    }
}
