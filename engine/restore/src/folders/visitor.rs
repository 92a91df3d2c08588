//! Writes the files of an archive into the staging directories while the archive is read.

mod large;
mod later;
mod passed;
mod reshaped;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use archive::{EntryInfo, LargeSink, Visitor};
use contents::{Contents, DatabaseLimits};
use couchfile::data_dir::{DataFile, ShardName};
use couchfile::database::Database;
use couchfile::error::CouchFileError;
use couchfile::read_at::ReadAt;
use couchfile::view::ViewIndex;
use outcome::report::{Counter, Reporter};
use outcome::{Failure, Result, parallel};

use large::LargeFile;
use later::Later;
pub(crate) use passed::Passed;

use super::destination::Destination;
use super::plan::Plan;
use super::proof::{Damage, Proof};
use super::shard::{self, Copy, CopyUuids};
use super::{RestoreOptions, checksums};

/// What was written.
#[derive(Debug, Clone)]
pub(crate) struct WrittenFiles {
    pub(crate) shards: u64,
    pub(crate) views: u64,
    pub(crate) bytes: u64,
    /// Files whose checksums were replaced.
    pub(crate) rewritten: u64,
    /// What has passed through the filter.
    pub(crate) passed: Passed,
}

/// Writes every planned file for every node that gets it.
pub(crate) struct Writer<'r> {
    contents: &'r Contents,
    plan: &'r Plan,
    options: &'r RestoreOptions,
    destinations: &'r [Destination],
    reporter: &'r dyn Reporter,
    proof: Proof<'r>,
    /// Shards of the archive that are done with all their copies, and bytes of all files that are written, with all their copies.
    progress: Counter<'r>,
    /// Shards of the archive that are done, with all their copies.
    done: AtomicU64,
    shards: AtomicU64,
    views: AtomicU64,
    bytes: AtomicU64,
    rewritten: AtomicU64,
    /// Whether the CouchDB that opens the files reads only MD5.
    only_md5: bool,
    later: Mutex<Vec<Later<'r>>>,
    passed: Mutex<Passed>,
}

/// A planned file and the numbers of its targets.
#[derive(Clone)]
struct Wanted<'p> {
    /// In the archive.
    file: DataFile,
    /// Its path below the data directory in the archive.
    path: String,
    /// Its new path, if it changes.
    new_path: Option<String>,
    targets: &'p [u16],
    uuids: CopyUuids,
}

impl Wanted<'_> {
    /// Its path on the node, below the data directory.
    fn new_path(&self) -> &str {
        self.new_path.as_ref().unwrap_or(&self.path)
    }
}

impl<'r> Writer<'r> {
    pub(crate) fn new(
        contents: &'r Contents,
        plan: &'r Plan,
        options: &'r RestoreOptions,
        destinations: &'r [Destination],
        reporter: &'r dyn Reporter,
    ) -> Self {
        Self {
            contents,
            plan,
            options,
            destinations,
            reporter,
            proof: Proof::new(contents, plan, parallel::threads(options.threads), reporter),
            progress: Counter::new(reporter),
            done: AtomicU64::new(0),
            shards: AtomicU64::new(0),
            views: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            rewritten: AtomicU64::new(0),
            only_md5: checksums::only_md5(&options.for_couchdb).is_some(),
            later: Mutex::default(),
            passed: Mutex::default(),
        }
    }

    /// Whether an entry of the archive is to be written.
    pub(crate) fn wants(&self, name: &str) -> bool {
        // Of most names the plan alone tells.
        let planned = |path| self.plan.shards.contains_key(path);
        name.strip_prefix(self.contents.root.as_str()).is_some_and(planned) || self.targets(name).is_some()
    }

    /// What to do with an entry of the archive; `None` if it is not written.
    fn wanted(&self, name: &str) -> Result<Option<Wanted<'r>>> {
        let Some((file, path, targets)) = self.targets(name) else { return Ok(None) };
        let copies = if matches!(file, DataFile::Shard(_)) { targets.len() } else { 0 };
        // Whoever follows the database of the old name must not take this one for it.
        let keep_first = !self.options.choices.fresh_uuids && !self.plan.is_renamed(&file);
        let uuids = CopyUuids::new(copies, keep_first).map_err(unusable_in_archive(&path))?;
        let new_path = self.plan.renamed(&file).map(|file| file.path());
        Ok(Some(Wanted { file, path, new_path, targets, uuids }))
    }

    fn targets(&self, name: &str) -> Option<(DataFile, String, &'r [u16])> {
        let path = name.strip_prefix(self.contents.root.as_str())?;
        let file = DataFile::parse(path)?;
        let targets = match &file {
            DataFile::ShardMaps => return None,
            DataFile::Shard(_) => self.plan.shards.get(path)?,
            DataFile::View { shard, signature } => {
                let shard = shard.path();
                if !self.plan.views.get(shard.as_str())?.contains(signature) {
                    return None;
                }
                self.plan.shards.get(shard.as_str())?
            }
        };
        Some((file, path.to_owned(), targets))
    }

    /// The written files, or the damage: then no node has all files.
    ///
    /// Fails if a planned shard was not in the archive.
    pub(crate) fn finish(self) -> Result<std::result::Result<WrittenFiles, Damage>> {
        let done = self.done.into_inner();
        if done != self.plan.shards.len() as u64 {
            return Err(Failure::bug(format!(
                "{done} shards were restored instead of {}",
                self.plan.shards.len()
            )));
        }
        let damage = self.proof.into_damage();
        if !damage.is_empty() {
            return Ok(Err(damage));
        }
        Ok(Ok(WrittenFiles {
            shards: self.shards.into_inner(),
            views: self.views.into_inner(),
            bytes: self.bytes.into_inner(),
            rewritten: self.rewritten.into_inner(),
            passed: self.passed.into_inner().unwrap_or_else(PoisonError::into_inner),
        }))
    }

    /// Checks a file; `false` if it is not written, because it or another file is damaged.
    fn proves(&self, wanted: &Wanted<'_>, content: &dyn ReadAt) -> Result<bool> {
        let proven = match &wanted.file {
            DataFile::Shard(shard) => self.proof.shard(shard, content),
            DataFile::View { shard, signature } => self.proof.view(shard, signature, content),
            DataFile::ShardMaps => Ok(true),
        };
        Ok(proven.map_err(unusable_in_archive(&wanted.path))? && !self.proof.is_damaged())
    }

    /// Fails if the user has interrupted the restore.
    fn go_on(&self) -> Result<()> {
        if self.reporter.is_interrupted() { Err(Failure::interrupted()) } else { Ok(()) }
    }

    fn limits(&self, db: &str) -> Option<DatabaseLimits> {
        let current = self.plan.properties.get(db).map(|properties| properties.limits);
        current.or_else(|| self.contents.summary.as_ref()?.cluster.as_ref()?.limits.get(db).copied())
    }

    fn security(&self, db: &str) -> Option<&serde_json::Value> {
        let current = self.plan.properties.get(db).map(|properties| &properties.security);
        current.or_else(|| self.contents.security_of(db))
    }

    fn copy<'a>(&'a self, shard: &ShardName, wanted: &'a Wanted<'_>, number: usize) -> Copy<'a> {
        Copy {
            node: &self.options.targets[usize::from(wanted.targets[number])].node,
            number,
            uuids: &wanted.uuids,
            views: self.plan.views.get(shard.path().as_str()),
            limits: self.limits(&shard.db),
            security: self.security(&shard.db),
            is_new: false,
        }
    }

    /// A small file is done.
    fn count_small(&self, wanted: &Wanted<'_>, size: u64) {
        self.count(wanted, size, size * wanted.targets.len() as u64);
    }

    /// A file is done, of which so many bytes have not been reported yet.
    fn count(&self, wanted: &Wanted<'_>, size: u64, unreported: u64) {
        let copies = wanted.targets.len() as u64;
        self.bytes.fetch_add(size * copies, Ordering::Relaxed);
        let is_shard = matches!(wanted.file, DataFile::Shard(_));
        if is_shard {
            self.shards.fetch_add(copies, Ordering::Relaxed);
            self.done.fetch_add(1, Ordering::Relaxed);
        } else {
            self.views.fetch_add(copies, Ordering::Relaxed);
        }
        self.progress.add(u64::from(is_shard), unreported);
    }

    /// Bytes are written, or need not be written.
    fn passed(&self, bytes: u64) {
        self.progress.add(0, bytes);
    }
}

fn unusable_in_archive(path: &str) -> impl Fn(CouchFileError) -> Failure + '_ {
    move |e| contents::unusable(format!("{path} of the archive"), e)
}

impl Visitor for Writer<'_> {
    fn small(&self, entry: &EntryInfo<'_>, content: &[u8]) -> Result<()> {
        self.go_on()?;
        let Some(wanted) = self.wanted(entry.name)? else { return Ok(()) };
        if !self.proves(&wanted, &content)? {
            self.count_small(&wanted, entry.size);
            return Ok(());
        }
        let mut with_md5 = None;
        if self.only_md5 {
            with_md5 = checksums::content_with_md5(&wanted.file, &wanted.path, content)?;
            self.rewritten
                .fetch_add(u64::from(with_md5.is_some()) * wanted.targets.len() as u64, Ordering::Relaxed);
        }
        let content = with_md5.as_deref().unwrap_or(content);
        let failed = unusable_in_archive(&wanted.path);
        let put = |target: u16, parts: &[&[u8]]| -> Result<()> {
            self.destinations[usize::from(target)].put(wanted.new_path(), parts)
        };
        if let DataFile::Shard(name) = &wanted.file {
            let database = Database::open(content).map_err(&failed)?;
            for (number, &target) in wanted.targets.iter().enumerate() {
                let tail = shard::tail(&database, self.copy(name, &wanted, number)).map_err(&failed)?;
                put(target, &[&content[..tail.keep as usize], &tail.bytes])?;
            }
        } else {
            let end = ViewIndex::open(content).map_err(&failed)?.header_end;
            for &target in wanted.targets {
                put(target, &[&content[..end as usize]])?;
            }
        }
        self.count_small(&wanted, entry.size);
        Ok(())
    }

    fn large<'a>(&'a self, entry: &EntryInfo<'_>) -> Result<Option<Box<dyn LargeSink + 'a>>, Failure> {
        let Some(wanted) = self.wanted(entry.name)? else { return Ok(None) };
        let (mut files, mut streams) = (Vec::new(), Vec::new());
        for (number, &target) in wanted.targets.iter().enumerate() {
            match self.destinations[usize::from(target)].folder() {
                Some(staging) => {
                    let path = staging.path_of(wanted.new_path());
                    files.push((number, staging.create_file(wanted.new_path())?, path));
                }
                None => streams.push(number),
            }
        }
        let mut spool = None;
        if !streams.is_empty() {
            if self.contents.is_indexed() {
                // It can be read from the archive again, in order.
                let later = Later {
                    wanted: wanted.clone(),
                    streams,
                    entry: entry.name.to_owned(),
                    size: entry.size,
                    is_checked: !files.is_empty(),
                };
                self.later.lock().unwrap_or_else(PoisonError::into_inner).push(later);
                if files.is_empty() {
                    return Ok(None);
                }
                let sink = LargeFile { writer: self, wanted, files, streams: Vec::new(), spool, size: None };
                return Ok(Some(Box::new(sink)));
            }
            let failed = |e| Failure::io("create a file in", std::env::temp_dir(), e);
            spool = Some(tempfile::tempfile().map_err(failed)?);
        }
        Ok(Some(Box::new(LargeFile { writer: self, wanted, files, streams, spool, size: Some(entry.size) })))
    }
}
