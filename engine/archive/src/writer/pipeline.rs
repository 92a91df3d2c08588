//! Opens and compresses on worker threads, packs and writes on the calling one.
//!
//! Sources go through three stages. Workers open them, a batch at a time (*segments*). The calling thread
//! takes the segments in order, packs small entries into members and cuts large ones into chunks (*jobs*),
//! so that where a member ends does not depend on which thread was faster. Workers compress the jobs, and
//! the calling thread writes the results in order.
//!
//! Memory is bounded by counting the bytes in flight: above a limit nothing new is begun, except what the
//! calling thread waits for. A worker never waits for another one while it holds something, so that there
//! is always one that can go on.
//!
//! A large entry may be a stream, whose next bytes come only when those before were read. While one is open, opening other
//! sources could wait for what comes behind it. So nothing is opened then but what the calling thread waits for, and not even
//! that while it cuts the stream into chunks: all streams end, because the one that comes first in the archive always can.

mod state;
mod worker;

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;

use couchfile::read_at::ReadAt;

use super::output::{LargeEntry, Output};
use super::pack::{ClosedPack, Pack, PackedEntry};
use super::source::{EntrySource, Item, Segment};
use super::{NEW_ARCHIVE, Progress, check_order, check_size};
use crate::error::{ArchiveError, Result};
use crate::names::{METADATA, NameOrder};
use crate::tar::encode::push_header;
use crate::tar::padding;
use state::{Done, Job, Shared, Step, Waiting};

/// What a run needs, and the calling thread's side of it.
pub(super) struct Pipeline<'a, W> {
    pub(super) output: &'a mut Output<W>,
    pub(super) order: &'a mut NameOrder,
    pub(super) pack: &'a mut Pack,
    pub(super) level: i32,
    pub(super) chunk_size: usize,
    pub(super) threads: usize,
    pub(super) progress: &'a (dyn Fn(Progress) + Sync),
    /// Called where the run ends early, so that no source waits any more.
    pub(super) give_up: &'a (dyn Fn() + Sync),
    pub(super) sequence: Sequence,
}

/// What is on its way, in the order of the archive.
#[derive(Default)]
pub(super) struct Sequence {
    units: VecDeque<Unit>,
    /// Number of units written.
    written: u64,
    cutting: Option<Cutting>,
    /// The large entry of which some members are written.
    large: Option<Box<LargeEntry>>,
}

/// What the result of a job means to the archive.
enum Unit {
    Packed(Vec<PackedEntry>),
    LargeHeader(Box<LargeEntry>),
    Chunk { length: u64, last: bool },
}

/// A large entry that is being cut into chunks.
struct Cutting {
    name: Arc<str>,
    data: Arc<dyn ReadAt>,
    offset: u64,
    stream: bool,
}

impl<W: Write> Pipeline<'_, W> {
    /// Adds all sources.
    pub(super) fn run<S: EntrySource>(&mut self, sources: impl Iterator<Item = S> + Send) -> Result<()> {
        let shared = Shared::new(sources, self.chunk_size, self.threads);
        let (level, chunk_size) = (self.level, self.chunk_size);
        std::thread::scope(|scope| {
            // However this ends, the workers come to an end, too.
            let _stop = shared.stop_on_drop();
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| worker::run(&shared, level, chunk_size));
            }
            let ended = self.sequence(&shared);
            if ended.is_err() {
                (self.give_up)();
            }
            ended
        })
    }

    fn sequence<S, I>(&mut self, shared: &Shared<S, I>) -> Result<()> {
        loop {
            let waiting = Waiting {
                unit: (!self.sequence.units.is_empty()).then_some(self.sequence.written),
                cutting: self.sequence.cutting.is_some(),
            };
            match shared.next_step(waiting) {
                Step::Write(done) => self.write(&done?)?,
                Step::Cut => self.cut(shared),
                Step::Take(segment) => self.take(shared, segment)?,
                Step::End => return Ok(()),
                Step::Panicked => {
                    return Err(ArchiveError::Abandoned { archive: NEW_ARCHIVE.to_owned() });
                }
            }
        }
    }

    fn start(&mut self, unit: Unit, job: Job, jobs: &mut Vec<(u64, Job)>) {
        jobs.push((self.sequence.written + self.sequence.units.len() as u64, job));
        self.sequence.units.push_back(unit);
    }

    fn start_pack(&mut self, pack: ClosedPack, jobs: &mut Vec<(u64, Job)>) {
        self.start(Unit::Packed(pack.entries), Job::Compress(pack.tar), jobs);
    }

    /// Packs what was opened.
    fn take<S, I>(&mut self, shared: &Shared<S, I>, segment: Segment) -> Result<()> {
        let mut jobs = Vec::new();
        let mut tar = segment.tar.as_slice();
        for item in segment.items {
            match item {
                Item::Small { name, entry, length } => {
                    check_order(self.order, &name)?;
                    let (ours, rest) = tar.split_at_checked(length).unwrap_or((tar, &[]));
                    tar = rest;
                    if name == METADATA {
                        self.output.mtime = entry.mtime;
                    }
                    if let Some(full) = self.pack.add(entry, ours, self.chunk_size) {
                        self.start_pack(full, &mut jobs);
                    }
                    if name == METADATA
                        && let Some(pack) = self.pack.close()
                    {
                        self.start_pack(pack, &mut jobs);
                    }
                }
                Item::Large { name, mtime, facts, data } => {
                    check_order(self.order, &name)?;
                    let size = data.len();
                    check_size(&name, size)?;
                    if let Some(pack) = self.pack.close() {
                        self.start_pack(pack, &mut jobs);
                    }
                    let mut header = Vec::new();
                    push_header(&mut header, &name, size, mtime);
                    let stream = facts.is_stream();
                    let cutting =
                        Cutting { name: name.as_str().into(), data: data.into(), offset: 0, stream };
                    let large = Box::new(LargeEntry::new(name, size, facts));
                    self.start(Unit::LargeHeader(large), Job::Compress(header), &mut jobs);
                    // A large entry is the last item of its segment.
                    self.sequence.cutting = Some(cutting);
                }
            }
        }
        shared.add_jobs(jobs);
        segment.error.map_or(Ok(()), Err)
    }

    /// Cuts the next chunk off the large entry.
    fn cut<S, I>(&mut self, shared: &Shared<S, I>) {
        let Some(mut cutting) = self.sequence.cutting.take() else {
            return;
        };
        let size = cutting.data.len();
        let length = (size - cutting.offset.min(size)).min(self.chunk_size as u64);
        let last = cutting.offset + length >= size;
        let job = Job::Chunk {
            name: Arc::clone(&cutting.name),
            data: Arc::clone(&cutting.data),
            offset: cutting.offset,
            length: length as usize,
            padding: if last { padding(size) } else { 0 },
        };
        let mut jobs = Vec::with_capacity(1);
        self.start(Unit::Chunk { length, last }, job, &mut jobs);
        shared.add_jobs(jobs);
        cutting.offset += length;
        if last && cutting.stream {
            shared.stream_is_cut();
        }
        self.sequence.cutting = (!last).then_some(cutting);
    }

    /// Writes the next unit.
    fn write(&mut self, done: &Done) -> Result<()> {
        self.sequence.written += 1;
        match self.sequence.units.pop_front() {
            Some(Unit::Packed(entries)) => self.output.write_packed(&entries, &done.member)?,
            Some(Unit::LargeHeader(mut large)) => {
                self.output.write_large_header(&mut large, &done.member)?;
                self.sequence.large = Some(large);
            }
            Some(Unit::Chunk { length, last }) => {
                if let (Some(mut large), Some(hash)) = (self.sequence.large.take(), done.hash) {
                    self.output.write_chunk(&mut large, &done.member, hash, length)?;
                    if last {
                        self.output.finish_large(*large)?;
                    } else {
                        self.sequence.large = Some(large);
                    }
                }
            }
            None => {}
        }
        (self.progress)(self.output.progress);
        Ok(())
    }
}
