//! Databases that are written anew, document by document: after all other files, each database on its own.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use contents::{AnySource, Files, SpooledFiles};
use couchfile::data_dir::{DataFile, Range, ShardName, late_path};
use couchfile::database::Database;
use couchfile::read_at::{FileBytes, ReadAt};
use couchfile::writer::random_uuid;
use filter::Filter;
use outcome::report::Counter;
use outcome::{Failure, Result, parallel};
use reshape::{NewShard, NewShards, OldShard, Reshaping};

use super::{Writer, unusable_in_archive};
use crate::folders::plan::Reshaped;
use crate::folders::shard::{self, Copy, CopyUuids};

/// Databases of at most so many bytes are reshaped several at a time, with their files in memory.
const SMALL: u64 = 4 << 20;
/// Rounds in which a backup looks for shards that were split off while it ran.
const LATE_ROUNDS: u8 = 9;
/// Bytes copied at a time.
const PIECE: u64 = 1 << 20;

impl Writer<'_> {
    /// Whether a file of the archive is read for this restore.
    pub(crate) fn reads(&self, name: &str) -> bool {
        let file = name.strip_prefix(self.contents.root.as_str()).and_then(DataFile::parse);
        self.wants(name) || file.is_some_and(|file| self.plan.reshapes(&file))
    }

    /// Writes the databases that get another number of ranges or pass through the filter to all nodes. Damage is noted like that of
    /// other files.
    ///
    /// The shards in the archive are copied into the directory for temporary files, one database at a time, unless they are small;
    /// new shards that go only to other machines are made there, too.
    pub(crate) fn reshape(&self) -> Result<()> {
        if self.plan.reshaped.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        let filter = self.options.choices.transformation.filter()?;
        let threads = parallel::threads(self.options.threads);
        let scratch = self.options.choices.temporary.clone().unwrap_or_else(std::env::temp_dir);
        let spooled;
        let files: &dyn Files = if let Some(files) = self.contents.source.files() {
            files
        } else {
            self.reporter.phase("reading the databases that are written anew", None);
            let wanted = |file: &DataFile| self.plan.reshapes(file);
            let source = &*self.contents.source;
            spooled = SpooledFiles::read(source, threads, &scratch, &wanted, self.reporter)?;
            &spooled
        };
        let bytes = self.plan.reshaped.iter().map(|reshaped| reshaped.bytes).sum();
        let databases = self.plan.reshaped.len() as u64;
        let phase = if filter.is_some() {
            "passing documents through the plugin"
        } else {
            "changing the number of ranges"
        };
        self.reporter.phase_of_bytes(phase, Some(databases), Some(bytes));
        let progress = Counter::new(self.reporter);
        let is_at_hand = self.contents.source.files().is_none();
        let reshape =
            Reshape { writer: self, files, is_at_hand, scratch: &scratch, progress: &progress, filter };
        let (small, large): (Vec<&Reshaped>, Vec<&Reshaped>) =
            self.plan.reshaped.iter().partition(|reshaped| reshaped.bytes <= SMALL);
        parallel::for_each(threads, &small, |_, reshaped| reshape.database(reshaped, 1))?;
        for reshaped in large {
            reshape.database(reshaped, threads)?;
        }
        self.reporter.timing("ranges changed", begun.elapsed().as_secs_f64());
        Ok(())
    }
}

/// What all databases have in common.
struct Reshape<'r, 'w> {
    writer: &'r Writer<'w>,
    files: &'r dyn Files,
    /// Whether the files are in a temporary file already.
    is_at_hand: bool,
    scratch: &'r Path,
    progress: &'r Counter<'w>,
    filter: Option<&'r dyn Filter>,
}

impl Reshape<'_, '_> {
    fn database(&self, reshaped: &Reshaped, threads: usize) -> Result<()> {
        self.writer.go_on()?;
        let Some(old) = self.old_shards(reshaped, threads)? else {
            self.progress.add(1, reshaped.bytes);
            return Ok(());
        };
        let new = reshaped.targets.iter().map(|(range, holders)| self.new_shard(*range, holders));
        let new = new.collect::<Result<Vec<_>>>()?;
        let out = Out { reshape: self, reshaped, in_place: Mutex::default() };
        let reshaping = Reshaping {
            database: &reshaped.db,
            partitioned: reshaped.partitioned,
            old: &old,
            new: &new,
            scratch: self.scratch,
            filter: self.filter,
            threads,
        };
        let counts = reshaping.run(&out)?;
        if self.filter.is_some() {
            let mut passed = self.writer.passed.lock().unwrap_or_else(PoisonError::into_inner);
            passed.add(&reshaped.name, counts.documents, counts.left_out);
        }
        self.progress.add(1, 0);
        Ok(())
    }

    /// Opens and checks the shards in the archive; `None` if any file is damaged, so that nothing need be written.
    fn old_shards(&self, reshaped: &Reshaped, threads: usize) -> Result<Option<Vec<OldShard>>> {
        let found: Mutex<Vec<Option<OldShard>>> = Mutex::default();
        found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .resize_with(reshaped.sources.len(), Default::default);
        parallel::for_each_large(threads, &reshaped.sources, |i, shard| -> Result<()> {
            self.writer.go_on()?;
            let content = self.content(shard)?;
            let name = format!("{} of the archive", shard.path());
            let failed = |e| contents::unusable(&name, e);
            if self.writer.proof.shard(shard, &content).map_err(failed)? && !self.writer.proof.is_damaged() {
                let file = Database::open(content).map_err(failed)?;
                let opened = OldShard { name, range: shard.range, file };
                found.lock().unwrap_or_else(PoisonError::into_inner)[i] = Some(opened);
            }
            Ok(())
        })?;
        Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect())
    }

    /// The content of a shard for reading in any order.
    fn content(&self, shard: &ShardName) -> Result<AnySource> {
        let path = shard.path();
        let root = self.files.root();
        let mut opened = self.files.open(&format!("{root}{path}"))?;
        for round in 1..=LATE_ROUNDS {
            if opened.is_none() && !self.is_at_hand {
                opened = self.files.open(&format!("{root}{}", late_path(&path, round)))?;
            }
        }
        let opened =
            opened.ok_or_else(|| Failure::bug(format!("{path} is not in the archive any more")))?.content;
        if self.is_at_hand {
            return Ok(opened);
        }
        let unread = |e| {
            let offset = 0;
            let wanted = opened.len();
            unusable_in_archive(&path)(couchfile::CouchFileError::Io { offset, wanted, source: e })
        };
        if opened.len() <= SMALL {
            let mut content = vec![0; opened.len() as usize];
            opened.read_exact_at(&mut content, 0).map_err(unread)?;
            return Ok(Box::new(content));
        }
        let unwritten = |e| Failure::io("write a file in", self.scratch, e);
        let copy = tempfile::tempfile_in(self.scratch).map_err(unwritten)?;
        let mut piece = vec![0; PIECE as usize];
        let mut at = 0;
        while at < opened.len() {
            self.writer.go_on()?;
            let n = PIECE.min(opened.len() - at);
            let piece = &mut piece[..n as usize];
            opened.read_exact_at(piece, at).map_err(unread)?;
            copy.write_all_at(piece, at).map_err(unwritten)?;
            at += n;
        }
        Ok(Box::new(FileBytes::new(copy).map_err(unwritten)?))
    }

    fn new_shard(&self, range: Range, holders: &[u16]) -> Result<NewShard> {
        let Some(&first) = holders.first() else {
            return Err(Failure::bug(format!("the range {range} has no copy")));
        };
        // Both are replaced in every copy.
        let uuid = random_uuid().map_err(|e| contents::unusable("a new shard", e))?;
        let node = self.writer.options.targets[usize::from(first)].node.clone();
        Ok(NewShard { range, uuid, node })
    }
}

/// Sends the new shards of a database to their nodes.
struct Out<'o, 'r, 'w> {
    reshape: &'o Reshape<'r, 'w>,
    reshaped: &'o Reshaped,
    /// By the number of the shard: the number of the copy that is written in its place at once.
    in_place: Mutex<Vec<(usize, usize)>>,
}

impl Out<'_, '_, '_> {
    fn holders(&self, number: usize) -> &[u16] {
        &self.reshaped.targets[number].1
    }

    /// The path of a new shard below the data directory.
    fn new_path(&self, number: usize) -> String {
        self.name(number).path()
    }

    fn name(&self, number: usize) -> ShardName {
        self.reshape.writer.plan.new_shard(self.reshaped, self.reshaped.targets[number].0)
    }

    /// The number of the copy that is written in its place.
    fn in_place(&self, number: usize) -> Option<usize> {
        let in_place = self.in_place.lock().unwrap_or_else(PoisonError::into_inner);
        in_place.iter().find(|(shard, _)| *shard == number).map(|(_, copy)| *copy)
    }
}

impl NewShards for Out<'_, '_, '_> {
    fn create(&self, number: usize) -> Result<File> {
        let writer = self.reshape.writer;
        for (copy, &holder) in self.holders(number).iter().enumerate() {
            if let Some(staging) = writer.destinations[usize::from(holder)].folder() {
                self.in_place.lock().unwrap_or_else(PoisonError::into_inner).push((number, copy));
                return staging.create_file(&self.new_path(number));
            }
        }
        let scratch = self.reshape.scratch;
        tempfile::tempfile_in(scratch).map_err(|e| Failure::io("create a file in", scratch, e))
    }

    fn path(&self, number: usize) -> PathBuf {
        let writer = self.reshape.writer;
        let folder = self.in_place(number).and_then(|copy| {
            let holder = self.holders(number).get(copy)?;
            writer.destinations[usize::from(*holder)].folder()
        });
        match folder {
            Some(staging) => staging.path_of(&self.new_path(number)),
            None => self.reshape.scratch.to_owned(),
        }
    }

    fn finish(&self, number: usize, file: File) -> Result<()> {
        let writer = self.reshape.writer;
        let (holders, path) = (self.holders(number), self.new_path(number));
        let failed = |e| contents::unusable(&path, e);
        let io = |e| Failure::io("write", self.path(number), e);
        let bytes = file.try_clone().and_then(FileBytes::new).map_err(io)?;
        let size = bytes.len();
        let database = Database::open(&bytes).map_err(failed)?;
        let uuids = CopyUuids::new(holders.len(), false).map_err(failed)?;
        let in_place = self.in_place(number);
        let mut end = None;
        for (copy, &holder) in holders.iter().enumerate() {
            writer.go_on()?;
            let of_copy = Copy {
                node: &writer.options.targets[usize::from(holder)].node,
                number: copy,
                uuids: &uuids,
                views: None,
                limits: writer.limits(&self.reshaped.db),
                security: writer.security(&self.reshaped.db),
                is_new: true,
            };
            let tail = shard::tail(&database, of_copy).map_err(failed)?;
            if in_place == Some(copy) {
                end = Some(tail);
            } else {
                let destination = &writer.destinations[usize::from(holder)];
                destination.copy(&path, &bytes, tail.keep, &tail.bytes, &|_| {})?;
            }
        }
        // The others were copied from what this one was.
        if let Some(end) = end {
            file.set_len(end.keep).and_then(|()| file.write_all_at(&end.bytes, end.keep)).map_err(io)?;
        }
        let copies = holders.len() as u64;
        writer.bytes.fetch_add(size * copies, Ordering::Relaxed);
        writer.shards.fetch_add(copies, Ordering::Relaxed);
        Ok(())
    }

    fn passed(&self, bytes: u64) -> Result<()> {
        self.reshape.progress.add(0, bytes);
        self.reshape.writer.go_on()
    }
}
