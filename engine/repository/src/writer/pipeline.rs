//! Looks at, opens, reads and compresses files on several threads; hands over in order what has become of them.
//!
//! Workers take batches of sources, in order. Small files of a batch share pieces. Whoever opens a large file sends its pieces, and
//! others help; large files of this machine are read one after the other. The calling thread takes finished batches in order. Memory is bounded: a worker holds a piece or two, and no batch
//! is begun that is too far ahead of the first one that is not finished, which always has a worker that waits for nobody.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use archive::{EntrySource, Facts, FileStat, Opened};
use outcome::{Failure, Lock as _};

use super::job::{self, LargeJob, Sent};
use super::old::{Known, Old};
use super::plan::Plan;
use super::small::{Batch, New};
use super::unit;
use crate::PIECE;
use crate::error::{RepositoryError, Result};
use crate::manifest::Record;
use crate::names::PackName;
use crate::pack::PackWriter;
use crate::record::FileRecord;

/// Sources in a batch, and a few that are gone.
const BATCH: usize = 128;
/// Batches that may be ahead of the first one that is not finished.
const AHEAD: u64 = 64;
/// A batch is full when the records of its files take so many bytes of memory.
const RECORDS: u64 = 4 << 20;
/// No batch is begun while the records of those that were not handed over take so many bytes.
const RECORDS_AHEAD: u64 = 8 * RECORDS;

/// What has become of a file.
#[allow(clippy::large_enum_variant)] // Nearly all are as they were.
pub(super) enum Done {
    /// It is as it was.
    Same(Record),
    /// It was read, with so many bytes that were new.
    New { file: Box<FileRecord>, base: Option<Box<FileRecord>>, new_bytes: u64 },
    /// The base has it, and the backup does not.
    Gone(String),
}

pub(super) struct Pipeline {
    pub(super) packs: Arc<PackWriter>,
    pub(super) rules: Rules,
    pub(super) level: i32,
    pub(super) threads: usize,
}

/// What is taken over from the old backup.
pub(super) struct Rules {
    /// Packs from which nothing is taken over.
    pub(super) avoid: Arc<HashSet<PackName>>,
    /// Whether every file is opened.
    pub(super) paranoid: bool,
}

impl Rules {
    /// Whether a file that has this stat now is taken over from the old backup without being opened.
    pub(super) fn may_stay(&self, old: &FileRecord, stat: Option<FileStat>) -> bool {
        !self.paranoid && stat.is_some() && old.stat == stat && !self.avoids(old)
    }

    /// Whether a file as it was lies in packs from which nothing is taken over.
    pub(super) fn avoids(&self, old: &FileRecord) -> bool {
        old.uses().any(|(pack, _)| self.avoid.contains(&pack))
    }
}

/// A source and what is known of it.
struct Task<S> {
    source: S,
    known: Known,
    /// Its name, if it has one.
    name: Option<String>,
    /// Whether it need not be opened.
    same: bool,
}

enum Item<S> {
    Gone(String),
    Source(Box<Task<S>>),
}

struct State<I> {
    sources: I,
    old: Old,
    /// Number of the next batch.
    next: u64,
    /// Number of the first batch that was not handed over.
    handed: u64,
    /// Of each batch from there on the bytes of its records.
    records: VecDeque<u64>,
    finished: BTreeMap<u64, Vec<Done>>,
    large: Vec<Arc<LargeJob>>,
    failed: Option<Failure>,
    /// All sources are in batches.
    ended: bool,
    stop: bool,
}

struct Shared<I> {
    state: Mutex<State<I>>,
    changed: Condvar,
}

/// What a worker does next.
enum Step<S> {
    Batch(u64, Vec<Item<S>>),
    Help(Arc<LargeJob>),
    End,
}

impl Pipeline {
    /// Adds all sources. Returns the old files that come behind them.
    pub(super) fn run<S: EntrySource>(
        &self,
        sources: impl Iterator<Item = S> + Send,
        old: Old,
        give_up: &(dyn Fn() + Sync),
        take: &mut dyn FnMut(Vec<Done>) -> Result<()>,
    ) -> Result<Old> {
        let state = State {
            sources,
            old,
            next: 0,
            handed: 0,
            records: VecDeque::new(),
            finished: BTreeMap::new(),
            large: Vec::new(),
            failed: None,
            ended: false,
            stop: false,
        };
        let shared = Shared { state: Mutex::new(state), changed: Condvar::new() };
        let ended = std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| self.work(&shared));
            }
            let ended = hand_over(&shared, take);
            if ended.is_err() {
                let mut state = shared.state.locked();
                state.stop = true;
                drop(state);
                shared.changed.notify_all();
                give_up();
            }
            ended
        });
        ended?;
        Ok(shared.state.into_content().old)
    }

    fn work<S: EntrySource, I: Iterator<Item = S>>(&self, shared: &Shared<I>) {
        // Whatever happens: nobody waits for a worker that is no more.
        let _guard = StopOnPanic(shared);
        let mut buf = Vec::new();
        loop {
            match self.next_step(shared) {
                Ok(Step::End) => return,
                Ok(Step::Help(job)) => {
                    if !job.work(&self.packs, self.level, &mut buf) {
                        shared.state.locked().large.retain(|other| !Arc::ptr_eq(other, &job));
                    }
                }
                Ok(Step::Batch(number, items)) => match self.batch(shared, items, &mut buf) {
                    Ok(done) => {
                        shared.state.locked().finished.insert(number, done);
                        shared.changed.notify_all();
                    }
                    Err(failure) => return fail(shared, failure),
                },
                Err(failure) => return fail(shared, failure),
            }
        }
    }

    fn batch<S: EntrySource, I>(
        &self,
        shared: &Shared<I>,
        items: Vec<Item<S>>,
        buf: &mut Vec<u8>,
    ) -> Result<Vec<Done>> {
        let mut batch = Batch::new(self);
        for item in items {
            match item {
                Item::Gone(name) => batch.done.push(Done::Gone(name)),
                Item::Source(task) if task.same => {
                    if let Some(record) = task.known.old {
                        task.source.keep(record.file.memo.as_deref());
                        batch.done.push(Done::Same(record));
                    }
                }
                Item::Source(task) => self.open(shared, *task, &mut batch, buf)?,
            }
        }
        batch.close()?;
        Ok(batch.done)
    }

    fn open<S: EntrySource, I>(
        &self,
        shared: &Shared<I>,
        task: Task<S>,
        batch: &mut Batch<'_>,
        buf: &mut Vec<u8>,
    ) -> Result<()> {
        let Task { source, known, name: expected, .. } = task;
        buf.clear();
        let opened = source.open(buf)?;
        let base = known.base;
        let old = known.old.map(|record| record.file);
        let check = |name: &str| match &expected {
            Some(expected) if expected == name => Ok(()),
            _ => Err(RepositoryError::Bug("a source did not say its name beforehand")),
        };
        match opened {
            Opened::Skip => batch.done.extend(base.map(|base| Done::Gone(base.name))),
            Opened::Small { name, mtime, facts, seen } if buf.len() as u64 <= PIECE => {
                check(&name)?;
                batch.small(New { name, mtime, facts, seen, base }, old.as_ref(), buf)?;
            }
            Opened::Small { name, mtime, facts, seen } => {
                check(&name)?;
                let data = Arc::new(std::mem::take(buf));
                let new = New { name, mtime, facts, seen, base };
                self.large(shared, new, old, LargeData::Any(data), batch, buf)?;
            }
            Opened::Large { name, mtime, facts, seen, data } => {
                check(&name)?;
                let new = New { name, mtime, facts, seen, base };
                self.large(shared, new, old, LargeData::Any(Arc::from(data)), batch, buf)?;
            }
            Opened::Stream { name, mtime, data, facts, seen } => {
                check(&name)?;
                let new = New { name, mtime, facts: Facts::Other, seen, base };
                self.large(shared, new, old, LargeData::Stream(Arc::from(data), facts), batch, buf)?;
            }
        }
        Ok(())
    }

    fn large<I>(
        &self,
        shared: &Shared<I>,
        mut new: New,
        old: Option<FileRecord>,
        data: LargeData,
        batch: &mut Batch<'_>,
        buf: &mut Vec<u8>,
    ) -> Result<()> {
        let (data, late) = match data {
            LargeData::Any(data) => (data, None),
            LargeData::Stream(data, facts) => (data, Some(facts)),
        };
        if data.len() <= PIECE {
            buf.clear();
            buf.resize(data.len() as usize, 0);
            job::read(&new.name, &*data, buf, 0)?;
            if let Some(late) = late {
                new.facts = late();
            }
            return batch.small(new, old.as_ref(), buf);
        }
        let facts = late.is_none().then_some(&new.facts);
        let plan = Plan::of(&new.name, &*data, facts, new.seen.as_ref(), old, &self.rules.avoid)?;
        let job = Arc::new(LargeJob::new(new.name.clone(), data, plan));
        // The bytes of a stream come in order: nobody else could do more than wait for them.
        if late.is_none() {
            self.begin_large(shared, &job, buf);
        }
        while job.work(&self.packs, self.level, buf) {}
        shared.state.locked().large.retain(|other| !Arc::ptr_eq(other, &job));
        let Sent { at, blake3, new_bytes } = job.finish()?;
        if let Some(late) = late {
            new.facts = late();
        }
        let base = new.base.take();
        let file = new.record(job.size(), blake3, at);
        batch.done.push(Done::New { file: Box::new(file), base, new_bytes });
        Ok(())
    }
}

impl Pipeline {
    /// Lets others help with a large file, after those that were begun before: large files of this machine are read one after the
    /// other, so that no disk is read at several places at once.
    fn begin_large<I>(&self, shared: &Shared<I>, job: &Arc<LargeJob>, buf: &mut Vec<u8>) {
        loop {
            let mut state = shared.state.locked();
            let Some(before) = state.large.first().filter(|_| !state.stop).cloned() else {
                state.large.push(Arc::clone(job));
                break;
            };
            drop(state);
            if !before.work(&self.packs, self.level, buf) {
                shared.state.locked().large.retain(|other| !Arc::ptr_eq(other, &before));
            }
        }
        shared.changed.notify_all();
    }
}

enum LargeData {
    Any(Arc<dyn couchfile::read_at::ReadAt>),
    Stream(Arc<dyn couchfile::read_at::ReadAt>, archive::LateFacts),
}

impl Pipeline {
    /// The next batch, or a large file to help with.
    fn next_step<S: EntrySource, I: Iterator<Item = S>>(&self, shared: &Shared<I>) -> Result<Step<S>> {
        let mut state = shared.state.locked();
        loop {
            if state.stop || state.failed.is_some() {
                return Ok(Step::End);
            }
            if let Some(job) = state.large.first() {
                return Ok(Step::Help(Arc::clone(job)));
            }
            if state.ended {
                if state.handed == state.next {
                    return Ok(Step::End);
                }
            } else if state.has_room() {
                let (items, records) = self.take(&mut state)?;
                if !items.is_empty() {
                    let number = state.next;
                    state.records.push_back(records);
                    state.next += 1;
                    return Ok(Step::Batch(number, items));
                }
                state.ended = true;
                shared.changed.notify_all();
                continue;
            }
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The sources of a batch, each with what was known of it. What the base has in between is gone.
    fn take<S: EntrySource, I: Iterator<Item = S>>(
        &self,
        state: &mut State<I>,
    ) -> Result<(Vec<Item<S>>, u64)> {
        let mut items = Vec::new();
        let mut gone = Vec::new();
        let mut records = 0;
        while items.len() < BATCH && records < RECORDS {
            let Some(source) = state.sources.next() else { break };
            let glance = source.glance();
            let known = match &glance {
                Some(glance) => state.old.advance(&glance.name, &mut gone)?,
                None => Known::default(),
            };
            items.extend(gone.drain(..).map(Item::Gone));
            let stat = glance.as_ref().and_then(|glance| glance.stat);
            records += known.memory().max(stat.map_or(0, |stat| unit::record_memory(stat.length)));
            let same = known.old.as_ref().is_some_and(|old| self.rules.may_stay(&old.file, stat));
            let name = glance.map(|glance| glance.name);
            items.push(Item::Source(Box::new(Task { source, known, name, same })));
        }
        Ok((items, records))
    }
}

impl<I> State<I> {
    /// Whether another batch may be begun.
    fn has_room(&self) -> bool {
        let ahead = self.next - self.handed;
        ahead == 0 || ahead < AHEAD && self.records.iter().sum::<u64>() < RECORDS_AHEAD
    }
}

fn hand_over<I>(shared: &Shared<I>, take: &mut dyn FnMut(Vec<Done>) -> Result<()>) -> Result<()> {
    let mut state = shared.state.locked();
    loop {
        if let Some(failure) = state.failed.take() {
            return Err(failure);
        }
        let handed = state.handed;
        if let Some(done) = state.finished.remove(&handed) {
            drop(state);
            take(done)?;
            state = shared.state.locked();
            state.handed += 1;
            state.records.pop_front();
            shared.changed.notify_all();
            continue;
        }
        if state.ended && state.handed == state.next {
            return Ok(());
        }
        if state.stop {
            return Err(RepositoryError::Bug("a worker of a backup panicked").into());
        }
        state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

fn fail<I>(shared: &Shared<I>, failure: Failure) {
    shared.state.locked().failed.get_or_insert(failure);
    shared.changed.notify_all();
}

struct StopOnPanic<'s, I>(&'s Shared<I>);

impl<I> Drop for StopOnPanic<'_, I> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.state.locked().stop = true;
            self.0.changed.notify_all();
        }
    }
}
